//! From blocked to running: who may start, and the attempt that is made for it.

use super::draft::Draft;
use crate::attention::keys;
use crate::mutants::{self, Mutant};
use crate::rows::Rows;
use crate::{Action, AppliedChange};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_hook::attempt_nonce;
use tenantry_model::{Attempt, AttemptState, HookRef, OperationState, Step, StepState};

/// Tells the successors of every step that became settled, or is settled no longer. Runs after every event, so that
/// no rule can forget it.
pub(super) fn spread(draft: &mut Draft<'_>) {
    loop {
        while let Some(hook) = draft.take_flipped() {
            let settled = draft.step(&hook).is_some_and(Step::is_settled);
            if settled && mutants::on(Mutant::ForgetSuccessor) {
                continue;
            }
            for successor in draft.successors(&hook) {
                if settled { advance(draft, &successor) } else { wait_again(draft, &successor, &hook) }
            }
        }
        if !draft.take_restarted() {
            return;
        }
        for hook in draft.live_hooks() {
            advance(draft, &hook);
        }
    }
}

/// A predecessor is settled no longer: a step that has not started waits for it again. Its backoff goes on.
fn wait_again(draft: &mut Draft<'_>, hook: &HookRef, predecessor: &HookRef) {
    let waits = |step: &&Step| step.state == StepState::Ready && !step.ignored.contains_key(predecessor);
    let Some(mut step) = draft.step(hook).filter(waits).cloned() else { return };
    step.state = StepState::Blocked;
    draft.put_step(step);
}

/// Brings a step as far as it gets now: from blocked to ready, from ready to running.
pub(super) fn advance(draft: &mut Draft<'_>, hook: &HookRef) {
    let Some(step) = draft.step(hook) else { return };
    let goes_on = match step.state {
        StepState::Blocked => is_free(draft, step),
        StepState::Ready => true,
        _ => false,
    };
    if !goes_on || !(draft.is(OperationState::Running) || draft.is(OperationState::Paused)) {
        return;
    }
    let mut step = step.clone();
    step.state = StepState::Ready;
    step.not_before = step.not_before.filter(|at| *at > draft.now());
    let due = step.not_before.is_none();
    if due && may_start(draft, &step) { start(draft, step) } else { draft.put_step(step) }
}

/// Nothing that it waits for is outstanding.
pub(super) fn is_free(draft: &Draft<'_>, step: &Step) -> bool {
    if !mutants::on(Mutant::AnyPredecessor)
        && let Some(waits) = draft.waits_for(&step.hook)
    {
        let outstanding = |target: &&HookRef| draft.step(target).is_some_and(|other| !other.is_settled());
        return waits == step.ignored.keys().filter(outstanding).count();
    }
    let waited_for = |target: &&HookRef| !step.ignored.contains_key(*target);
    let mut settled =
        step.after.iter().filter(waited_for).map(|target| draft.step(target).is_none_or(Step::is_settled));
    if mutants::on(Mutant::AnyPredecessor) {
        return step.after.is_empty() || settled.any(|settled| settled);
    }
    settled.all(|settled| settled)
}

/// Whether a ready step may start as soon as its backoff is over. What `rerun --with-successors` throws away must be
/// known to be over before anything that it came from runs again.
fn may_start(draft: &Draft<'_>, step: &Step) -> bool {
    let running = draft.is(OperationState::Running)
        || (draft.is(OperationState::Paused) && mutants::on(Mutant::PauseStarts));
    running && (!step.is_held() || mutants::on(Mutant::HoldIgnored)) && !is_upstream_of_restarts(draft, step)
}

/// Whether an attempt that is being thrown away belongs to a step that comes after this one.
fn is_upstream_of_restarts(draft: &Draft<'_>, step: &Step) -> bool {
    if mutants::on(Mutant::RestartDoesNotWait) {
        return false;
    }
    let mut ahead: Vec<&Step> = draft.restarting().collect();
    let mut seen: BTreeSet<&HookRef> = BTreeSet::new();
    while let Some(later) = ahead.pop() {
        for target in &later.after {
            if *target == step.hook {
                return true;
            }
            if seen.insert(target) {
                ahead.extend(draft.step(target));
            }
        }
    }
    false
}

/// Makes the next attempt of a step now. What it uses is up to date, whatever its attempt before had used.
fn start(draft: &mut Draft<'_>, mut step: Step) {
    no_longer_stale(draft, &mut step);
    let now = draft.now();
    let number = if mutants::on(Mutant::ReuseAttemptNumber) { step.attempt.max(1) } else { step.attempt + 1 };
    let id = draft.attempt_id(&step.hook, number);
    step.state = StepState::Running;
    step.attempt = number;
    step.kept = None;
    step.not_before = None;
    step.failure_accepted = false;
    step.outputs = BTreeMap::new();
    step.started_at.get_or_insert(now);
    step.ended_at = None;
    let hook = step.hook.clone();
    draft.put_step(step);
    if !mutants::on(Mutant::StartWithoutRow) {
        draft.put_attempt(Attempt {
            nonce: attempt_nonce(draft.moment().seed, &id),
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

/// What it used is up to date, or somebody answers for it.
pub(super) fn no_longer_stale(draft: &mut Draft<'_>, step: &mut Step) {
    if step.staleness.take().is_some() {
        draft.act(Action::Settle { key: keys::step_stale(step.operation, &step.hook) });
    }
}

/// Nobody has to be told any more that it is held for long.
pub(super) fn no_longer_reported_held(draft: &mut Draft<'_>, step: &mut Step) {
    if std::mem::take(&mut step.hold_reported) {
        draft.act(Action::Settle { key: keys::step_held(step.operation, &step.hook) });
    }
}
