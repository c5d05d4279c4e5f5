//! A chain: an entry's hash covers its own contents and the hash before it, so that a changed, removed or inserted
//! entry breaks the chain from there on.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;
use tenantry_model::hex;
use tenantry_store::AuditEntry;

/// Makes `entry` the one that follows `head`: sets its position, the hash before it and its own hash.
#[must_use]
pub fn follow(head: Option<&AuditEntry>, mut entry: AuditEntry) -> AuditEntry {
    entry.position = head.map_or(1, |head| head.position + 1);
    entry.previous = head.map_or_else(String::new, |head| head.hash.clone());
    steady(&mut entry.before);
    steady(&mut entry.after);
    entry.hash = hash_of(&entry);
    entry
}

/// SHA-256 of the entry without its own hash, as JSON with sorted members, lower-case hex.
#[must_use]
pub fn hash_of(entry: &AuditEntry) -> String {
    let bare = AuditEntry { hash: String::new(), ..entry.clone() };
    let mut text = String::new();
    // The entry is plain data: it always has a JSON form.
    canonical(&serde_json::to_value(&bare).unwrap_or_default(), &mut text);
    sha256(text.as_bytes())
}

/// SHA-256, lower-case hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// JSON with sorted members: the same text whatever order a store or a build of `serde_json` keeps.
fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut keys: Vec<&String> = members.keys().collect();
            keys.sort_unstable();
            text.push('{');
            for key in keys {
                text.push_str(&Value::String(key.clone()).to_string());
                text.push(':');
                canonical(&members[key], text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

/// A fraction as it reads back. Reading a fraction may give its neighbour, and then the entry that a store gives back
/// would not be the one that was hashed.
fn steady(value: &mut Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(steady),
        Value::Array(items) => items.iter_mut().for_each(steady),
        Value::Number(number) if number.is_f64() => {
            for _ in 0..4 {
                let Ok(read) = serde_json::from_str::<Value>(&value.to_string()) else { return };
                if read == *value {
                    return;
                }
                *value = read;
            }
            *value = Value::String(value.to_string());
        }
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_members_does_not_change_a_hash_and_their_contents_do() {
        let text = |value: &Value| {
            let mut text = String::new();
            canonical(value, &mut text);
            text
        };
        let one: Value = serde_json::from_str(r#"{"a":1,"b":{"c":[1,"x"],"d":null}}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"b":{"d":null,"c":[1,"x"]},"a":1}"#).unwrap();
        assert_eq!(text(&one), text(&two));
        assert_ne!(text(&one), text(&json!({"a": 1, "b": {"c": ["1", "x"], "d": null}})));
    }

    #[test]
    fn a_fraction_that_was_made_steady_reads_back_as_itself() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut value = json!({ "x": [f64::from_bits(seed >> 2 | 0x3000_0000_0000_0000)] });
            steady(&mut value);
            let read: Value = serde_json::from_str(&value.to_string()).unwrap();
            assert_eq!(read, value);
        }
    }
}
