//! The bridge protocol, version 1 (docs/decisions/0043-a-bridge-leases-its-step.md): what `tenantry-bridge` says to a
//! manager from inside a Workflow of Argo. Outbound HTTPS only, JSON bodies, all calls made by the bridge.
//!
//! It is the agent protocol cut down to one operation (discovery) or one step (bridge): leases fence commands,
//! observations are facts and are taken in at any time. A caller is known by the projected token of its service account.
//!
//! | call | what |
//! |---|---|
//! | `POST /bridge/v1/hooks` | the hooks that discovery found ([`HooksRequest`] → [`HooksAnswer`]) |
//! | `POST /bridge/v1/order:wait` | long poll: the steps that the Workflow is to run ([`OrderRequest`] → [`OrderAnswer`]) |
//! | `POST /bridge/v1/commands:lease` | long poll: a step's commands, or its end ([`StepLeaseRequest`] → [`StepLeaseAnswer`]) |
//! | `POST /bridge/v1/commands:finish` | these are carried out ([`StepFinishRequest`] → [`StepFinishAnswer`](crate::agent::FinishAnswer)) |
//! | `POST /bridge/v1/observations` | facts ([`StepObservationsRequest`] → [`ObservationsAnswer`](crate::agent::ObservationsAnswer)) |
//! | `POST /bridge/v1/logs` | log chunks ([`StepLogsRequest`] → [`LogsAnswer`](crate::agent::LogsAnswer)) |
//! | `POST /bridge/v1/workflows:end` | the Workflow was ended by somebody ([`WorkflowEndRequest`] → [`WorkflowEndAnswer`]) |

use crate::agent::{HookReport, LeasedCommand, LogChunk, OpenAttempt};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tenantry_model::{AgentSessionId, CommandId, HookPath, Observation, OperationId, Outcome, RegionName};
use utoipa::ToSchema;

/// The protocol's version; sent as header [`VERSION_HEADER`]. A manager refuses others with 426.
pub const VERSION: u32 = 1;
/// Header that carries [`VERSION`].
pub const VERSION_HEADER: &str = "tenantry-bridge-protocol";
/// Header that names the region (all calls): it decides which keys the caller's token is checked with.
pub const REGION_HEADER: &str = crate::agent::REGION_HEADER;
/// The audience that a projected token must have, if the installation names no other.
pub const AUDIENCE: &str = "tenantry";
/// Longest wait of a long poll, in seconds.
pub const MAX_POLL_SECONDS: u32 = crate::agent::MAX_POLL_SECONDS;

/// The Workflow that a caller belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkflowRef {
    /// Which region.
    pub region: RegionName,
    /// The operation that it runs.
    pub operation: OperationId,
    /// Which Workflow of this operation: 1, and 2 and above for supplementary ones.
    pub round: u32,
    /// `namespace/name`, for people.
    pub name: String,
}

/// The hooks that take part in the operation, as the region has them now. In pages of at most
/// [`MAX_BATCH`](crate::agent::MAX_BATCH).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HooksRequest {
    /// Who asks.
    pub workflow: WorkflowRef,
    /// Made by discovery at its start; UUIDv7. Pages of another life of it are not mixed with this one's.
    pub session: AgentSessionId,
    /// The first page.
    pub begin: bool,
    /// The last page: a hook of this operation that no page named is absent.
    pub end: bool,
    /// Hooks that name this operation, those that cannot be read included.
    pub present: Vec<HookReport>,
}

/// Taken in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HooksAnswer {}

/// Asks what the Workflow is to run; waits until the operation is planned.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderRequest {
    /// Who asks.
    pub workflow: WorkflowRef,
    /// How long to wait, up to [`MAX_POLL_SECONDS`].
    pub wait_seconds: u32,
}

/// What the Workflow is to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "state")]
pub enum OrderAnswer {
    /// Not yet: ask again.
    Waiting {
        /// What the operation waits for, for people.
        note: String,
        /// What discovery has told is old by now: it looks again and tells all hooks in a new session.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        list_again: bool,
    },
    /// It is planned. The steps of this region that are not settled; all may be.
    Ready {
        /// By hook.
        steps: Vec<OrderedStep>,
    },
    /// The operation is over, or its plan was refused: nothing is to be run.
    Over {
        /// It succeeded.
        succeeded: bool,
        /// Why it is over, for people.
        message: String,
    },
}

/// One step of the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderedStep {
    /// Which hook.
    pub hook: HookPath,
    /// The steps of this list that come before it. What it waits for elsewhere its commands wait for.
    pub after: BTreeSet<HookPath>,
}

/// Which step a bridge is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepRef {
    /// The Workflow that the bridge belongs to.
    pub workflow: WorkflowRef,
    /// The hook.
    pub hook: HookPath,
    /// The bridge process; UUIDv7, made at its start. A new one gets what an earlier one had leased.
    pub session: AgentSessionId,
}

/// Asks for the commands of one step; also says that the bridge lives.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepLeaseRequest {
    /// Who asks.
    pub step: StepRef,
    /// How long to wait for a command or the end of the step, up to [`MAX_POLL_SECONDS`].
    pub wait_seconds: u32,
    /// None of this session's polls was answered yet: it takes the step over from an earlier one. A later poll of a session
    /// that the step does not have any more learns that it is superseded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first: bool,
    /// The poll before this one got no answer: commands that it leased are given out again now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unanswered: bool,
}

/// What the step is to do next.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepLeaseAnswer {
    /// In the order in which they must be carried out per attempt; none: nothing to do yet, ask again.
    pub commands: Vec<LeasedCommand>,
    /// Attempts of the step that are not over by the manager's rows: a bridge that does not follow one looks for it. Only
    /// in the first answer to a session.
    pub open: Vec<OpenAttempt>,
    /// Why it has nothing to do, for people: held, waits for another step, paused.
    pub note: String,
    /// The step is settled and nothing of it is left to be done: the bridge ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<StepEnd>,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepEnd {
    /// What comes after it may begin: it succeeded, was skipped or confirmed, or its failure is accepted. The bridge ends
    /// with 0 then.
    pub done: bool,
    /// `succeeded`, `skipped`, `confirmed`, `failed`, `cancelled`, … for people.
    pub state: String,
    /// Of its newest attempt, if one is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// These commands are carried out; their effects are reported as observations.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepFinishRequest {
    /// Who carried them out.
    pub step: StepRef,
    /// Which.
    pub commands: Vec<CommandId>,
}

/// Facts about attempts of the step, in any order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepObservationsRequest {
    /// Who saw them.
    pub step: StepRef,
    /// Up to [`MAX_BATCH`](crate::agent::MAX_BATCH).
    pub observations: Vec<Observation>,
}

/// Log text of attempts of the step.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepLogsRequest {
    /// Who has it.
    pub step: StepRef,
    /// Up to [`MAX_BATCH`](crate::agent::MAX_BATCH) chunks with up to [`MAX_LOG_BYTES`](crate::agent::MAX_LOG_BYTES)
    /// in all.
    pub chunks: Vec<LogChunk>,
}

/// The Workflow was ended: a running operation pauses and waits for a person, one that is planned gets another Workflow.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkflowEndRequest {
    /// Which.
    pub workflow: WorkflowRef,
    /// How.
    pub end: WorkflowEnd,
    /// Why, for people, where that is more than the word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// How a Workflow ended before its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkflowEnd {
    /// `argo stop` or `argo terminate`.
    Shutdown,
    /// It was deleted.
    Deleted,
    /// It is over although not all of its steps are.
    Over,
    /// The caller cannot do its part and ends with a failure, and the Workflow with it.
    GaveUp,
}

/// Noted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowEndAnswer {}
