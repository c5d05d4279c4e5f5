//! Bodies of the verbs that steer operations and steps, and what a verb would do.

use super::{Approval, ExpectedStep, Operation};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use tenantry_model::{AttemptId, ConflictPolicy, Decision, HoldId, HookRef, OperationState, ReplayVersions};
use utoipa::ToSchema;

/// Keeps a step from starting: body of `:hold` and `:stop`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct HoldStep {
    /// Why; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the caller saw; something else is 409 with the present state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<ExpectedStep>,
    /// When the hold lifts by itself; absent: when it is released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Lifts a hold of one step: body of `:release`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ReleaseStep {
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the caller saw; something else is 409 with the present state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<ExpectedStep>,
    /// That of this hold by predicate, for this step only; absent: what `:hold` or `:stop` put on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldId>,
}

/// Another attempt: body of `:rerun`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RerunStep {
    /// Why; required with `withSuccessors`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the caller saw; something else is 409 with the present state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<ExpectedStep>,
    /// Everything that started after it begins again too. Default `false`: consumers become stale.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub with_successors: bool,
}

/// Does not wait for a predecessor: body of `:ignore-dependency`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct IgnoreDependency {
    /// Why; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the caller saw; something else is 409 with the present state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<ExpectedStep>,
    /// Which predecessor; absent: all that the step still waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<HookRef>,
}

/// Steers an operation: body of `:pause` and `:resume`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SteerOperation {
    /// Why; required for `:pause`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The state in which the caller saw the operation; another one is 409.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_state: Option<OperationState>,
}

/// Repeats an operation that has ended as a new one: body of `:replay`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ReplayOperation {
    /// Why; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// From these steps on: they and everything after them run, the others are kept with their outputs. Empty: all run.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub from: BTreeSet<HookRef>,
    /// Whose versions of the hooks run. Default `frozen`: those of the original.
    pub versions: ReplayVersions,
    /// Parameters that are different; `null` takes one away.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub set: Map<String, Value>,
    /// What to do when another operation is in the way; absent: what the definition says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<ConflictPolicy>,
}

/// What a verb would do now; the answer with `validateOnly`. What follows later, when what is killed is over, is not in
/// it, but for the steps that begin again then: those are in `reset`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VerbPreview {
    /// Attempts that would start at once.
    pub started: Vec<AttemptId>,
    /// Attempts whose end would be asked for.
    pub killed: Vec<AttemptId>,
    /// Attempts that would be given up as lost.
    pub lost: Vec<AttemptId>,
    /// Steps that would begin again.
    pub reset: Vec<HookRef>,
    /// Steps that would become stale.
    pub stale: Vec<HookRef>,
    /// Steps that would be settled without running.
    pub settled: Vec<HookRef>,
    /// Steps that would be held and are not yet.
    pub held: Vec<HookRef>,
    /// Steps that nobody would hold any more.
    pub released: Vec<HookRef>,
    /// Steps that would end with the operation.
    pub cancelled: Vec<HookRef>,
    /// Earlier decisions that would not hold any more.
    pub dropped: Vec<DroppedDecision>,
    /// The operation's new state, if it would be another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationState>,
}

/// A decision that would not hold any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DroppedDecision {
    /// About which step.
    pub step: HookRef,
    /// What was decided, by whom and why.
    pub decision: Decision,
    /// The predecessor that the step was told not to wait for, if that was it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependency: Option<HookRef>,
}

/// The answer to a verb: the operation after it; with `validateOnly` what it would do; with status 202 the approval that
/// waits for a second person.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant)] // made once, written once
pub enum VerbAnswer {
    /// Carried out.
    Done(Operation),
    /// Only looked at.
    Preview(VerbPreview),
    /// Waits.
    Pending(Approval),
}
