//! The envelope: the attributes of CloudEvents 1.0 in its JSON format.

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
            data,
        }
    }
}
