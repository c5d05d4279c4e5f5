//! One hook in one operation.

use crate::{Actor, HookRef, OperationId, StepHold, TemplateHash};
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
    /// May start; waits for its backoff, a release, the operation's resume, or the end of what `rerun
    /// --with-successors` stops.
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
    /// Who keeps it from starting, and its successors from going on. At most one is a person's own.
    #[serde(default)]
    pub holds: Vec<StepHold>,
    /// Attention was raised because it is held for long (once).
    #[serde(default)]
    pub hold_reported: bool,
    /// A predecessor was run again after this step had used its outputs; a person settles it.
    #[serde(default)]
    pub staleness: Option<Staleness>,
    /// The predecessors that a person told it not to wait for, and who.
    #[serde(default)]
    pub ignored: BTreeMap<HookRef, Decision>,
    /// Its attempt is being ended and thrown away; once that is known to be over, the step begins again (`stop`,
    /// `rerun --with-successors`).
    #[serde(default)]
    pub restarting: bool,
    /// It was done in an earlier operation that this one replays; its outputs are from there.
    #[serde(default)]
    pub kept: Option<Kept>,
    /// Number of the newest attempt; 0 before the first.
    pub attempt: u32,
    /// Automatic attempts used since the last decision of a person.
    pub retries_used: u32,
    /// The newest attempt when a person last asked for another one: it and older ones do not count as automatic.
    #[serde(default)]
    pub retries_from: u32,
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
    /// A step that has not begun.
    #[must_use]
    pub fn new(
        operation: OperationId,
        hook: HookRef,
        template_hash: TemplateHash,
        policy: StepPolicy,
        after: BTreeSet<HookRef>,
    ) -> Self {
        Self {
            operation,
            hook,
            template_hash,
            policy,
            after,
            state: StepState::Blocked,
            waiting: false,
            holds: Vec::new(),
            hold_reported: false,
            staleness: None,
            ignored: BTreeMap::new(),
            restarting: false,
            kept: None,
            attempt: 0,
            retries_used: 0,
            retries_from: 0,
            not_before: None,
            outputs: BTreeMap::new(),
            failure_accepted: false,
            decision: None,
            started_at: None,
            ended_at: None,
        }
    }

    /// It is done, or its failure is accepted (`on-failure: continue`).
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state.is_done() || self.failure_accepted
    }

    /// Its hook's selector left it out; nobody decided that.
    #[must_use]
    pub fn is_deselected(&self) -> bool {
        self.state == StepState::Skipped && self.decision.is_none() && self.kept.is_none()
    }

    /// Somebody keeps it from starting, and its successors from going on.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.holds.is_empty()
    }

    /// A predecessor was run again after this step had used its outputs.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.staleness.is_some()
    }

    /// Successors may start: it is done, nobody holds it, and what it made is not of an older run of a predecessor.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_done() && !self.is_held() && !self.is_stale()
    }
}

/// Why what a step made is out of date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Staleness {
    /// The step that was run again.
    pub of: HookRef,
    /// When that was asked for.
    #[schemars(with = "String")]
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// Where a step of a replay was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// The operation in which it ran, also when a replay is replayed.
    pub operation: OperationId,
    /// The attempt that made its outputs; 0: none did (skipped, confirmed).
    pub attempt: u32,
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

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;

    /// As version 0.1 wrote it, before steps could be held by name and operations replayed.
    #[test]
    fn a_row_of_the_first_version_reads() {
        let row = serde_json::json!({
            "operation": "0197f3a0-0000-7000-8000-000000000001", "hook": "eu1/crm/tenant", "templateHash": "ab",
            "policy": { "onFailure": "wait", "onLost": "wait", "retries": 2, "timeout": "PT6H" },
            "after": ["eu1/billing/accounts"], "state": "failed", "waiting": true, "held": false, "stale": false,
            "attempt": 3, "retriesUsed": 2, "notBefore": null, "outputs": {}, "failureAccepted": false,
            "decision": null, "startedAt": null, "endedAt": null
        });
        let step: Step = serde_json::from_value(row).unwrap();
        assert!(!step.is_held() && !step.is_stale() && !step.restarting && step.kept.is_none());
        assert_eq!((step.attempt, step.retries_from, step.ignored.len()), (3, 0, 0));
        let again: Step = serde_json::from_value(serde_json::to_value(&step).unwrap()).unwrap();
        assert_eq!(again, step);
    }
}
