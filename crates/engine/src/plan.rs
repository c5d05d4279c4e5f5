//! Hooks + environment + operation definition → the steps and their edges.

use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_hook::Hook;
use tenantry_model::{
    AppliedHook, Environment, HookPath, HookRef, OperationDefinition, Problem, RegionName, Step,
};

/// A hook as the centre knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredHook {
    /// Its identity.
    pub hook: HookRef,
    /// The version that is in the region now, if it can be read.
    pub current: Option<Hook>,
    /// Why the version in the region now cannot be read (then `current` is `None`).
    pub problems: Vec<Problem>,
    /// The version that was last part of a good plan.
    pub last_good: Option<Hook>,
    /// Since when the region has no such Job; `None` while it is there.
    pub absent_since: Option<Timestamp>,
    /// Its removal was declared by `hook retire`.
    pub retired: bool,
}

/// Everything a plan is made from.
#[derive(Clone, Debug)]
pub struct PlanInput<'a> {
    /// For whom.
    pub environment: &'a Environment,
    /// What.
    pub definition: &'a OperationDefinition,
    /// All hooks of the regions whose hooks may take part (absent and quarantined ones included).
    pub hooks: &'a [RegisteredHook],
    /// What ran for this environment before: `expected` rows make an absent hook known.
    pub applied: &'a [AppliedHook],
    /// Settings of the platform.
    pub policy: &'a PlanPolicy,
    /// When.
    pub now: Timestamp,
}

/// Settings of the platform that decide about plans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanPolicy {
    /// How long a hook may be absent before a plan that misses it is refused (Argo CD replaces by deleting);
    /// within it, the plan waits.
    pub absent_grace: SignedDuration,
    /// Whether `after` may name hooks of other namespaces.
    pub cross_namespace_after: bool,
    /// The regions whose hooks take part besides the environment's own.
    pub further_regions: BTreeSet<RegionName>,
}

/// A plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps, with their edges; states are `blocked`, or `skipped` where the selector deselects.
    pub steps: BTreeMap<HookRef, Step>,
    /// Versions that the plan quarantined (unknown `after` target, cycle) or found quarantined: the hook, why,
    /// and whether its last good version is used instead or it is left out.
    pub quarantined: Vec<Quarantined>,
    /// The versions that took part and are good from now on.
    pub good: Vec<(HookRef, Hook)>,
}

/// A version that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Of which hook.
    pub hook: HookRef,
    /// Why.
    pub problems: Vec<Problem>,
    /// Its last good version is in the plan instead.
    pub last_good_in_force: bool,
}

/// Why no plan was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanRefusal {
    /// Hooks that ran last time are absent for longer than the grace period.
    #[error("hooks that ran for this environment before are absent: {}", list(.0))]
    Absent(Vec<HookRef>),
    /// Hooks that ran last time are absent, not yet for long: plan again at the given time.
    #[error("hooks that ran for this environment before are absent since a moment ago: {}", list(.hooks))]
    AbsentForNow {
        /// Which.
        hooks: Vec<HookRef>,
        /// When the grace period of the first of them ends.
        until: Timestamp,
    },
    /// The definition requires hooks that are not there.
    #[error("required hooks are missing: {}", list(.0))]
    RequiredMissing(Vec<HookPath>),
    /// No hook is registered or selected, and the definition refuses that.
    #[error("no hook is registered for this operation and environment")]
    Empty,
}

impl PlanRefusal {
    /// Stable code, as in problem documents.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Absent(_) | Self::AbsentForNow { .. } => "plan-hook-absent",
            Self::RequiredMissing(_) => "plan-required-hook-missing",
            Self::Empty => "plan-empty",
        }
    }
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    let mut text = items.iter().take(20).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if items.len() > 20 {
        text.push_str(&format!(" and {} more", items.len() - 20));
    }
    text
}

/// Makes the plan. Deterministic: the order of `hooks` and `applied` does not matter.
pub fn plan(input: &PlanInput<'_>) -> Result<Plan, PlanRefusal> {
    let _ = input;
    todo!("comes with the engine's first code")
}
