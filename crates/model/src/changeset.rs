//! The difference between two generations of an environment's document, as a hook reads it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What happened at one place.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ChangeOp {
    /// Was not there before.
    Add,
    /// Had another value before.
    Replace,
    /// Is not there any more.
    Remove,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
pub struct Change {
    /// JSON pointer (RFC 6901).
    pub path: String,
    /// What happened there.
    pub op: ChangeOp,
    /// The value before; absent for an addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The value after; absent for a removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// The differences from `before` to `after`, in the order of their paths. Objects are compared member by member,
/// everything else (arrays too: an index is no identity) as a whole.
#[must_use]
pub fn differences(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare(&mut String::new(), before, after, &mut found);
    found
}

/// Every leaf of `document` as an addition: what a new hook gets.
#[must_use]
pub fn additions(document: &Value) -> Vec<Change> {
    differences(&Value::Object(serde_json::Map::new()), document)
}

fn compare(path: &mut String, before: &Value, after: &Value, found: &mut Vec<Change>) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        if before != after {
            found.push(Change {
                path: path.clone(),
                op: ChangeOp::Replace,
                before: Some(before.clone()),
                after: Some(after.clone()),
            });
        }
        return;
    };
    let mut keys: Vec<&String> = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))).collect();
    keys.sort_unstable();
    for key in keys {
        let length = path.len();
        path.push('/');
        path.push_str(&key.replace('~', "~0").replace('/', "~1"));
        match (old.get(key), new.get(key)) {
            (Some(old), Some(new)) => compare(path, old, new, found),
            (None, Some(new)) => leaves(path, new, ChangeOp::Add, found),
            (Some(old), None) => leaves(path, old, ChangeOp::Remove, found),
            (None, None) => {}
        }
        path.truncate(length);
    }
}

fn leaves(path: &mut String, value: &Value, op: ChangeOp, found: &mut Vec<Change>) {
    if let Value::Object(members) = value
        && !members.is_empty()
    {
        for (key, member) in members {
            let length = path.len();
            path.push('/');
            path.push_str(&key.replace('~', "~0").replace('/', "~1"));
            leaves(path, member, op, found);
            path.truncate(length);
        }
        return;
    }
    let (before, after) =
        if op == ChangeOp::Add { (None, Some(value.clone())) } else { (Some(value.clone()), None) };
    found.push(Change { path: path.clone(), op, before, after });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paths(changes: &[Change]) -> Vec<(String, ChangeOp)> {
        changes.iter().map(|c| (c.path.clone(), c.op)).collect()
    }

    #[test]
    fn members_are_compared_one_by_one_and_arrays_as_a_whole() {
        let before = json!({"a": 1, "b": {"c": [1, 2], "d": "x"}, "gone": {"k": 1}});
        let after = json!({"a": 1, "b": {"c": [2, 1], "d": "x", "e/f": true}});
        assert_eq!(
            paths(&differences(&before, &after)),
            vec![
                ("/b/c".to_owned(), ChangeOp::Replace),
                ("/b/e~1f".to_owned(), ChangeOp::Add),
                ("/gone/k".to_owned(), ChangeOp::Remove)
            ]
        );
    }

    #[test]
    fn nothing_differs_from_itself_and_an_empty_object_is_a_leaf() {
        let document = json!({"a": {}, "b": [1], "c": null});
        assert!(differences(&document, &document).is_empty());
        assert_eq!(additions(&document).len(), 3);
    }
}
