//! Time has passed: backoffs, timeouts, deadlines. What is due and when to come back are read off the same list.

use super::draft::Draft;
use super::over::{self, later};
use super::{cancel, hold, start};
use crate::Action;
use crate::attention;
use crate::mutants::{self, Mutant};
use crate::retry::{PLATFORM_RETRIES, backoff};
use jiff::{SignedDuration, Timestamp};
use tenantry_model::{
    Actor, Attempt, HookRef, KillCause, KillRequest, OnLost, OperationState, Step, StepState,
};

/// A plan that was interrupted by a crash, or waits for an inventory or a hook, is tried again after this. Not kept
/// in a row: any event while planning sets it anew.
const REPLAN: SignedDuration = SignedDuration::from_secs(30);

/// A hold or a pause that lasts longer than this raises attention: a silent night must never be a stuck night.
pub const HELD_TOO_LONG: SignedDuration = SignedDuration::from_hours(1);

/// What happens when a timer is due.
#[derive(Clone, Copy)]
enum Timer {
    /// A hold's time is over.
    Lift,
    /// A hold that no time lifts lasts for long.
    ReportHold,
    /// The backoff is over.
    Start,
    /// Unknown past its deadline under `on-lost: retry`.
    LeaveBehind,
    /// Unknown past its deadline, or a kill is unanswered.
    Report,
    /// The attempt's timeout.
    Kill,
}

pub(super) fn apply(draft: &mut Draft<'_>) {
    let now = draft.now();
    for hook in draft.live_hooks() {
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

/// When the next timer is due, seen from the state after the event.
pub(super) fn next(draft: &Draft<'_>) -> Option<Timestamp> {
    if draft.operation().state.is_final() {
        return None;
    }
    if mutants::on(Mutant::EndlessTimer) {
        return Some(draft.now());
    }
    let replan = draft.is(OperationState::Planning).then(|| later(draft.now(), REPLAN));
    let steps = draft.live().flat_map(|step| timers(draft, step)).flatten().map(|(at, _)| at);
    steps.chain(deadline(draft)).chain(pause_report(draft)).chain(replan).min()
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
    Some(later(pause.at, HELD_TOO_LONG))
}

/// The timers of one step, in the order in which they are decided when several are due.
fn timers(draft: &Draft<'_>, step: &Step) -> [Option<(Timestamp, Timer)>; 5] {
    let [lift, report] = hold_timers(draft, step);
    let [first, second, third] = attempt_timers(draft, step);
    [lift, report, first, second, third]
}

fn hold_timers(draft: &Draft<'_>, step: &Step) -> [Option<(Timestamp, Timer)>; 2] {
    if !step.is_held() || !(draft.is(OperationState::Running) || draft.is(OperationState::Paused)) {
        return [None; 2];
    }
    let lift = step.holds.iter().filter_map(|hold| hold.until).min();
    let lift = lift.filter(|_| !mutants::on(Mutant::HoldNeverLifts));
    // While it waits for others, or runs, nothing is stuck because of the hold.
    let stuck = step.state == StepState::Ready || step.is_done();
    let endless = step.holds.iter().filter(|hold| hold.until.is_none()).map(|hold| hold.since).min();
    let endless = endless.filter(|_| stuck && !step.hold_reported);
    [lift.map(|at| (at, Timer::Lift)), endless.map(|since| (later(since, HELD_TOO_LONG), Timer::ReportHold))]
}

fn attempt_timers(draft: &Draft<'_>, step: &Step) -> [Option<(Timestamp, Timer)>; 3] {
    if step.state == StepState::Ready {
        let at = step.not_before.unwrap_or(draft.now());
        return [start::may_start(draft, step).then_some((at, Timer::Start)), None, None];
    }
    let Some(attempt) = draft.open_attempt(step) else { return [None; 3] };
    let patience = draft.operation().definition.unknown_deadline;
    let unknown = attempt.unknown_since.map(|since| later(since, patience));
    let unanswered = attempt.kill.as_ref().map(|kill| later(kill.at, patience));
    let leave = unknown.filter(|_| may_leave_behind(draft, step, attempt));
    let report = unknown.into_iter().chain(unanswered).min().filter(|_| !attempt.unknown_reported);
    let timeout = attempt.started_at.zip(step.policy.timeout).map(|(at, timeout)| later(at, timeout));
    let timeout = timeout.filter(|_| attempt.kill.is_none() && !mutants::on(Mutant::NoTimeout));
    [
        leave.map(|at| (at, Timer::LeaveBehind)),
        report.map(|at| (at, Timer::Report)),
        timeout.map(|at| (at, Timer::Kill)),
    ]
}

/// Whether another attempt may start beside this one. Not if a person or a cancel asked for its end, and not if the
/// region never said anything of it: then its start waits in the very queue that the next one would join.
fn may_leave_behind(draft: &Draft<'_>, step: &Step, attempt: &Attempt) -> bool {
    if mutants::on(Mutant::UnknownIsOver) {
        return true;
    }
    step.policy.on_lost == OnLost::Retry
        && draft.is(OperationState::Running)
        && !step.restarting
        && attempt.observed > 0
        && attempt.kill.as_ref().is_none_or(|kill| kill.cause == KillCause::Timeout)
        && losses_before(draft, step) < PLATFORM_RETRIES
}

/// The streak of losses and platform failures before the open attempt.
fn losses_before(draft: &Draft<'_>, step: &Step) -> u32 {
    let before = Step { attempt: step.attempt.saturating_sub(1), ..step.clone() };
    over::platform_streak(draft, &before)
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
            let pause = backoff(losses_before(draft, &step));
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
