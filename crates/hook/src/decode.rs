//! JSON → Kubernetes types, losing nothing on the way, and the words for what does not fit.
//!
//! It must never know which fields the contract allows.

use crate::{
    codes,
    problems::{Problems, below, closest},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub(crate) fn items<'v>(
    spec: &'v Map<String, Value>,
    list: &str,
    pointer: &str,
    problems: &mut Problems,
) -> &'v [Value] {
    match spec.get(list) {
        None | Some(Value::Null) => &[],
        Some(Value::Array(items)) => items,
        Some(other) => {
            wrong_type(pointer, "a list", other, problems);
            &[]
        }
    }
}

pub(crate) fn object<'v>(
    template: &'v Value,
    pointer: &str,
    problems: &mut Problems,
) -> Option<&'v Map<String, Value>> {
    match template.pointer(pointer) {
        Some(Value::Object(members)) => Some(members),
        None | Some(Value::Null) => {
            // Only said once: what is above a missing object has not been there either.
            problems.add(
                codes::CONTAINERS_MISSING,
                pointer,
                format!("{} is missing", pointer.trim_start_matches('/').replace('/', ".")),
                "add the pod template with the hook's container",
            );
            None
        }
        Some(other) => {
            wrong_type(pointer, "an object", other, problems);
            None
        }
    }
}

/// A null is an absent field, as for the API server.
pub(crate) fn members(object: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    object.iter().filter(|(_, value)| !value.is_null())
}

pub(crate) fn wrong_type(pointer: &str, wanted: &str, found: &Value, problems: &mut Problems) {
    problems.add(
        codes::FIELD_TYPE,
        pointer,
        format!("expected {wanted}, found {}", kind_of(found)),
        "see kubectl explain job.spec",
    );
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

pub(crate) fn refuse_field(field: &str, pointer: &str, lists: &[&[&str]], problems: &mut Problems) {
    let meant = closest(field, lists.iter().flat_map(|list| list.iter().copied())).map_or_else(
        || "remove it; docs/hook-contract.md lists the fields that a hook may have".to_owned(),
        |meant| format!("did you mean {meant}? If not, remove it"),
    );
    problems.add(
        codes::FIELD_NOT_ALLOWED,
        pointer,
        format!("the field {field:?} is not part of the contract"),
        meant,
    );
}

/// JSON → Kubernetes type; nothing may be lost on the way.
pub(crate) fn decode<T: DeserializeOwned + Serialize>(
    value: &Value,
    pointer: &str,
    problems: &mut Problems,
) -> Option<T> {
    let value = with_text_quantities(value);
    match serde_json::from_value::<T>(value.clone()) {
        Ok(typed) => {
            match serde_json::to_value(&typed) {
                Ok(back) => lost(&value, &back, pointer, problems),
                Err(error) => problems.add(
                    codes::FIELD_TYPE,
                    pointer,
                    format!("it cannot be written back: {error}"),
                    "see kubectl explain job.spec",
                ),
            }
            Some(typed)
        }
        Err(error) => {
            // Required members have defaults in these types, so each member can be tried alone to find the culprit.
            let culprit = value.as_object().and_then(|object| {
                object.iter().find_map(|(field, member)| {
                    let alone = Value::Object(Map::from_iter([(field.clone(), member.clone())]));
                    serde_json::from_value::<T>(alone).err().map(|error| (field, error))
                })
            });
            let (pointer, error) = match culprit {
                Some((field, error)) => (below(pointer, field), error),
                None => (pointer.to_owned(), error),
            };
            problems.add(
                codes::FIELD_TYPE,
                pointer,
                format!("a value here has the wrong type: {error}"),
                "put numbers, true and false in quotes where text is expected; see kubectl explain job.spec",
            );
            None
        }
    }
}

fn lost(given: &Value, kept: &Value, pointer: &str, problems: &mut Problems) {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => {
            for (field, value) in members(given) {
                let pointer = below(pointer, field);
                match kept.get(field) {
                    Some(kept) => lost(value, kept, &pointer, problems),
                    None => problems.add(
                        codes::FIELD_UNKNOWN,
                        pointer,
                        format!("Kubernetes (as this version knows it) has no field {field:?} here"),
                        closest(field, kept.keys().map(String::as_str)).map_or_else(
                            || "correct the name or remove it".to_owned(),
                            |meant| format!("did you mean {meant}?"),
                        ),
                    ),
                }
            }
        }
        (Value::Array(given), Value::Array(kept)) => {
            for (index, (given, kept)) in given.iter().zip(kept).enumerate() {
                lost(given, kept, &below(pointer, index), problems);
            }
        }
        _ => {}
    }
}

/// Quantities may be written as numbers (`cpu: 1`); the API server takes both, the types only text.
fn with_text_quantities(value: &Value) -> Value {
    fn text(value: &Value) -> Value {
        match value {
            Value::Number(number) => Value::String(number.to_string()),
            other => other.clone(),
        }
    }
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(field, member)| {
                let member = match (field.as_str(), member) {
                    ("limits" | "requests" | "overhead", Value::Object(quantities)) => {
                        quantities.iter().map(|(name, value)| (name.clone(), text(value))).collect()
                    }
                    ("sizeLimit" | "divisor", member) => text(member),
                    (_, member) => with_text_quantities(member),
                };
                (field.clone(), member)
            })
            .collect(),
        Value::Array(items) => items.iter().map(with_text_quantities).collect(),
        other => other.clone(),
    }
}
