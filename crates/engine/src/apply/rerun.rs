//! A step begins again: alone, so that what used its outputs is stale; or with everything that started after it.

use super::draft::Draft;
use super::{cancel, start};
use crate::Action;
use crate::attention;
use crate::mutants::{self, Mutant};
use crate::rows::Rows;
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::{HookRef, KillCause, KillRequest, Staleness, Step, StepState};

/// Another attempt of a step without an open one. Not ready: one that was skipped beforehand still has to wait for
/// its predecessors.
pub(super) fn alone(draft: &mut Draft<'_>, mut step: Step) {
    let was_done = step.is_done();
    reset(draft, &mut step);
    let hook = step.hook.clone();
    draft.put_step(step);
    if was_done && !mutants::on(Mutant::StaleUnmarked) {
        mark_stale(draft, &hook);
    }
    start::advance(draft, &hook);
}

/// The step and everything that started after it is thrown away. What still runs is ended first, and nothing that it
/// came from begins before all of that is known to be over. Holds stay; what persons decided about the successors
/// goes with what they decided it about.
pub(super) fn with_successors(draft: &mut Draft<'_>, step: Step, request: &KillRequest) {
    let root = step.hook.clone();
    throw_away(draft, step, request);
    let mut again = vec![root.clone()];
    for hook in downstream(draft, &root, |_, _| true) {
        let Some(mut step) = draft.take_step(&hook) else { continue };
        step.ignored.clear();
        step.decision = None;
        throw_away(draft, step, request);
        again.push(hook);
    }
    for hook in again {
        start::advance(draft, &hook);
    }
}

/// Ends the step's attempt, if one is open, and lets the step begin again after it.
pub(super) fn throw_away(draft: &mut Draft<'_>, mut step: Step, request: &KillRequest) {
    let Some(mut attempt) = draft.open_attempt(&step).cloned() else {
        reset(draft, &mut step);
        return draft.put_step(step);
    };
    start::no_longer_stale(draft, &mut step);
    step.restarting = true;
    draft.put_step(step);
    match attempt.kill.take() {
        // The region knows already; a timeout's kill must not be followed by a retry any more.
        Some(earlier) if earlier.cause == KillCause::Timeout => {
            attempt.kill = Some(KillRequest { at: earlier.at, ..request.clone() });
            draft.put_attempt(attempt);
        }
        Some(_) => {}
        None => cancel::kill(draft, attempt, request.clone()),
    }
}

/// The attempt that was thrown away is known to be over.
pub(super) fn begin_again(draft: &mut Draft<'_>, mut step: Step) {
    reset(draft, &mut step);
    let hook = step.hook.clone();
    draft.put_step(step);
    start::advance(draft, &hook);
}

fn reset(draft: &mut Draft<'_>, step: &mut Step) {
    start::no_longer_waiting(draft, step);
    start::no_longer_stale(draft, step);
    step.state = StepState::Blocked;
    step.restarting = false;
    step.retries_used = 0;
    step.retries_from = step.attempt;
    step.not_before = None;
    step.failure_accepted = false;
    step.kept = None;
    step.outputs = BTreeMap::new();
    step.ended_at = None;
}

/// Whatever used the outputs of `root`, or of what used them. A step that ignores the way from there did not.
fn mark_stale(draft: &mut Draft<'_>, root: &HookRef) {
    let since = draft.now();
    for hook in downstream(draft, root, |step, from| !step.ignored.contains_key(from)) {
        let Some(mut step) = draft.take_step(&hook) else { continue };
        let used = match step.state {
            StepState::Running => !step.restarting,
            StepState::Succeeded | StepState::Confirmed => true,
            StepState::Failed => step.failure_accepted,
            // Nobody reads what was never made, and another attempt will use what is there then.
            _ => false,
        };
        if used && !step.is_stale() {
            step.staleness = Some(Staleness { of: root.clone(), since });
            let raised = attention::step_stale(&step, root);
            draft.put_step(step);
            draft.act(Action::Raise(raised));
        }
    }
}

/// All steps after `root`, along the edges that `follow` (given the later step and the earlier one), in order. The way
/// ends at a step that its selector left out: it counted as done from the start, so that nothing waited for `root`
/// through it.
fn downstream(
    draft: &Draft<'_>,
    root: &HookRef,
    follow: impl Fn(&Step, &HookRef) -> bool,
) -> BTreeSet<HookRef> {
    let mut found = BTreeSet::new();
    let mut ahead = vec![root.clone()];
    while let Some(hook) = ahead.pop() {
        for successor in draft.successors(&hook) {
            let step = draft.step(&successor).filter(|step| !step.is_deselected());
            if step.is_some_and(|step| follow(step, &hook)) && found.insert(successor.clone()) {
                ahead.push(successor);
            }
        }
    }
    found
}
