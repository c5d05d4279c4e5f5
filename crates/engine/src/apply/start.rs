//! From blocked to running: who may start, and the attempt that is made for it.

use super::draft::Draft;
use crate::attention::keys;
use crate::mutants::{self, Mutant};
use crate::nonce::nonce;
use crate::{Action, AppliedChange};
use std::collections::BTreeMap;
use tenantry_model::{Attempt, AttemptState, HookRef, OperationState, Step, StepState};

/// `hook` is done: those that waited for it may start.
pub(super) fn successors(draft: &mut Draft<'_>, hook: &HookRef) {
    if mutants::on(Mutant::ForgetSuccessor) {
        return;
    }
    for successor in draft.successors(hook) {
        if_unblocked(draft, &successor);
    }
}

/// Starts a blocked step whose predecessors are all done.
pub(super) fn if_unblocked(draft: &mut Draft<'_>, hook: &HookRef) {
    let Some(step) = draft.step(hook) else { return };
    if step.state != StepState::Blocked || !draft.is(OperationState::Running) {
        return;
    }
    let mut done = step.after.iter().map(|target| draft.step(target).is_none_or(Step::is_done));
    let free = if mutants::on(Mutant::AnyPredecessor) {
        step.after.is_empty() || done.any(|done| done)
    } else {
        done.all(|done| done)
    };
    if free {
        let mut step = step.clone();
        step.state = StepState::Ready;
        start(draft, step);
    }
}

/// Makes the next attempt of a ready step now; a held one, or one of an operation that is not running, stays ready.
pub(super) fn start(draft: &mut Draft<'_>, mut step: Step) {
    if step.held || !draft.is(OperationState::Running) {
        return draft.put_step(step);
    }
    let now = draft.now();
    let number = if mutants::on(Mutant::ReuseAttemptNumber) { step.attempt.max(1) } else { step.attempt + 1 };
    let id = draft.attempt_id(&step.hook, number);
    step.state = StepState::Running;
    step.attempt = number;
    step.not_before = None;
    step.failure_accepted = false;
    step.outputs = BTreeMap::new();
    step.started_at.get_or_insert(now);
    step.ended_at = None;
    let hook = step.hook.clone();
    draft.put_step(step);
    if !mutants::on(Mutant::StartWithoutRow) {
        draft.put_attempt(Attempt {
            nonce: nonce(draft.moment().seed, &id),
            id: id.clone(),
            state: AttemptState::Created,
            // Asked for and not answered: whether its object exists is not known (invariant 2).
            unknown_since: Some(now),
            unknown_reported: false,
            kill: None,
            outcome: None,
            late_outcome: None,
            images: BTreeMap::new(),
            object: None,
            node: None,
            waiting_for: None,
            observed: 0,
            created_at: now,
            started_at: None,
            ended_at: None,
        });
    }
    draft.act(Action::Start(id));
    draft.act(Action::Applied { hook, change: AppliedChange::Started });
}

/// The step waits for nobody any more.
pub(super) fn no_longer_waiting(draft: &mut Draft<'_>, step: &mut Step) {
    if step.waiting {
        step.waiting = false;
        draft.act(Action::Settle { key: keys::step_waiting(step.operation, &step.hook) });
    }
}
