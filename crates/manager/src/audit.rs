//! The audit log's hash chain: one per environment, and one for what belongs to none (DESIGN §8).
//!
//! An entry's hash covers its own contents and the hash before it; a changed, removed or inserted entry breaks the
//! chain from there on. Pure, but for reading the chain.

use crate::work::Note;
use crate::{Manager, Principal, Result};
use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde_json::Value;
use tenantry_model::EnvironmentId;
use tenantry_store::AuditEntry;

/// The entry that follows `head`.
pub(crate) fn entry(
    head: Option<&AuditEntry>,
    environment: Option<EnvironmentId>,
    at: Timestamp,
    who: &Principal,
    note: Note<'_>,
) -> AuditEntry {
    let mut entry = AuditEntry {
        position: head.map_or(1, |head| head.position + 1),
        environment,
        at,
        actor: who.actor.clone(),
        action: note.action.to_owned(),
        target: note.target,
        reason: note.reason.map(str::to_owned),
        origin: who.origin.clone(),
        before: note.before,
        after: note.after,
        hash: String::new(),
        previous: head.map_or_else(String::new, |head| head.hash.clone()),
    };
    entry.hash = hash_of(&entry);
    entry
}

/// SHA-256 of the entry without its own hash, as JSON with sorted members, lower-case hex.
fn hash_of(entry: &AuditEntry) -> String {
    let bare = AuditEntry { hash: String::new(), ..entry.clone() };
    let mut text = String::new();
    // The entry is plain data: it always has a JSON form.
    canonical(&serde_json::to_value(&bare).unwrap_or_default(), &mut text);
    hex(digest(&SHA256, text.as_bytes()).as_ref())
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

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

impl Manager {
    /// Entries of the environment's audit chain (`None`: of what belongs to none) after a position, in order.
    pub async fn audit(&self, id: Option<EnvironmentId>, after: u64, limit: u32) -> Result<Vec<AuditEntry>> {
        Ok(self.store.read().await?.audit(id, after, limit.clamp(1, 1000)).await?)
    }

    /// Recomputes a chain from its first entry. Inside: how many entries it has, or the position of the first entry
    /// that does not fit.
    pub async fn verify_audit(&self, id: Option<EnvironmentId>) -> Result<std::result::Result<u64, u64>> {
        let (mut position, mut previous) = (0, String::new());
        loop {
            let entries = self.store.read().await?.audit(id, position, 500).await?;
            if entries.is_empty() {
                return Ok(Ok(position));
            }
            for entry in entries {
                position += 1;
                let fits =
                    entry.position == position && entry.previous == previous && entry.hash == hash_of(&entry);
                if !fits {
                    return Ok(Err(position));
                }
                previous = entry.hash;
            }
        }
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
    fn bytes_are_written_as_lower_case_hex() {
        assert_eq!(hex(&[0, 15, 255]), "000fff");
    }
}
