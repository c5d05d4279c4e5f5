//! Rows that are the store's own: commands, events, idempotency, audit, hooks as a region reported them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use tenantry_hook::Hook;
use tenantry_model::{
    Actor, AgentSessionId, AppliedHook, Attempt, AttemptId, CommandId, EnvironmentId, EnvironmentState,
    HookRef, Operation, OperationId, OperationName, OperationState, Problem, RegionName, ScheduleId,
    ScheduleRun, Scope, Step, TemplateHash, TenantName,
};

/// A hook as its region last reported it, and what the centre decided about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookRow {
    /// Identity.
    pub hook: HookRef,
    /// The version in the region now, if it can be read.
    pub current: Option<Hook>,
    /// Why it cannot.
    pub problems: Vec<Problem>,
    /// The version that was last part of a good plan.
    pub last_good: Option<Hook>,
    /// Since when the region has no such Job.
    pub absent_since: Option<Timestamp>,
    /// Who declared its removal, when and why.
    pub retired: Option<Retired>,
    /// The versions that were planned, and when last: their region keeps them for replays.
    #[serde(default)]
    pub planned: BTreeMap<TemplateHash, Timestamp>,
    /// When the current version was first seen.
    pub seen_at: Timestamp,
}

/// A declared removal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retired {
    /// Who.
    pub by: Actor,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// What events have changed about one operation: each row once, as they leave it.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Which operation.
    pub id: OperationId,
    /// Its environment.
    pub environment: EnvironmentId,
    /// Its own row.
    pub operation: Option<Operation>,
    /// Rows of its steps.
    pub steps: Vec<Step>,
    /// Rows of their attempts.
    pub attempts: Vec<Attempt>,
    /// What hooks have applied for its environment.
    pub applied: Vec<AppliedHook>,
    /// New commands about its attempts, in order.
    pub commands: Vec<Command>,
    /// What becomes of its timer.
    pub timer: TimerChange,
}

/// What becomes of an operation's timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimerChange {
    /// It stays as it is.
    #[default]
    None,
    /// It is due then.
    Due(Timestamp),
    /// There is none any more.
    Gone,
}

impl From<Option<Timestamp>> for TimerChange {
    fn from(due: Option<Timestamp>) -> Self {
        due.map_or(Self::Gone, Self::Due)
    }
}

/// Commands are given out until their bodies are this large together: at least one, and never more than an agent takes in
/// one answer. What is left comes with the next lease.
pub const LEASE_BYTES: i64 = 8 * 1024 * 1024;

/// What a command asks of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandKind {
    /// Start the attempt.
    Start,
    /// End the attempt.
    Kill,
    /// The outcome is committed: let go of the object.
    Release,
}

/// One command to a region's agent. Delivered at least once; carrying it out twice changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// UUIDv7: agents get commands in this order.
    pub id: CommandId,
    /// Which region.
    pub region: RegionName,
    /// About which attempt.
    pub attempt: AttemptId,
    /// What.
    pub kind: CommandKind,
    /// For a start: everything the agent needs besides the template, as the protocol's JSON; for a kill: cause.
    pub body: Value,
    /// Who has it, and until when nobody else gets it.
    pub lease: Option<Lease>,
}

/// A leased command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The agent process.
    pub session: AgentSessionId,
    /// When others may have it.
    pub until: Timestamp,
}

/// One event in the outbox; becomes a CloudEvent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventRecord {
    /// Position in the outbox; grows, gaps are possible. 0 until it is stored.
    pub position: u64,
    /// `io.tenantry.step.changed.v1`, …
    pub kind: String,
    /// Of which environment, if of one.
    pub environment: Option<EnvironmentId>,
    /// The environment's version that this change made.
    pub version: u64,
    /// Of which operation, if of one.
    pub operation: Option<OperationId>,
    /// When.
    pub at: Timestamp,
    /// What is new: the resource as the API shows it, or the changed part.
    pub data: Value,
}

/// The right to do work that exists once. Whoever writes in it shows it ([`crate::Write::check_lease`]), so that a
/// process that slept past its lease cannot write any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Which work.
    pub name: String,
    /// Grows with every new holder.
    pub fencing: u64,
}

/// Which events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only this environment's.
    pub environment: Option<EnvironmentId>,
    /// Only this operation's.
    pub operation: Option<OperationId>,
}

/// The stored answer to a request with an Idempotency-Key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotentAnswer {
    /// The token that made the request and its key; unique together.
    pub key: String,
    /// Hash of method, path and body: another request under the same key is a conflict.
    pub request_hash: String,
    /// Not used any more: 0.
    pub status: u16,
    /// What the request came to, as the manager writes it.
    pub body: String,
    /// Not used any more.
    pub etag: Option<String>,
    /// When it was stored.
    pub at: Timestamp,
}

/// One change, who made it, why, from where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Position in its chain, from 1.
    pub position: u64,
    /// The environment whose chain it is in; `None`: the chain of what belongs to none.
    pub environment: Option<EnvironmentId>,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What (`environment.create`, `step.skip`).
    pub action: String,
    /// On what (resource name).
    pub target: String,
    /// Why.
    pub reason: Option<String>,
    /// From where (address of the client), if over the network.
    pub origin: Option<String>,
    /// The Idempotency-Key of the request that brought it about. What has none is hashed as it was before there was this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The changed part before.
    pub before: Value,
    /// The changed part after.
    pub after: Value,
    /// SHA-256 over this entry and `previous`, lower-case hex; made by the manager.
    pub hash: String,
    /// Hash of the entry before it in its chain; empty for the first.
    pub previous: String,
}

/// Which environments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvironmentFilter {
    /// Of one tenant.
    pub tenant: Option<TenantName>,
    /// In one region.
    pub region: Option<RegionName>,
    /// In one state.
    pub state: Option<EnvironmentState>,
    /// Purged ones too; asked for by their state, they are found anyway.
    pub purged: bool,
    /// Only what these scopes allow; `None`: all.
    pub scopes: Option<Vec<Scope>>,
}

/// Which operations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperationFilter {
    /// For one environment.
    pub environment: Option<EnvironmentId>,
    /// Of one name.
    pub name: Option<OperationName>,
    /// In one state.
    pub state: Option<OperationState>,
    /// Only unfinished ones.
    pub unfinished: bool,
    /// Only what these scopes (of the environment) allow; `None`: all.
    pub scopes: Option<Vec<Scope>>,
}

/// Which things that wait for a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttentionFilter {
    /// Of one operation.
    pub operation: Option<OperationId>,
    /// Settled ones too.
    pub settled: bool,
    /// Only what these scopes allow (those of no environment and no region need `Scope::All`); `None`: all.
    pub scopes: Option<Vec<Scope>>,
}

/// What names a run of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey {
    /// Of which schedule.
    pub schedule: ScheduleId,
    /// For which environment.
    pub environment: EnvironmentId,
    /// Which time.
    pub scheduled_time: Timestamp,
}

impl RunKey {
    /// The key of a run.
    #[must_use]
    pub fn of(run: &ScheduleRun) -> Self {
        let ScheduleRun { schedule, environment, scheduled_time, .. } = *run;
        Self { schedule, environment, scheduled_time }
    }
}

impl std::fmt::Display for RunKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.schedule, self.environment, self.scheduled_time)
    }
}
