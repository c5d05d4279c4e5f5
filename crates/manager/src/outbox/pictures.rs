//! The data of events, as receivers read it. A field may be added; one is never removed, renamed or given another meaning:
//! that would be another type of event (`….v2`).

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::{
    Actor, AgentSessionId, Alias, ApprovalId, ApprovalState, AttemptState, AttentionId, AttentionKind,
    CatchUp, Decision, EnvironmentId, EnvironmentName, EnvironmentState, EventCause, Executor, FailureReason,
    HookRef, KillRequest, OperationDefinition, OperationId, OperationName, OperationState, Overlap, Paused,
    Problem, RegionName, Retention, RunCause, RunDeadline, RunState, ScheduleId, ScheduleName,
    ScheduleTarget, StepState, TenantName,
};

/// A tenant as it is now, or was when it was removed.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tenant<'a> {
    /// Unique.
    pub name: &'a TenantName,
    /// For people.
    pub display_name: &'a str,
    /// Raised with each change.
    pub revision: u64,
}

/// An environment as it is now. Without its apps and settings: they may be large, and readers of events are not always
/// readers of settings.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Environment<'a> {
    /// Never changes, never used again.
    pub id: EnvironmentId,
    /// Its owner.
    pub tenant: &'a TenantName,
    /// Unique within the tenant while the environment is not purged.
    pub name: &'a EnvironmentName,
    /// Further names.
    pub aliases: &'a BTreeSet<Alias>,
    /// What selectors match.
    pub labels: &'a BTreeMap<String, String>,
    /// Where its hooks run.
    pub region: &'a RegionName,
    /// Where it is in its life.
    pub state: EnvironmentState,
    /// Raised when what is wished changes.
    pub generation: u64,
    /// Raised when a reader of the resource sees something else.
    pub revision: u64,
    /// Until when it can be undeleted; only while decommissioned.
    pub retention: Option<&'a Retention>,
    /// When `revision` was last raised.
    pub updated_at: Timestamp,
}

/// An operation as it is now. Without its definition and its parameters.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Operation<'a> {
    /// Unique.
    pub id: OperationId,
    /// For which environment.
    pub environment: EnvironmentId,
    /// What it is called.
    pub name: &'a OperationName,
    /// Where it is.
    pub state: OperationState,
    /// Why it is in this state, for people.
    pub note: Option<&'a str>,
    /// Code of the problem that made it fail before a step ran.
    pub problem: Option<&'a str>,
    /// The environment's generation that it applies.
    pub generation: u64,
    /// Who asked.
    pub requested_by: &'a Actor,
    /// Why they asked.
    pub reason: Option<&'a str>,
    /// The event that asked for it; nothing if none did.
    pub cause: Option<&'a EventCause>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it got its lock.
    pub started_at: Option<Timestamp>,
    /// When it reached a final state.
    pub ended_at: Option<Timestamp>,
    /// Raised with each change of the operation, a step or an attempt of it.
    pub revision: u64,
}

/// A step as it is now.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names, clippy::struct_excessive_bools)] // as receivers read it
pub(super) struct Step<'a> {
    /// Of which operation.
    pub operation: OperationId,
    /// Its name in addresses.
    pub step: String,
    /// Which hook.
    pub hook: &'a HookRef,
    /// Where it is.
    pub state: StepState,
    /// A person must decide.
    pub waiting: bool,
    /// It is kept from starting, or its successors from going on.
    pub held: bool,
    /// A predecessor was run again after it had used its outputs.
    pub stale: bool,
    /// Number of the newest attempt; 0 before the first.
    pub attempt: u32,
    /// Automatic attempts used since the last decision of a person.
    pub retries_used: u32,
    /// Earliest start of the next attempt.
    pub not_before: Option<Timestamp>,
    /// The failure is noted and counts as done.
    pub failure_accepted: bool,
    /// The last decision of a person.
    pub decision: Option<&'a Decision>,
    /// When the first attempt was created.
    pub started_at: Option<Timestamp>,
    /// When it reached a state from which only a person moves it.
    pub ended_at: Option<Timestamp>,
}

/// An attempt as it is now. Without outputs: they may be what only the step's successors should read.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attempt<'a> {
    /// Of which operation.
    pub operation: OperationId,
    /// Of which step, as its name in addresses.
    pub step: String,
    /// Of which hook.
    pub hook: &'a HookRef,
    /// 1 for the first.
    pub number: u32,
    /// Where it is.
    pub state: AttemptState,
    /// Nothing is known of it since then.
    pub unknown_since: Option<Timestamp>,
    /// A kill was asked for.
    pub kill: Option<&'a KillRequest>,
    /// How it ended; nothing while it is not over.
    pub outcome: Option<Outcome<'a>>,
    /// The Pod, Job or process.
    pub object: Option<&'a str>,
    /// Node or host it ran on.
    pub node: Option<&'a str>,
    /// What it waits for while starting, in the platform's words.
    pub waiting_for: Option<&'a str>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the container started, by the region's clock.
    pub started_at: Option<Timestamp>,
    /// When it was over, by the region's clock.
    pub ended_at: Option<Timestamp>,
}

/// How an attempt ended.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome<'a> {
    /// Nothing: it ended with 0.
    pub reason: Option<FailureReason>,
    /// The container's exit code, where there was one.
    pub exit_code: Option<i32>,
    /// The platform's own words.
    pub message: &'a str,
}

/// Something waits for a person, or does so no more.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attention<'a> {
    /// Unique.
    pub id: AttentionId,
    /// What waits.
    pub kind: AttentionKind,
    /// Names its cause.
    pub key: &'a str,
    /// The environment it belongs to.
    pub environment: Option<EnvironmentId>,
    /// The operation it belongs to.
    pub operation: Option<OperationId>,
    /// The hook or step it belongs to.
    pub hook: Option<&'a HookRef>,
    /// The region it belongs to.
    pub region: Option<&'a RegionName>,
    /// One sentence for people.
    pub message: &'a str,
    /// The command that resolves it.
    pub remedy: &'a str,
    /// Since when.
    pub raised_at: Timestamp,
    /// Until when; nothing while it waits.
    pub settled_at: Option<Timestamp>,
}

/// A region as it is now.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Region<'a> {
    /// Unique.
    pub name: &'a RegionName,
    /// What runs its attempts.
    pub executor: Option<Executor>,
    /// The agent's version.
    pub agent_version: Option<&'a str>,
    /// The agent process that spoke last.
    pub session: Option<AgentSessionId>,
    /// When it last spoke.
    pub last_seen_at: Option<Timestamp>,
    /// The agent has reported all of its hooks.
    pub inventory_complete: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A hold by predicate was set or lifted.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hold<'a> {
    /// What it holds, who set it and why.
    pub hold: &'a tenantry_model::Hold,
    /// Who lifted it; nothing while it holds.
    pub lifted: Option<Lifted<'a>>,
}

/// The end of a hold.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lifted<'a> {
    /// Who; the system when its time had come.
    pub by: &'a Actor,
    /// Why.
    pub reason: Option<&'a str>,
    /// When.
    pub at: Timestamp,
}

/// A verb that waits, or waited, for a second person. Without outputs: they may be what only the step's successors should
/// read.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Approval<'a> {
    /// Unique.
    pub id: ApprovalId,
    /// Where it is.
    pub state: ApprovalState,
    /// Which environment, or that of the operation.
    pub environment: EnvironmentId,
    /// The operation of the step that it is about.
    pub operation: Option<OperationId>,
    /// The step that it is about, as its name in addresses.
    pub step: Option<String>,
    /// What is to be done.
    pub verb: &'a str,
    /// The first person's reason.
    pub reason: Option<&'a str>,
    /// The first person.
    pub requested_by: &'a Actor,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Who decided.
    pub decided_by: Option<&'a Actor>,
    /// Why.
    pub decision_reason: Option<&'a str>,
    /// When.
    pub decided_at: Option<Timestamp>,
}

/// A hook as its region last reported it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names)] // as receivers read it
pub(super) struct Hook<'a> {
    /// Which one.
    pub hook: &'a HookRef,
    /// The version in the region now, if it can be read.
    pub hash: Option<String>,
    /// The operations that it takes part in.
    pub operations: Option<Vec<&'a OperationName>>,
    /// Why it cannot be read.
    pub problems: &'a [Problem],
    /// Since when the region has no such Job.
    pub absent_since: Option<Timestamp>,
    /// Who declared its removal.
    pub retired: Option<Retired<'a>>,
}

/// A declared removal of a hook.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Retired<'a> {
    /// Who.
    pub by: &'a Actor,
    /// Why.
    pub reason: &'a str,
    /// When.
    pub at: Timestamp,
}

/// What an operation's name means was stored or removed.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Definition<'a> {
    /// What it means now.
    Stored(&'a OperationDefinition),
    /// It means nothing of its own any more.
    Deleted {
        /// The name.
        name: &'a OperationName,
        /// `true`.
        deleted: bool,
    },
}

/// A schedule as it is now, or was when it was removed. Without the parameters.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Schedule<'a> {
    /// Unique.
    pub id: ScheduleId,
    /// What it is called.
    pub name: &'a ScheduleName,
    /// For people.
    pub description: &'a str,
    /// What it runs.
    pub operation: &'a OperationName,
    /// For what it runs.
    pub target: &'a ScheduleTarget,
    /// When, as a line of cron.
    pub cron: &'a str,
    /// In which zone.
    pub time_zone: &'a str,
    /// What becomes of times that nobody saw come.
    pub catch_up: CatchUp,
    /// What becomes of a run whose predecessor still runs.
    pub overlap: Overlap,
    /// When a run must have ended.
    #[schemars(with = "Option<String>")]
    pub deadline: Option<RunDeadline>,
    /// Who paused it; nothing while it fires.
    pub paused: Option<&'a Paused>,
    /// The last time that was seen.
    pub last_time: Option<Timestamp>,
    /// The next one.
    pub next_time: Option<Timestamp>,
    /// Raised with each change by a person.
    pub revision: u64,
    /// Who made it.
    pub created_by: &'a Actor,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A schedule's time has come.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fired<'a> {
    /// Which schedule.
    pub schedule: ScheduleId,
    /// What it is called.
    pub name: &'a ScheduleName,
    /// The times that got runs.
    pub times: &'a [Timestamp],
    /// How many times got none.
    pub left_out: u64,
    /// For how many environments.
    pub environments: u64,
    /// The next time.
    pub next_time: Option<Timestamp>,
}

/// A run of a schedule as it is now.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Run<'a> {
    /// Of which schedule.
    pub schedule: ScheduleId,
    /// For which environment.
    pub environment: EnvironmentId,
    /// Which time.
    pub scheduled_time: Timestamp,
    /// Why it is there.
    pub cause: RunCause,
    /// Where it is.
    pub state: RunState,
    /// What was requested.
    pub operation: Option<OperationId>,
    /// Why it is where it is, for people.
    pub note: Option<&'a str>,
    /// When it must have ended.
    pub deadline_at: Option<Timestamp>,
    /// It will probably not.
    pub at_risk: bool,
    /// It did not.
    pub missed: bool,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub changed_at: Timestamp,
}
