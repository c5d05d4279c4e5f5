//! One hook in one operation.

use crate::{Actor, HookRef, OperationId, TemplateHash};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// State of a step (DESIGN §7).
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
pub enum StepState {
    /// Waits for other steps.
    Blocked,
    /// May start; waits for its backoff or (next issue) a release.
    Ready,
    /// Has an attempt that is not known to be over.
    Running,
    /// Its last attempt ended with 0.
    Succeeded,
    /// Its last attempt did not; with the flag `waiting` it waits for a decision.
    Failed,
    /// Left out by a person or by the selector.
    Skipped,
    /// Done by hand.
    Confirmed,
    /// The operation ended before it did.
    Cancelled,
}

impl StepState {
    /// Every state, for tables and tests.
    pub const ALL: [Self; 8] = [
        Self::Blocked,
        Self::Ready,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Skipped,
        Self::Confirmed,
        Self::Cancelled,
    ];

    /// Successors may start. A failure that was accepted counts as well: ask [`Step::is_done`].
    #[must_use]
    pub fn is_done(self) -> bool {
        matches!(self, Self::Succeeded | Self::Skipped | Self::Confirmed)
    }
}

/// `tenant.on-failure`: what a failure without retries left does.
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
pub enum OnFailure {
    /// The step waits for a decision; siblings go on.
    #[default]
    Wait,
    /// No new steps start, running ones end, the operation failed.
    Fail,
    /// Counts as done with the failure noted; successors run.
    Continue,
}

/// `tenant.on-lost`: what an attempt does that stays unknown past its deadline.
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
pub enum OnLost {
    /// A person decides.
    #[default]
    Wait,
    /// Another attempt starts and may overlap the lost one.
    Retry,
}

/// What the hook's annotations say about how its step behaves; frozen at plan time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepPolicy {
    /// After a failure without retries left.
    pub on_failure: OnFailure,
    /// After the deadline of unknown.
    pub on_lost: OnLost,
    /// Automatic attempts beyond the first.
    pub retries: u32,
    /// Of one attempt, from its start; `None`: no limit.
    #[schemars(with = "Option<String>")]
    #[schema(value_type = Option<String>)]
    pub timeout: Option<SignedDuration>,
}

/// A step's row.
#[expect(clippy::struct_excessive_bools, reason = "flags beside the state, as DESIGN §7 names them")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Of which operation.
    pub operation: OperationId,
    /// Which hook; the step's identity within the operation.
    pub hook: HookRef,
    /// The frozen version.
    pub template_hash: TemplateHash,
    /// The frozen policy.
    pub policy: StepPolicy,
    /// The steps of this operation that must be done first (declared edges, after leaving out what counts as done).
    pub after: BTreeSet<HookRef>,
    /// Where it is.
    pub state: StepState,
    /// A person must decide (rerun, skip, confirm, declare-lost, cancel).
    pub waiting: bool,
    /// Will not start (next issue).
    pub held: bool,
    /// A predecessor was run again after this step had used its outputs (next issue).
    pub stale: bool,
    /// Number of the newest attempt; 0 before the first.
    pub attempt: u32,
    /// Automatic attempts used since the last decision of a person.
    pub retries_used: u32,
    /// Earliest start of the next attempt while `ready` after a failure.
    pub not_before: Option<Timestamp>,
    /// What the successful attempt wrote, or `confirm` gave; at most 4 KiB as JSON.
    pub outputs: BTreeMap<String, String>,
    /// The failure is noted and counts as done (`on-failure: continue`).
    pub failure_accepted: bool,
    /// The last decision of a person.
    pub decision: Option<Decision>,
    /// When the first attempt was created.
    pub started_at: Option<Timestamp>,
    /// When it reached a state from which only a person moves it.
    pub ended_at: Option<Timestamp>,
}

impl Step {
    /// Successors may start: it is done, or its failure is accepted (`on-failure: continue`).
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state.is_done() || self.failure_accepted
    }
}

/// What a person decided, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The verb (`rerun`, `skip`, …).
    pub verb: String,
    /// Who.
    pub by: Actor,
    /// Why.
    pub reason: Option<String>,
    /// When.
    #[schemars(with = "String")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}
