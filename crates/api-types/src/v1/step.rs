//! Steps and attempts of an operation, and the verbs that steer them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model as model;
use tenantry_model::{
    AttemptState, Decision, HookRef, Kept, KillRequest, Outcome, Staleness, StepHold, StepPolicy, StepState,
    TemplateHash,
};
use utoipa::{IntoParams, ToSchema};

/// One hook in one operation.
#[allow(clippy::struct_excessive_bools)] // independent flags beside the state (DESIGN §7)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// `region.namespace.name`: the step's id in URLs.
    pub id: String,
    /// Which hook.
    pub hook: HookRef,
    /// The frozen version.
    pub template_hash: TemplateHash,
    /// The frozen policy.
    pub policy: StepPolicy,
    /// The steps that must be done first.
    pub after: BTreeSet<HookRef>,
    /// Where it is.
    pub state: StepState,
    /// A person must decide (rerun, skip, confirm, declare-lost, cancel).
    pub waiting: bool,
    /// Will not start, and its successors wait, until it is released.
    pub held: bool,
    /// Who holds it; a hold with an `id` was set by predicate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<StepHold>,
    /// A predecessor was run again after this step had used its outputs.
    pub stale: bool,
    /// Which predecessor, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staleness: Option<Staleness>,
    /// The predecessors that it was told not to wait for, and by whom.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ignored: BTreeMap<HookRef, Decision>,
    /// Its attempt is being ended; then the step begins again (`:stop`, `:rerun` with successors).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restarting: bool,
    /// It was done in the operation that this one replays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// Number of the newest attempt; 0 before the first.
    pub attempt: u32,
    /// Earliest start of the next attempt after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// What the successful attempt wrote, or `confirm` gave.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// The failure is noted and counts as done (`on-failure: continue`).
    pub failure_accepted: bool,
    /// The last decision of a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// When the first attempt was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it reached a state from which only a person moves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Oldest first.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
}

impl From<model::Step> for Step {
    fn from(from: model::Step) -> Self {
        Self {
            id: from.hook.slug(),
            held: from.is_held(),
            stale: from.is_stale(),
            hook: from.hook,
            template_hash: from.template_hash,
            policy: from.policy,
            after: from.after,
            state: from.state,
            waiting: from.waiting,
            holds: from.holds,
            staleness: from.staleness,
            ignored: from.ignored,
            restarting: from.restarting,
            kept: from.kept,
            attempt: from.attempt,
            not_before: from.not_before,
            outputs: from.outputs,
            failure_accepted: from.failure_accepted,
            decision: from.decision,
            started_at: from.started_at,
            ended_at: from.ended_at,
            attempts: Vec::new(),
        }
    }
}

/// One execution of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// 1, 2, …
    pub number: u32,
    /// Where it is.
    pub state: AttemptState,
    /// Nothing is known of it since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_since: Option<Timestamp>,
    /// A kill was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill: Option<KillRequest>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What a superseded or lost attempt was later seen to have done; history only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_outcome: Option<Outcome>,
    /// Images by container.
    #[serde(default)]
    pub images: BTreeMap<String, String>,
    /// The Pod, Job or process, as people find it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Node or host it ran on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What it waits for while starting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the container started, by the region's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it was over, by the region's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl From<model::Attempt> for Attempt {
    fn from(from: model::Attempt) -> Self {
        Self {
            number: from.id.number,
            state: from.state,
            unknown_since: from.unknown_since,
            kill: from.kill,
            outcome: from.outcome,
            late_outcome: from.late_outcome,
            images: from.images,
            object: from.object,
            node: from.node,
            waiting_for: from.waiting_for,
            created_at: from.created_at,
            started_at: from.started_at,
            ended_at: from.ended_at,
        }
    }
}

/// Steers a step: body of `:kill`, `:skip`, `:declare-lost`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SteerStep {
    /// Why; required where the verb changes what runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the caller saw; something else is 409 with the present state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<ExpectedStep>,
}

/// It was done by hand: body of `:confirm`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ConfirmStep {
    /// Why; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the caller saw; something else is 409 with the present state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<ExpectedStep>,
    /// What successors read as its outputs; at most 4 KiB as JSON.
    pub outputs: BTreeMap<String, String>,
}

/// What a caller saw before it decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ExpectedStep {
    /// The step's state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<StepState>,
    /// The number of its newest attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
}

/// Which part of an attempt's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// First byte, from 0.
    #[serde(default)]
    pub offset: u64,
    /// At most this many bytes, 1 to 1,048,576 (default 1,048,576).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1_048_576)]
    pub limit: Option<u32>,
}

/// One message of `…/log:follow`. Its SSE id is `nextOffset`: `Last-Event-ID` goes on from there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogEvent {
    /// Offset of the first byte.
    pub offset: u64,
    /// Offset after the last byte.
    pub next_offset: u64,
    /// The bytes, base64 (a log may hold anything, and is cut at any byte).
    pub data: String,
    /// Nothing follows, ever.
    pub complete: bool,
}
