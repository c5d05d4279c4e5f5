//! `/v1/operations`, and the custom methods that start one.

use super::Step;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tenantry_model as model;
use tenantry_model::{
    Actor, BatchId, Cancel, ConflictPolicy, EnvironmentId, EnvironmentName, EnvironmentState, EventCause,
    OperationId, OperationName, OperationState, Pause, RegionName, Replay, TenantName,
};
use utoipa::{IntoParams, ToSchema};

/// One run of an operation for one environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// UUIDv7.
    pub id: OperationId,
    /// For which environment.
    pub environment: EnvironmentId,
    /// Its environment's owner; only in the answer for one operation, never in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantName>,
    /// Its environment's name; only in the answer for one operation, never in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_name: Option<EnvironmentName>,
    /// Its environment's region; only in the answer for one operation, never in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionName>,
    /// What it is called.
    pub name: OperationName,
    /// The batch it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchId>,
    /// Where it is.
    pub state: OperationState,
    /// It is in a final state (AIP-151).
    pub done: bool,
    /// Why it is in this state, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Code of the problem that made it fail before a step ran (`plan-hook-absent`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The environment's generation that it applies.
    pub generation: u64,
    /// What the caller gave.
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// When a schedule wanted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_time: Option<Timestamp>,
    /// Who asked.
    pub requested_by: Actor,
    /// Why they asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The event that asked for it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<EventCause>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it got its lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it reached a final state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// When it must have ended; then attention is raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_at: Option<Timestamp>,
    /// A cancellation that is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Cancel>,
    /// Who paused it, and why; absent unless it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// The operation that this one repeats, and what is different.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// Operations that repeat this one, oldest first; only in the answer for one operation, never in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replays: Vec<OperationId>,
    /// What Argo runs of it, by region and round; only in the answer for one operation, never in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workflows: Vec<Workflow>,
    /// Raised with each change of the operation, a step or an attempt of it.
    pub revision: u64,
    /// Its steps with their attempts, by hook; only in the answer for one operation, never in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Step>>,
}

/// A Workflow of Argo that an operation was given, in a region without an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workflow {
    /// Where.
    pub region: RegionName,
    /// 1, and above it further ones that run what an earlier one left.
    pub round: u32,
    /// Where it is.
    pub state: WorkflowState,
    /// `namespace/name`, once it has spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its page in Argo's own user interface, where the manager knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When it was decided that it is needed.
    pub requested_at: Timestamp,
    /// When it had told its hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovered_at: Option<Timestamp>,
    /// How it ended before its operation, or why its event is not taken; for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How far a Workflow of Argo has come, as far as the manager was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkflowState {
    /// Its event is not taken yet.
    Requested,
    /// The event source has taken its event.
    Accepted,
    /// It has told its hooks, and runs those that it was told to.
    Discovered,
    /// It was ended before its operation.
    Ended,
}

impl From<model::Operation> for Operation {
    fn from(from: model::Operation) -> Self {
        Self {
            id: from.id,
            environment: from.environment,
            tenant: None,
            environment_name: None,
            region: None,
            name: from.name,
            batch: from.batch,
            done: from.state.is_final(),
            state: from.state,
            note: from.note,
            problem: from.problem,
            generation: from.generation,
            parameters: from.parameters,
            scheduled_time: from.scheduled_time,
            requested_by: from.requested_by,
            reason: from.reason,
            cause: from.cause,
            created_at: from.created_at,
            started_at: from.started_at,
            ended_at: from.ended_at,
            deadline_at: from.deadline_at,
            cancel: from.cancel,
            pause: from.pause,
            replay: from.replay,
            replays: Vec::new(),
            workflows: Vec::new(),
            revision: from.revision,
            steps: None,
        }
    }
}

/// Starts a lifecycle operation: body of `:reconcile`, `:suspend`, `:resume`, `:backup`, `:undelete`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct StartOperation {
    /// Why, for the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do when another operation is in the way; absent: what the definition says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<ConflictPolicy>,
    /// The state in which the caller saw the environment; another one is 409.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_state: Option<EnvironmentState>,
}

/// Restores a backup: body of `:restore`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RestoreEnvironment {
    /// The `lifecycle.backup` operation that wrote the backup; absent: the newest that succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<OperationId>,
    /// Why, for the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do when another operation is in the way; absent: what the definition says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<ConflictPolicy>,
    /// The state in which the caller saw the environment; another one is 409.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_state: Option<EnvironmentState>,
}

/// Tears an environment down: body of `:decommission`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct DecommissionEnvironment {
    /// How long `:undelete` is possible, ISO 8601 (`PT720H`) or `720h`; absent: the installation's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub retention: Option<SignedDuration>,
    /// Why, for the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do when another operation is in the way; absent: what the definition says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<ConflictPolicy>,
    /// The state in which the caller saw the environment; another one is 409.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_state: Option<EnvironmentState>,
}

/// Starts any operation: body of `:run`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunOperation {
    /// `team.operation`.
    pub operation: OperationName,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the hooks read as `operation.parameters`; checked by the definition's schema.
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// What to do when another operation is in the way; absent: what the definition says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<ConflictPolicy>,
    /// The state in which the caller saw the environment; another one is 409.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_state: Option<EnvironmentState>,
    /// When a schedule wanted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_time: Option<Timestamp>,
}

/// Ends an operation: body of `:cancel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelOperation {
    /// Why.
    pub reason: String,
    /// The state in which the caller saw the operation; another one is 409.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_state: Option<OperationState>,
}

/// Which operations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OperationsQuery {
    /// For one environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentId>,
    /// Of one name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<OperationName>,
    /// In one state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub state: Option<OperationState>,
    /// Only those that have not ended. Default `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
    /// At most this many items, 1 to 1,000 (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub page_size: Option<u32>,
    /// `nextPageToken` of the page before, unchanged; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}
