//! Rows about events that a receiver has not taken: environments that wait for another try, and what was given up.

use crate::EventRecord;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tenantry_model::EnvironmentId;

/// An environment whose events a sink gets apart from all others, since one of them was not taken. Key: sink, environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParkedRow {
    /// Which sink.
    pub sink: String,
    /// Which environment; `None`: what belongs to none.
    pub environment: Option<EnvironmentId>,
    /// Its events up to this position were delivered, given up, or not for the sink.
    pub after: u64,
    /// How often the next one was refused; 0: it is to catch up.
    pub tries: u32,
    /// When the next one is tried; `None`: now.
    pub not_before: Option<Timestamp>,
    /// Since when.
    pub since: Timestamp,
    /// Why the next one was not taken.
    pub problem: Option<String>,
}

/// An event that a sink was not given, and will not be unless a person asks for it. Key: sink, position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterRow {
    /// Which sink.
    pub sink: String,
    /// The event, whole: its row may go.
    pub event: EventRecord,
    /// How often it was tried.
    pub tries: u32,
    /// Why it was not taken.
    pub problem: String,
    /// When it was given up.
    pub at: Timestamp,
    /// A person wants it delivered after all.
    pub wanted: bool,
}
