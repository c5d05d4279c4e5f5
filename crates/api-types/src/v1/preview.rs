//! What an operation would do: the answer to `validateOnly`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tenantry_model::{HookRef, OperationId, OperationName, Problem, RegionName, StepState, TemplateHash};
use utoipa::ToSchema;

/// What an operation would do if it were requested now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// What it is called.
    pub name: OperationName,
    /// The generation that it would apply.
    pub generation: u64,
    /// Unfinished operations for which it would wait.
    pub waits_for: Vec<OperationId>,
    /// Unfinished operations that it would cancel.
    pub cancels: Vec<OperationId>,
    /// Regions for which it would wait: no living agent, or no complete inventory of hooks.
    pub waits_for_regions: Vec<RegionName>,
    /// The steps by what is known now; empty when there would be no plan.
    pub steps: Vec<PlannedStep>,
    /// Versions of hooks that the plan would not use.
    pub quarantined: Vec<QuarantinedHook>,
    /// Why there would be no plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    /// Which hook.
    pub hook: HookRef,
    /// Which version.
    pub template_hash: TemplateHash,
    /// The steps that must be done first.
    pub after: BTreeSet<HookRef>,
    /// `blocked`, or `skipped` where the selector deselects.
    pub state: StepState,
}

/// A version of a hook that a plan does not use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuarantinedHook {
    /// Which hook.
    pub hook: HookRef,
    /// Why.
    pub problems: Vec<Problem>,
    /// Its last good version is in the plan instead.
    pub last_good_in_force: bool,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// Stable code (`plan-hook-absent`, `plan-required-hook-missing`, `plan-empty`, `plan-too-large`).
    pub code: String,
    /// Which hooks, in words.
    pub detail: String,
}
