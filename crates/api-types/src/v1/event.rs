//! Streams of events (SSE). A message's SSE id is the event's position, its SSE event name the event's type;
//! `Last-Event-ID` goes on after that position.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_model::{EnvironmentId, OperationId};
use utoipa::{IntoParams, ToSchema};

/// One change, in the order in which changes were committed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Grows; gaps are possible.
    pub position: u64,
    /// `io.tenantry.step.changed.v1`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Of which environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentId>,
    /// The environment's version that this change made.
    pub version: u64,
    /// Of which operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// When.
    pub at: Timestamp,
    /// What is new.
    pub data: Value,
}

/// Where a stream begins when no `Last-Event-ID` is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// After this position; 0 is the oldest that is kept. Absent: from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}
