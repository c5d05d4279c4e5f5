//! The envelope: the attributes of CloudEvents 1.0 in its JSON format, and the extensions that tell the order.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One event as a receiver gets it. The same event has the same `source` and `id`, however often it is delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CloudEvent {
    /// `1.0`.
    pub specversion: String,
    /// Unique within `source`.
    pub id: String,
    /// Which installation.
    pub source: String,
    /// `io.tenantry.attention.raised.v1`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it happened.
    pub time: Timestamp,
    /// `application/json`.
    pub datacontenttype: String,
    /// The name of the schema of `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataschema: Option<String>,
    /// Of which environment; events with the same key come in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitionkey: Option<String>,
    /// The position among all events of the source; as text it sorts as it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    /// The version of the environment that the change made; as text it sorts as it counts. Events of one change share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environmentversion: Option<String>,
    /// The W3C trace of the request that it follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The resource.
    pub data: Value,
}

impl CloudEvent {
    /// An event with JSON data.
    #[must_use]
    pub fn new(id: String, source: &str, kind: &str, time: Timestamp, data: Value) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id,
            source: source.to_owned(),
            kind: kind.to_owned(),
            subject: None,
            time,
            datacontenttype: "application/json".to_owned(),
            dataschema: None,
            partitionkey: None,
            sequence: None,
            environmentversion: None,
            traceparent: None,
            data,
        }
    }

    /// The attributes as headers of the binary HTTP mode, but for `datacontenttype`, which is the body's `Content-Type`.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let optional = |name, value: &Option<String>| Some((name, value.as_deref().map(escaped)?));
        let always = [
            ("ce-specversion", escaped(&self.specversion)),
            ("ce-id", escaped(&self.id)),
            ("ce-source", escaped(&self.source)),
            ("ce-type", escaped(&self.kind)),
            ("ce-time", escaped(&self.time.to_string())),
        ];
        let others = [
            optional("ce-subject", &self.subject),
            optional("ce-dataschema", &self.dataschema),
            optional("ce-partitionkey", &self.partitionkey),
            optional("ce-sequence", &self.sequence),
            optional("ce-environmentversion", &self.environmentversion),
            optional("ce-traceparent", &self.traceparent),
        ];
        always.into_iter().chain(others.into_iter().flatten()).collect()
    }
}

/// A number as text of one length, so that texts sort as numbers do.
#[must_use]
pub fn sortable(number: u64) -> String {
    format!("{number:020}")
}

/// What a header may not hold, in percent.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_printable_and_say_everything() {
        let mut event = CloudEvent::new(
            "7".to_owned(),
            "urn:x",
            "io.tenantry.x.v1",
            Timestamp::UNIX_EPOCH,
            Value::Bool(true),
        );
        event.subject = Some("a b/€\"%".to_owned());
        event.sequence = Some(sortable(7));
        let headers = event.headers();
        let of = |name: &str| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
        assert_eq!(of("ce-subject"), Some("a%20b/%E2%82%AC%22%25"));
        assert_eq!(of("ce-time"), Some("1970-01-01T00:00:00Z"));
        assert_eq!(of("ce-sequence"), Some("00000000000000000007"));
        assert_eq!(of("ce-partitionkey"), None);
        let fields: Vec<String> = serde_json::to_value(&event)
            .ok()
            .and_then(|value| value.as_object().map(|o| o.keys().cloned().collect()))
            .unwrap_or_default();
        for name in fields.iter().filter(|name| !matches!(name.as_str(), "data" | "datacontenttype")) {
            assert!(of(&format!("ce-{name}")).is_some(), "{name} has no header");
        }
    }

    #[test]
    fn text_of_numbers_sorts_as_they_count() {
        assert!(sortable(9) < sortable(10) && sortable(10) < sortable(u64::MAX));
    }
}
