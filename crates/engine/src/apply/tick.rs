//! Time has passed: backoffs, timeouts, deadlines. Looks at what is due, not at all that runs.

use super::draft::Draft;
use super::over;
use super::{cancel, hold, start};
use crate::Action;
use crate::attention;
use crate::mutants::{self, Mutant};
use crate::rows::Rows;
use crate::timers::{self, Timer, later, timers};
use jiff::{SignedDuration, Timestamp};
use tenantry_hook::{LONGEST_BACKOFF, backoff};
use tenantry_model::{Actor, HookRef, KillCause, KillRequest, OperationState, Step};

/// A plan that was interrupted by a crash, or waits for an inventory or a hook, is tried again after this. Not kept
/// in a row: any event while planning sets it anew.
const REPLAN: SignedDuration = SignedDuration::from_secs(30);

pub(super) fn apply(draft: &mut Draft<'_>) {
    let now = draft.now();
    let mut hooks = draft.run().due(now);
    // What waits for longer than any backoff is looked at: most timers are nearer.
    let far = draft.run().due_after(later(now, LONGEST_BACKOFF));
    hooks.extend(far.into_iter().filter(|hook| take_back(draft, hook, now)));
    for hook in hooks {
        // Each timer removes itself; one may set another.
        while let Some(timer) = due(draft, &hook, now) {
            fire(draft, &hook, timer);
        }
    }
    if pause_report(draft).is_some_and(|at| at <= now) {
        if let Some(pause) = &mut draft.operation_mut().pause {
            pause.reported = true;
        }
        let raised = attention::operation_paused(draft.operation());
        draft.act(Action::Raise(raised));
    }
    if deadline(draft).is_some_and(|at| at <= now) {
        draft.operation_mut().late = true;
        let raised = attention::operation_late(draft.operation());
        draft.act(Action::Raise(raised));
    }
}

/// A clock that was ahead left moments that nothing but such a clock can have written: a pause that is longer than any, an
/// attempt that is unknown, or is being ended, since a time to come. They count from now, or the step would wait for years.
fn take_back(draft: &mut Draft<'_>, hook: &HookRef, now: Timestamp) -> bool {
    let Some(step) = draft.step(hook) else { return false };
    if step.not_before.is_some_and(|at| at > later(now, LONGEST_BACKOFF)) {
        let step = Step { not_before: Some(now), ..step.clone() };
        draft.put_step(step);
        return true;
    }
    let Some(mut attempt) = draft.open_attempt(step).cloned() else { return false };
    let before = attempt.clone();
    attempt.unknown_since = attempt.unknown_since.map(|since| since.min(now));
    if let Some(kill) = &mut attempt.kill {
        kill.at = kill.at.min(now);
    }
    let changed = attempt != before;
    if changed {
        draft.put_attempt(attempt);
    }
    changed
}

/// When the next timer is due, seen from the state after the event.
pub(super) fn next(draft: &Draft<'_>) -> Option<Timestamp> {
    if draft.operation().state.is_final() {
        return None;
    }
    if mutants::on(Mutant::EndlessTimer) {
        return Some(draft.now());
    }
    let replan = draft.is(OperationState::Planning).then(|| later(draft.now(), REPLAN));
    draft.first_timer().into_iter().chain(deadline(draft)).chain(pause_report(draft)).chain(replan).min()
}

fn due(draft: &Draft<'_>, hook: &HookRef, now: Timestamp) -> Option<Timer> {
    let step = draft.step(hook)?;
    timers(draft, step).into_iter().flatten().find(|(at, _)| *at <= now).map(|(_, timer)| timer)
}

fn deadline(draft: &Draft<'_>) -> Option<Timestamp> {
    let operation = draft.operation();
    operation.deadline_at.filter(|_| !operation.late && !operation.state.is_final())
}

fn pause_report(draft: &Draft<'_>) -> Option<Timestamp> {
    let pause = draft.operation().pause.as_ref().filter(|pause| !pause.reported)?;
    Some(later(pause.at, draft.rules().held_too_long))
}

fn fire(draft: &mut Draft<'_>, hook: &HookRef, timer: Timer) {
    let Some(step) = draft.take_step(hook) else { return };
    let open = draft.open_attempt(&step).cloned();
    match (timer, open) {
        (Timer::Start, _) => start::advance(draft, hook),
        (Timer::Lift, _) => hold::expire(draft, hook),
        (Timer::ReportHold, _) => {
            let raised = attention::step_held(&step);
            draft.put_step(Step { hold_reported: true, ..step });
            draft.act(Action::Raise(raised));
        }
        (Timer::LeaveBehind, Some(attempt)) => {
            let since = attempt.unknown_since.unwrap_or(attempt.created_at);
            let message = format!("unknown since {since}; another attempt may overlap it (on-lost: retry)");
            let pause = backoff(timers::losses_before(draft, &step));
            over::lose(draft, attempt, message);
            over::retry_later(draft, step, pause);
        }
        (Timer::Report, Some(mut attempt)) => {
            attempt.unknown_reported = true;
            let raised = attention::attempt_unknown(&attempt);
            draft.put_attempt(attempt);
            if !mutants::on(Mutant::SilentUnknown) {
                draft.act(Action::Raise(raised));
            }
        }
        (Timer::Kill, Some(attempt)) => {
            let timeout = step.policy.timeout.unwrap_or_default();
            let request = KillRequest {
                by: Actor::system(),
                reason: format!("timeout of {timeout:#} reached"),
                cause: KillCause::Timeout,
                at: draft.now(),
            };
            cancel::kill(draft, attempt, request);
        }
        (_, None) => {}
    }
}
