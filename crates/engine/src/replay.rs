//! An operation again: which steps run, and which are kept as an earlier operation left them.
//!
//! Whatever comes after a step that runs, runs as well: nothing is kept that used something which is made anew. It must
//! never know which parameters were set differently.

use crate::mutants::{self, Mutant};
use crate::plan::catch;
use crate::{Deselected, Plan, PlanRefusal, RegisteredHook, Run};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::{Environment, Hold, HookRef, Kept, OperationId, Step, StepState};

/// Everything that the plan of a replay is made from.
#[derive(Clone, Debug)]
pub struct ReplayInput<'a> {
    /// Whose steps they will be.
    pub operation: OperationId,
    /// What is repeated. It should have ended: what is not done there runs here.
    pub original: &'a Run,
    /// From these steps on; empty: all of it.
    pub from: &'a BTreeSet<HookRef>,
    /// Where the versions and the order come from.
    pub versions: VersionsOf<'a>,
    /// For whom.
    pub environment: &'a Environment,
    /// The holds that were set by predicate: they catch the steps that run.
    pub holds: &'a [Hold],
    /// When.
    pub now: Timestamp,
}

/// Where the versions and the order of a replay come from.
#[derive(Clone, Debug)]
pub enum VersionsOf<'a> {
    /// The original. The hooks as the centre knows them now say which are gone.
    Original(&'a [RegisteredHook]),
    /// A plan that was made now from these hooks: see [`crate::plan()`]. A hook that is new in it runs.
    Plan(Plan, &'a [RegisteredHook]),
}

/// Makes the plan of a replay.
///
/// # Errors
/// [`PlanRefusal::UnknownSteps`] if `from` names steps that are not there, [`PlanRefusal::Gone`] if a step would have
/// to run whose hook is absent or retired, [`PlanRefusal::Deselected`] if `from` names a step that its selector leaves
/// out: it would be over at once, and whoever asked would take that for done.
pub fn replay(input: ReplayInput<'_>) -> Result<Plan, PlanRefusal> {
    let original = input.original;
    let unknown: Vec<HookRef> =
        input.from.iter().filter(|hook| !original.steps().contains_key(*hook)).cloned().collect();
    if !unknown.is_empty() {
        return Err(PlanRefusal::UnknownSteps(unknown));
    }
    let (mut plan, hooks, is_frozen) = match input.versions {
        VersionsOf::Original(hooks) => (frozen(original, input.operation), hooks, true),
        VersionsOf::Plan(plan, hooks) => (plan, hooks, false),
    };
    let gone: Vec<HookRef> =
        input.from.iter().filter(|hook| !plan.steps.contains_key(*hook)).cloned().collect();
    if !gone.is_empty() {
        return Err(PlanRefusal::Gone(gone));
    }
    let deselected = deselected(&plan, input.from, hooks, input.environment);
    if !deselected.is_empty() {
        return Err(PlanRefusal::Deselected(deselected));
    }
    let running = running(&plan.steps, original, input.from);
    if is_frozen {
        let there: BTreeSet<&HookRef> = hooks
            .iter()
            .filter(|hook| hook.absent_since.is_none() && !hook.retired)
            .map(|hook| &hook.hook)
            .collect();
        let runs = |hook: &&HookRef| plan.steps[*hook].state == StepState::Blocked;
        let gone: Vec<HookRef> =
            running.iter().filter(runs).filter(|hook| !there.contains(hook)).cloned().collect();
        if !gone.is_empty() {
            return Err(PlanRefusal::Gone(gone));
        }
    }
    for (hook, step) in &mut plan.steps {
        let before = original.steps().get(hook).filter(|_| !running.contains(hook));
        if let Some(before) = before.filter(|_| step.state == StepState::Blocked) {
            keep(step, before);
        }
    }
    for step in plan.steps.values_mut() {
        step.holds.clear();
    }
    catch(&mut plan.steps, input.holds, input.environment, &original.operation().name, input.now);
    Ok(plan)
}

/// Those of `from` that would not run, with the selector that says so.
fn deselected(
    plan: &Plan,
    from: &BTreeSet<HookRef>,
    hooks: &[RegisteredHook],
    environment: &Environment,
) -> Vec<Deselected> {
    let left_out = from.iter().filter_map(|hook| plan.steps.get(hook)).filter(|step| step.is_deselected());
    left_out
        .map(|step| {
            let known = hooks.iter().find(|known| known.hook == step.hook);
            let versions = known.into_iter().flat_map(|known| known.current.iter().chain(&known.last_good));
            let version = versions.into_iter().find(|version| version.hash == step.template_hash);
            Deselected::new(&step.hook, version, environment)
        })
        .collect()
}

/// The original's steps as if nothing had run yet.
fn frozen(original: &Run, operation: OperationId) -> Plan {
    let fresh = |step: &Step| {
        let mut fresh = Step::new(
            operation,
            step.hook.clone(),
            step.template_hash.clone(),
            step.policy.clone(),
            step.after.clone(),
        );
        if step.is_deselected() {
            fresh.state = StepState::Skipped;
        }
        (step.hook.clone(), fresh)
    };
    Plan { steps: original.steps().values().map(fresh).collect(), ..Plan::default() }
}

/// The chosen steps, what was not done in the original, and everything after them.
fn running(steps: &BTreeMap<HookRef, Step>, original: &Run, from: &BTreeSet<HookRef>) -> BTreeSet<HookRef> {
    if from.is_empty() {
        return steps.keys().cloned().collect();
    }
    let mut successors: BTreeMap<&HookRef, Vec<&HookRef>> = BTreeMap::new();
    for step in steps.values() {
        for target in &step.after {
            successors.entry(target).or_default().push(&step.hook);
        }
    }
    let undone = |hook: &&HookRef| {
        let before = original.steps().get(*hook);
        from.contains(*hook) || before.is_none_or(|step| !step.is_done() || step.is_stale())
    };
    let mut ahead: Vec<&HookRef> = steps.keys().filter(undone).collect();
    let mut running = BTreeSet::new();
    while let Some(hook) = ahead.pop() {
        // What its selector leaves out does not run, and nothing waits for others through it.
        if steps[hook].state == StepState::Blocked && running.insert(hook.clone()) {
            ahead.extend(successors.get(hook).into_iter().flatten());
        }
    }
    if mutants::on(Mutant::ReplayRunsKept) {
        running.extend(steps.keys().cloned());
    }
    running
}

fn keep(step: &mut Step, before: &Step) {
    step.state = before.state;
    step.failure_accepted = before.failure_accepted;
    step.outputs.clone_from(&before.outputs);
    let here = Kept { operation: before.operation, attempt: before.attempt };
    step.kept = Some(before.kept.clone().unwrap_or(here));
}
