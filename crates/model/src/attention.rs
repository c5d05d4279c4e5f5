//! Something waits for a person.

use crate::{AttentionId, EnvironmentId, HookRef, OperationId, RegionName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What waits.
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
pub enum AttentionKind {
    /// A step failed and waits for a decision.
    StepWaiting,
    /// An attempt is unknown past its deadline.
    AttemptUnknown,
    /// A plan was refused (hook absent, required hook missing, empty plan).
    PlanRefused,
    /// A version of a hook is quarantined.
    HookQuarantined,
    /// A hook has no good version and was left out.
    HookLeftOut,
    /// A region has no living agent.
    RegionSilent,
    /// An operation is past its deadline.
    OperationLate,
    /// A hold by predicate without an end has lasted for long.
    HoldLong,
    /// A verb waits for a second person.
    ApprovalPending,
    /// A notification or an event could not be delivered and was given up.
    DeadLetter,
    /// A receiver of events takes nothing; events wait for it.
    SinkDown,
    /// A message that asked for an operation was refused.
    MessageRefused,
    /// Messages that ask for operations are not taken; they wait.
    InboxDown,
    /// A step used outputs of a predecessor that was run again since.
    StepStale,
    /// A step is held for long, and no time lifts it.
    StepHeld,
    /// An operation is paused for long.
    OperationPaused,
    /// A time of a schedule was seen long after it had come.
    ScheduleLate,
    /// A time of a schedule got no run.
    ScheduleSkipped,
    /// A scheduled run will probably not end by its deadline.
    DeadlineAtRisk,
    /// A scheduled run has not ended by its deadline.
    DeadlineMissed,
    /// Heads of the audit log cannot be signed or written to their sink.
    AuditHeads,
    /// A schedule waited for a time far ahead, since a manager's clock was wrong.
    ScheduleClock,
    /// Retention removes nothing, since the clock may be wrong.
    RetentionClock,
    /// The Workflow of an operation does not come: its event is not taken, or its discovery says nothing.
    WorkflowMissing,
    /// A Workflow was ended before its operation, which is paused.
    WorkflowEnded,
    /// A decommissioned environment is past its retention, and nobody has purged it.
    RetentionOver,
}

/// One thing that waits for a person; settled when its cause is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attention {
    /// UUIDv7.
    pub id: AttentionId,
    /// What waits.
    pub kind: AttentionKind,
    /// Names its cause: a second one with an equal key is the same one.
    pub key: String,
    /// The environment it belongs to.
    pub environment: Option<EnvironmentId>,
    /// The operation it belongs to.
    pub operation: Option<OperationId>,
    /// The step or hook it belongs to.
    pub hook: Option<HookRef>,
    /// The region it belongs to.
    pub region: Option<RegionName>,
    /// One sentence for people: what, where.
    pub message: String,
    /// The command that resolves it.
    pub remedy: String,
    /// Since when.
    pub raised_at: Timestamp,
    /// Until when; `None` while it waits.
    pub settled_at: Option<Timestamp>,
}
