//! What time will do to a step, seen from its rows alone: the same list says what is due and when to come back.

use crate::mutants::{self, Mutant};
use crate::rows::Rows;
use jiff::{SignedDuration, Timestamp};
use tenantry_hook::PLATFORM_RETRIES;
use tenantry_model::{Attempt, KillCause, OnLost, OperationState, Step, StepState};

/// What happens when a timer is due.
#[derive(Clone, Copy)]
pub(crate) enum Timer {
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

/// The timers of one step, in the order in which they are decided when several are due.
pub(crate) fn timers(rows: &impl Rows, step: &Step) -> [Option<(Timestamp, Timer)>; 5] {
    let [lift, report] = hold_timers(rows, step);
    let [first, second, third] = attempt_timers(rows, step);
    [lift, report, first, second, third]
}

/// When the first of them is due.
pub(crate) fn first(rows: &impl Rows, step: &Step) -> Option<Timestamp> {
    timers(rows, step).into_iter().flatten().map(|(at, _)| at).min()
}

fn hold_timers(rows: &impl Rows, step: &Step) -> [Option<(Timestamp, Timer)>; 2] {
    if !step.is_held() || !rows.is_moving() {
        return [None; 2];
    }
    let lift = step.holds.iter().filter_map(|hold| hold.until).min();
    let lift = lift.filter(|_| !mutants::on(Mutant::HoldNeverLifts));
    // While it waits for others, or runs, nothing is stuck because of the hold.
    let stuck = step.state == StepState::Ready || step.is_done();
    let endless = step.holds.iter().filter(|hold| hold.until.is_none()).map(|hold| hold.since).min();
    let endless = endless.filter(|_| stuck && !step.hold_reported);
    let report = endless.map(|since| later(since, rows.rules().held_too_long));
    [lift.map(|at| (at, Timer::Lift)), report.map(|at| (at, Timer::ReportHold))]
}

fn attempt_timers(rows: &impl Rows, step: &Step) -> [Option<(Timestamp, Timer)>; 3] {
    if step.state == StepState::Ready {
        // Without a backoff nothing that time brings keeps it from starting.
        let at = step.not_before.filter(|_| rows.is_moving());
        return [at.map(|at| (at, Timer::Start)), None, None];
    }
    let Some(attempt) = rows.open_attempt(step) else { return [None; 3] };
    let patience = rows.operation().definition.unknown_deadline;
    let unknown = attempt.unknown_since.map(|since| later(since, patience));
    let unanswered = attempt.kill.as_ref().map(|kill| later(kill.at, patience));
    let leave = unknown.filter(|_| may_leave_behind(rows, step, attempt));
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
fn may_leave_behind(rows: &impl Rows, step: &Step, attempt: &Attempt) -> bool {
    if mutants::on(Mutant::UnknownIsOver) {
        return true;
    }
    step.policy.on_lost == OnLost::Retry
        && rows.is(OperationState::Running)
        && !step.restarting
        && attempt.observed > 0
        && attempt.kill.as_ref().is_none_or(|kill| kill.cause == KillCause::Timeout)
        && losses_before(rows, step) < PLATFORM_RETRIES
}

/// The streak of losses and platform failures before the open attempt.
pub(crate) fn losses_before(rows: &impl Rows, step: &Step) -> u32 {
    rows.platform_streak(step, step.attempt.saturating_sub(1))
}

/// `at + pause`, as far as time goes.
pub(crate) fn later(at: Timestamp, pause: SignedDuration) -> Timestamp {
    at.checked_add(pause).unwrap_or(Timestamp::MAX)
}
