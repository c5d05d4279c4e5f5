//! Holds come and go: a person's own, and those that were set by predicate.
//!
//! A held step does not start, and one that is done keeps its successors waiting. It goes on when no hold is left.

use super::draft::Draft;
use super::start;
use crate::mutants::{self, Mutant};
use crate::rows::Rows;
use jiff::Timestamp;
use std::collections::BTreeSet;
use tenantry_model::{HoldId, HookRef, OperationState, Step, StepHold, StepState};

/// Puts a hold on a step. A person's own replaces the one before: the newer reason and end count.
pub(super) fn put(step: &mut Step, hold: StepHold) {
    step.holds.retain(|other| other.id != hold.id);
    step.holds.push(hold);
    step.holds.sort_by_key(|hold| hold.id);
}

/// A predicate's hold catches steps that are not done.
pub(super) fn caught(draft: &mut Draft<'_>, hold: &StepHold, steps: &BTreeSet<HookRef>) {
    if !(draft.is(OperationState::Running) || draft.is(OperationState::Paused)) {
        return;
    }
    for hook in steps {
        let Some(mut step) = draft.take_step(hook) else { continue };
        let over = matches!(step.state, StepState::Cancelled);
        if step.is_done() || over || step.holds.iter().any(|other| other.id == hold.id) {
            continue;
        }
        put(&mut step, hold.clone());
        draft.put_step(step);
    }
}

/// A predicate's hold is gone.
pub(super) fn lifted(draft: &mut Draft<'_>, id: HoldId) {
    for hook in draft.live_hooks() {
        lift(draft, &hook, |hold| hold.id == Some(id));
    }
}

/// Holds whose time has come.
pub(super) fn expire(draft: &mut Draft<'_>, hook: &HookRef) {
    let now = draft.now();
    lift(draft, hook, |hold| has_expired(hold, now));
}

/// Takes holds off a step and lets it go on if none is left.
pub(super) fn lift(draft: &mut Draft<'_>, hook: &HookRef, gone: impl Fn(&StepHold) -> bool) {
    let Some(mut step) = draft.take_step(hook).filter(|step| step.holds.iter().any(&gone)) else { return };
    step.holds.retain(|hold| !gone(hold));
    if !step.is_held() {
        start::no_longer_reported_held(draft, &mut step);
    }
    draft.put_step(step);
    if mutants::on(Mutant::ReleaseForgets) {
        draft.take_flipped();
    }
    start::advance(draft, hook);
}

fn has_expired(hold: &StepHold, now: Timestamp) -> bool {
    hold.until.is_some_and(|until| until <= now) && !mutants::on(Mutant::HoldNeverLifts)
}
