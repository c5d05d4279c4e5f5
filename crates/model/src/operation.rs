//! One run of an operation for one environment.

use crate::{Actor, BatchId, EnvironmentId, HookRef, OperationDefinition, OperationId, OperationName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// State of an operation (DESIGN §7; names as in AIP-216).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum OperationState {
    /// Waits for its lock.
    Pending,
    /// Has its lock; its hooks are being looked up (waits for the region's inventory).
    Planning,
    /// Steps run or wait.
    Running,
    /// No new steps start; what runs goes on to its end.
    Paused,
    /// No new steps start; attempts that run are being ended.
    Cancelling,
    /// Every step is done.
    Succeeded,
    /// A step failed with `on-failure: fail`, or the plan was refused.
    Failed,
    /// Ended on request.
    Cancelled,
}

impl OperationState {
    /// Nothing will change any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
    /// Holds its environment's lock.
    #[must_use]
    pub fn holds_lock(self) -> bool {
        !self.is_final() && self != Self::Pending
    }
}

/// An operation's own row; its steps and attempts have rows of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// UUIDv7.
    pub id: OperationId,
    /// For which environment.
    pub environment: EnvironmentId,
    /// What it is called.
    pub name: OperationName,
    /// What the name meant when it was requested.
    pub definition: OperationDefinition,
    /// The batch it is part of; hooks get the operation's own id when there is none.
    pub batch: Option<BatchId>,
    /// Where it is.
    pub state: OperationState,
    /// Why it is in this state, for people: the plan's refusal, the failed step, the canceller's reason.
    pub note: Option<String>,
    /// Code of the problem that made it fail before a step ran (`plan-hook-absent`, …).
    pub problem: Option<String>,
    /// The environment's generation that it applies; frozen when it starts to plan.
    pub generation: u64,
    /// What the caller gave.
    pub parameters: Map<String, Value>,
    /// When a schedule wanted it; hooks get it as `LIFECYCLE_SCHEDULED_TIME`.
    pub scheduled_time: Option<Timestamp>,
    /// Who asked.
    pub requested_by: Actor,
    /// Why they asked.
    pub reason: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it got its lock.
    pub started_at: Option<Timestamp>,
    /// When it reached a final state.
    pub ended_at: Option<Timestamp>,
    /// When it must have ended; then attention is raised.
    pub deadline_at: Option<Timestamp>,
    /// It is past its deadline and attention was raised (once).
    #[serde(default)]
    pub late: bool,
    /// W3C `traceparent` of the request; hooks get a child of it.
    pub traceparent: Option<String>,
    /// What `:cancel` asked for while it was pending, planning or running.
    pub cancel: Option<Cancel>,
    /// Who paused it; `None` unless it is paused.
    #[serde(default)]
    pub pause: Option<Pause>,
    /// The operation that this one repeats.
    #[serde(default)]
    pub replay: Option<Replay>,
    /// The event that asked for it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<EventCause>,
    /// Raised with each change of the operation, a step or an attempt of it; verbs may state the one they saw.
    pub revision: u64,
}

/// The event by which an operation was asked for, as its sender named it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventCause {
    /// `source` of the CloudEvent.
    pub source: String,
    /// Its `id`, unique within the source.
    pub id: String,
}

/// A cancellation that is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cancel {
    /// Who.
    pub by: Actor,
    /// Why.
    pub reason: String,
    /// What the operation becomes when all attempts are over: cancelled, or failed after `on-failure: fail`.
    pub becomes: OperationState,
}

/// No new steps start, on request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// Who.
    pub by: Actor,
    /// Why.
    pub reason: String,
    /// When.
    #[schemars(with = "String")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Attention was raised because it lasts (once).
    #[serde(default)]
    pub reported: bool,
}

/// What a replay repeats, and what is different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// The original.
    pub of: OperationId,
    /// From these steps on; empty: all of it.
    #[serde(default)]
    pub from: BTreeSet<HookRef>,
    /// Whose versions of the hooks run.
    pub versions: ReplayVersions,
    /// The parameters that were set differently, by name.
    #[serde(default)]
    pub changed: BTreeMap<String, ChangedInput>,
}

/// Which versions of the hooks a replay runs.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayVersions {
    /// Those of the original, with its order.
    #[default]
    Frozen,
    /// Those that are in force now, with their order.
    Current,
}

/// An input of a replay that is not the original's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangedInput {
    /// As in the original; `None`: it had none.
    pub before: Option<Value>,
    /// As given; `None`: taken away.
    pub after: Option<Value>,
}
