//! Sinks of events, and what they were not given.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_model::{EnvironmentId, OperationId};
use utoipa::ToSchema;

/// A receiver of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventSink {
    /// Unique.
    pub name: String,
    /// Where it is; without what may be a secret.
    pub to: String,
    /// It gets events whose type begins with one of these; all, if there are none.
    pub types: Vec<String>,
    /// How far it has come: events up to this position were delivered, given up, are not for it, or are of a parked
    /// environment.
    pub position: u64,
    /// The newest event's position.
    pub newest: u64,
    /// How often in a row it has taken nothing.
    pub tries: u32,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub not_before: Option<Timestamp>,
    /// Why it took nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Environments that wait for another try, or catch up.
    pub parked: Vec<ParkedEnvironment>,
    /// Events that were given up.
    pub dead_letters: u64,
}

/// An environment whose events a sink gets apart from all others, since one of them was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParkedEnvironment {
    /// Which; absent: what belongs to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentId>,
    /// How far it has come.
    pub position: u64,
    /// How often the next event was refused; 0: it catches up.
    pub tries: u32,
    /// When the next one is tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub not_before: Option<Timestamp>,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Why the next one was not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// An event that was given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Its position: its name among the sink's dead letters.
    pub position: u64,
    /// `io.tenantry.step.changed.v1`, …
    pub kind: String,
    /// Of which environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentId>,
    /// The environment's version that the change made.
    pub version: u64,
    /// Of which operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What it carries.
    pub data: Value,
    /// How often it was tried.
    pub tries: u32,
    /// Why it was not taken.
    pub problem: String,
    /// When it was given up.
    #[schema(value_type = String, format = DateTime)]
    pub given_up_at: Timestamp,
    /// It is delivered after all, as soon as its turn comes.
    pub wanted: bool,
}

/// Has a sink given again what it was given before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplayEvents {
    /// The first event that is delivered again. Either this or `fromTime`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_position: Option<u64>,
    /// What happened from then on is delivered again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from_time: Option<Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Has dead letters delivered after all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RedeliverEvents {
    /// Which, at most 1,000; all, if there are none.
    #[serde(default)]
    pub positions: Vec<u64>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Throws dead letters away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiscardEvents {
    /// Which, at most 1,000; all, if there are none.
    #[serde(default)]
    pub positions: Vec<u64>,
    /// Why.
    pub reason: String,
}

/// Forgets a sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForgetEventSink {
    /// Why.
    pub reason: String,
}

/// What became of dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangedDeadLetters {
    /// Of which sink.
    pub sink: String,
    /// Their positions.
    pub positions: Vec<u64>,
    /// There are others: ask again.
    pub more: bool,
}
