//! From a time that has come to rows: what one firing of a schedule writes, in one transaction.
//!
//! The next time follows from the newest one that has come, never from the clock alone, so that a clock that was set
//! back meets a schedule that waits.

use crate::mutants::{Mutant, on};
use crate::{Due, Times, deadline_after, due};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tenantry_model::{EnvironmentId, RunCause, RunState, Schedule, ScheduleRun};

/// What bounds a firing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// A time that is seen within this is on time.
    pub grace: SignedDuration,
    /// Most rows that one firing makes.
    pub runs: usize,
    /// Most times that are caught up at once.
    pub times: usize,
}

/// What one firing writes and says.
#[derive(Clone, Debug, PartialEq)]
pub struct Firing {
    /// The schedule's row from then on.
    pub schedule: Schedule,
    /// A row for each time and environment, in order; one that is there already stays as it is.
    pub runs: Vec<ScheduleRun>,
    /// Which times came, and what became of them.
    pub due: Due,
    /// How long after the newest of them.
    pub delay: SignedDuration,
}

/// Fires a schedule as it was read; `None` if its time has not come. Whoever commits it has looked again, under the
/// row's lock, whether it [`is_same`].
#[must_use]
pub fn fire(
    schedule: &Schedule,
    times: &Times,
    environments: &[EnvironmentId],
    now: Timestamp,
    bounds: &Bounds,
) -> Option<Firing> {
    let next = schedule.next_time.filter(|next| *next <= now)?;
    let most = (bounds.runs / environments.len().max(1)).clamp(1, bounds.times);
    let due = due(times, next, now, schedule.catch_up, bounds.grace, most);
    let last_time = schedule.last_time.max(Some(due.last));
    let schedule = Schedule { last_time, next_time: due.next, ..schedule.clone() };
    let mut runs = Vec::with_capacity(due.fire.len() * environments.len());
    for at in &due.fire {
        let late = now.duration_since(*at) > bounds.grace;
        let cause = if late { RunCause::CatchUp } else { RunCause::Time };
        runs.extend(
            environments
                .iter()
                .map(|environment| new_run(&schedule, *environment, *at, cause, times.zone(), now)),
        );
    }
    Some(Firing { delay: now.duration_since(due.last), schedule, runs, due })
}

/// Whether the row that is now locked is still the one that a firing was made from: nobody has fired or changed it
/// since. Of two managers that see the same time, the second finds another next time.
#[must_use]
pub fn is_same(seen: &Schedule, locked: &Schedule) -> bool {
    let fired = locked.next_time != seen.next_time && !on(Mutant::FiresAgain);
    let changed = locked.revision != seen.revision && !on(Mutant::FiresChanged);
    // A change sets the next time anew, too.
    !changed && (!fired || on(Mutant::FiresChanged))
}

/// The next time after a person's change: what came meanwhile is left out, and what has come never comes again.
#[must_use]
pub fn next_after_change(schedule: &Schedule, times: &Times, now: Timestamp) -> Option<Timestamp> {
    if schedule.paused.is_some() {
        return None;
    }
    let come = schedule.last_time.filter(|_| !on(Mutant::NextFromClock));
    times.next(come.map_or(now, |last| last.max(now))).map(|found| found.at)
}

/// A run that is due now.
#[must_use]
pub fn new_run(
    schedule: &Schedule,
    environment: EnvironmentId,
    at: Timestamp,
    cause: RunCause,
    zone: &TimeZone,
    now: Timestamp,
) -> ScheduleRun {
    let counts_from = if on(Mutant::DeadlineFromNow) { now } else { at };
    ScheduleRun {
        schedule: schedule.id,
        environment,
        scheduled_time: at,
        cause,
        state: RunState::Due,
        operation: None,
        note: None,
        // A past time's deadline has passed with it.
        deadline_at: schedule
            .deadline
            .filter(|_| cause != RunCause::Backfill)
            .and_then(|deadline| deadline_after(deadline, counts_from, zone)),
        at_risk: false,
        missed: false,
        created_at: now,
        changed_at: now,
    }
}
