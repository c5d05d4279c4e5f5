//! Hooks + environment + operation definition → the steps and their edges.
//!
//! First every version is judged without looking at the environment (so that all environments agree about what is
//! quarantined), then the selectors decide which steps run for this one. It must never know who reports hooks.

mod absent;
mod judge;

use crate::hold_matches;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_hook::{Hook, Selector};
use tenantry_model::{
    AppliedHook, EmptyPlan, Environment, Hold, HookPath, HookRef, OperationDefinition, OperationId,
    OperationName, Problem, RegionName, Step, StepState,
};

/// A hook as the centre knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredHook {
    /// Its identity.
    pub hook: HookRef,
    /// The version that is in the region now, if it can be read; while it is absent, the one that was there last
    /// may stay.
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
    /// Whose steps they will be.
    pub operation: OperationId,
    /// For whom.
    pub environment: &'a Environment,
    /// What.
    pub definition: &'a OperationDefinition,
    /// The hooks of the regions whose hooks may take part, absent and quarantined ones included. Of those that are not
    /// registered for the operation, at least the unreadable ones, those that others wait for, and those of `applied`.
    pub hooks: &'a [RegisteredHook],
    /// What ran for this environment before: `expected` rows make an absent hook known.
    pub applied: &'a [AppliedHook],
    /// The holds that were set by predicate: they catch the steps that they fit. Expired ones catch none.
    pub holds: &'a [Hold],
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
    /// The regions that keep no last good versions: what cannot be used there refuses the plan.
    pub strict_regions: BTreeSet<RegionName>,
}

/// A plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps, with their edges; states are `blocked`, or `skipped` where the selector deselects.
    pub steps: BTreeMap<HookRef, Step>,
    /// Versions that the plan quarantined (unknown `after` target, cycle) or found quarantined: the hook, why,
    /// and whether its last good version is used instead or it is left out.
    pub quarantined: Vec<Quarantined>,
    /// The versions that took part and are good from now on, as far as they are not recorded as that already.
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
    /// Hooks that ran last time, or would run now, are absent, not yet for long (Argo CD replaces by deleting): plan
    /// again at the given time, or as soon as one of them is back.
    #[error("hooks are absent since a moment ago: {}", list(.hooks))]
    AbsentForNow {
        /// Which.
        hooks: Vec<HookRef>,
        /// When the grace period of the first of them ends.
        until: Timestamp,
    },
    /// Hooks cannot be used, and their region keeps no last good version that could run instead.
    #[error("hooks cannot be used: {}", list(.0))]
    Quarantined(Vec<Quarantined>),
    /// The definition requires hooks that are not there.
    #[error("required hooks are missing: {}", list(.0))]
    RequiredMissing(Vec<HookPath>),
    /// A replay is to begin with steps that the original does not have.
    #[error("the operation that is replayed has no such steps: {}", list(.0))]
    UnknownSteps(Vec<HookRef>),
    /// A replay is to begin with steps that their selectors leave out: nothing of them would run.
    #[error("a replay cannot begin with what does not run for this environment: {}", list(.0))]
    Deselected(Vec<Deselected>),
    /// A replay has to run hooks that are not there any more.
    #[error("hooks of the operation that is replayed are gone: {}", list(.0))]
    Gone(Vec<HookRef>),
    /// No hook is registered or selected, and the definition refuses that.
    #[error("no hook is registered for this operation and environment")]
    Empty,
    /// More steps than the installation carries out.
    #[error("the plan has {steps} steps; at most {limit} are allowed")]
    TooManySteps {
        /// Of the plan.
        steps: usize,
        /// The most.
        limit: usize,
    },
    /// All steps together would be handed more than the installation carries.
    #[error(
        "{steps} steps would each be handed the environment's {size} bytes, twice (environment.yaml and changeset.yaml), \
         {} bytes in all; at most {limit} are allowed",
        steps.saturating_mul(*size).saturating_mul(2)
    )]
    TooMuchToHandOver {
        /// Those that run.
        steps: usize,
        /// Of the environment's `spec`, as JSON.
        size: usize,
        /// The most for all of them.
        limit: usize,
    },
}

impl std::fmt::Display for Quarantined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let why: Vec<&str> = self.problems.iter().map(|problem| problem.message.as_str()).collect();
        write!(f, "{} ({})", self.hook, why.join("; "))
    }
}

/// A step that its selector leaves out, and why, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deselected {
    /// Which.
    pub hook: HookRef,
    /// The selector of the version that would run; `None`: that version is not known any more.
    pub selector: Option<String>,
    /// The environment's labels, as `key=value`.
    pub labels: String,
    /// The selector selects these labels: they were others when the original was planned.
    pub selects_now: bool,
}

impl Deselected {
    pub(crate) fn new(hook: &HookRef, version: Option<&Hook>, environment: &Environment) -> Self {
        let labels = environment.labels.iter().map(|(key, value)| format!("{key}={value}"));
        Self {
            hook: hook.clone(),
            selector: version.map(|version| version.selector.clone()),
            labels: labels.collect::<Vec<_>>().join(","),
            selects_now: version.is_some_and(|version| selects(version, environment)),
        }
    }
}

impl std::fmt::Display for Deselected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { hook, selector, labels, selects_now } = self;
        match selector {
            None => write!(f, "{hook} was left out by the selector of the version that the original had"),
            Some(selector) if *selects_now => write!(
                f,
                "{hook} was left out by its selector ({selector}) when the original was planned; it selects the \
                 environment now ({labels})"
            ),
            Some(selector) if labels.is_empty() => {
                write!(f, "{hook} is left out by its selector ({selector}): the environment has no labels")
            }
            Some(selector) => {
                write!(f, "{hook} is left out by its selector ({selector}): the environment has {labels}")
            }
        }
    }
}

impl PlanRefusal {
    /// Stable code, as in problem documents.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Absent(_) | Self::AbsentForNow { .. } => "plan-hook-absent",
            Self::Quarantined(_) => "plan-hook-quarantined",
            Self::RequiredMissing(_) => "plan-required-hook-missing",
            Self::UnknownSteps(_) => "replay-unknown-step",
            Self::Deselected(_) => "replay-deselected",
            Self::Gone(_) => "replay-hook-gone",
            Self::Empty => "plan-empty",
            Self::TooManySteps { .. } | Self::TooMuchToHandOver { .. } => "plan-too-large",
        }
    }
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    let text = items.iter().take(20).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if items.len() > 20 { format!("{text} and {} more", items.len() - 20) } else { text }
}

/// Makes the plan. Deterministic: the order of `hooks` and `applied` does not matter.
///
/// A hook counts as required and there also when its selector leaves it out: that is its author's decision, made
/// per environment.
///
/// # Errors
/// [`PlanRefusal`], the first that holds in the order Absent, `AbsentForNow`, Quarantined, `RequiredMissing`, Empty.
pub fn plan(input: &PlanInput<'_>) -> Result<Plan, PlanRefusal> {
    absent::check(input)?;
    let judged = judge::judge(input);
    let unusable: Vec<Quarantined> = judged
        .quarantined
        .iter()
        .filter(|entry| input.policy.strict_regions.contains(&entry.hook.region))
        .cloned()
        .collect();
    if !unusable.is_empty() {
        return Err(PlanRefusal::Quarantined(unusable));
    }
    let missing: Vec<HookPath> = input
        .definition
        .required_hooks
        .iter()
        .filter(|path| !judged.versions.keys().any(|hook| hook.path() == **path))
        .cloned()
        .collect();
    if !missing.is_empty() {
        return Err(PlanRefusal::RequiredMissing(missing));
    }
    let mut plan = Plan { quarantined: judged.quarantined, good: judged.good, ..Plan::default() };
    for (hook, version) in judged.versions {
        let after = judged.after.get(&hook).cloned().unwrap_or_default();
        let state = if selects(version, input.environment) { StepState::Blocked } else { StepState::Skipped };
        plan.steps.insert(hook.clone(), step(input, hook, version, after, state));
    }
    catch(&mut plan.steps, input.holds, input.environment, &input.definition.name, input.now);
    let runs = plan.steps.values().any(|step| step.state == StepState::Blocked);
    if !runs && input.definition.empty_plan == EmptyPlan::Refuse {
        return Err(PlanRefusal::Empty);
    }
    Ok(plan)
}

/// Versions whose selector cannot be read were taken out before.
fn selects(version: &Hook, environment: &Environment) -> bool {
    version.selector.parse::<Selector>().is_ok_and(|selector| selector.matches(&environment.labels))
}

/// Whether the hooks of a region take part.
fn takes_part(input: &PlanInput<'_>, region: &RegionName) -> bool {
    *region == input.environment.region || input.policy.further_regions.contains(region)
}

fn step(
    input: &PlanInput<'_>,
    hook: HookRef,
    version: &Hook,
    after: BTreeSet<HookRef>,
    state: StepState,
) -> Step {
    let mut step = Step::new(input.operation, hook, version.hash.clone(), version.policy.clone(), after);
    step.state = state;
    step
}

/// Puts the holds on the steps that they catch. What is done already is not held.
pub(crate) fn catch(
    steps: &mut BTreeMap<HookRef, Step>,
    holds: &[Hold],
    environment: &Environment,
    operation: &OperationName,
    now: Timestamp,
) {
    for hold in holds.iter().filter(|hold| hold.until.is_none_or(|until| until > now)) {
        for step in steps.values_mut().filter(|step| step.state == StepState::Blocked) {
            if hold_matches(hold, environment, operation, &step.hook) {
                step.holds.push(hold.on_step(now));
            }
        }
    }
    for step in steps.values_mut() {
        step.holds.sort_by_key(|hold| hold.id);
    }
}
