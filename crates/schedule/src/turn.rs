//! Whose turn it is: what becomes of a run that is due while others of its schedule and environment are open.

use crate::mutants::{Mutant, on};
use jiff::Timestamp;
use serde_json::{Map, Value};
use tenantry_model::{OperationId, OperationName, Overlap, RunCause, RunState, Schedule, ScheduleRun};

/// Longest reason that is kept with a run.
const LONGEST_NOTE: usize = 1000;

/// What is to be done with a run that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Its operation is requested.
    Now,
    /// It waits for those before it; why, for people.
    Waits(String),
    /// It is left out; why, for people.
    Skip(String),
}

/// What a run under *replace* takes the place of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// A row that has no operation yet: as it is to be stored.
    Row(ScheduleRun),
    /// An operation that has not begun: to be cancelled for this reason.
    Operation(OperationId, String),
}

/// Runs that a person asked for always wait their turn and are never replaced: they were wanted one by one.
fn by_time(run: &ScheduleRun) -> bool {
    matches!(run.cause, RunCause::Time | RunCause::CatchUp)
}

fn is_other(run: &ScheduleRun, other: &ScheduleRun) -> bool {
    (other.schedule, other.environment, other.scheduled_time)
        != (run.schedule, run.environment, run.scheduled_time)
}

/// What `run` takes the place of: earlier ones that came by time and wait, as rows or as operations that have not got
/// their lock (`not_begun`). To be carried out before [`turn`] is asked.
#[must_use]
pub fn replaced(
    overlap: Overlap,
    run: &ScheduleRun,
    open: &[ScheduleRun],
    not_begun: impl Fn(OperationId) -> bool,
    now: Timestamp,
) -> Vec<Replaced> {
    if overlap != Overlap::Replace || !by_time(run) || on(Mutant::ReplacesNothing) {
        return Vec::new();
    }
    let why = format!("the run of {} took its place", run.scheduled_time);
    open.iter()
        .filter(|other| is_other(run, other) && other.scheduled_time < run.scheduled_time)
        .filter(|other| by_time(other) || on(Mutant::ReplacesAsked))
        .filter_map(|other| match (other.state, other.operation) {
            (RunState::Waiting | RunState::Due, _) => Some(Replaced::Row(skipped(other, &why, now))),
            (RunState::Requested, Some(id)) if not_begun(id) || on(Mutant::ReplacesBegun) => {
                Some(Replaced::Operation(id, why.clone()))
            }
            _ => None,
        })
        .collect()
}

/// What the overlap policy says. `open` are the runs of the same schedule and environment that are due, wait, or were
/// requested and have not ended, the earliest time first; `most` may wait.
#[must_use]
pub fn turn(overlap: Overlap, run: &ScheduleRun, open: &[ScheduleRun], most: usize) -> Turn {
    if open.len() > most {
        return Turn::Skip(format!("{most} runs of it wait already"));
    }
    if on(Mutant::OverlapIgnored) {
        return Turn::Now;
    }
    let mut others = open.iter().filter(|other| is_other(run, other));
    if let Some(running) = others.clone().find(|other| other.state == RunState::Requested) {
        let operation = running.operation.map_or_else(String::new, |id| id.to_string());
        let note = format!("the run of {} has not ended (operation {operation})", running.scheduled_time);
        let skips = match overlap {
            Overlap::Skip => !on(Mutant::SkipWaits),
            Overlap::Queue => on(Mutant::QueueSkips),
            Overlap::Replace => false,
        };
        return if by_time(run) && skips { Turn::Skip(note) } else { Turn::Waits(note) };
    }
    // Also one that is due: another manager is about to begin it, or could not a moment ago.
    match others.find(|other| other.scheduled_time < run.scheduled_time && !on(Mutant::QueueJumped)) {
        Some(other) => Turn::Waits(format!("the run of {} comes first", other.scheduled_time)),
        None => Turn::Now,
    }
}

/// The run that becomes due because another one is over: the first that waits, unless one is open that does not wait.
/// `open` as in [`turn`].
#[must_use]
pub fn next_to_begin(open: &[ScheduleRun]) -> Option<&ScheduleRun> {
    if on(Mutant::QueueForgets) {
        return None;
    }
    let busy = open.iter().any(|run| run.state != RunState::Waiting) && !on(Mutant::QueueSpins);
    open.iter().find(|run| run.state == RunState::Waiting && !busy)
}

/// A run that is left out, with its reason.
#[must_use]
pub fn skipped(run: &ScheduleRun, why: &str, now: Timestamp) -> ScheduleRun {
    let note = (!on(Mutant::SkipsSilently)).then(|| why.chars().take(LONGEST_NOTE).collect());
    ScheduleRun { state: RunState::Skipped, note, changed_at: now, ..run.clone() }
}

/// The operation that a run stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Which.
    pub operation: OperationName,
    /// Its parameters.
    pub parameters: Map<String, Value>,
    /// What hooks get as `LIFECYCLE_SCHEDULED_TIME`, however late they start.
    pub scheduled_time: Timestamp,
    /// For the audit log.
    pub reason: String,
}

/// What is requested when a run begins.
#[must_use]
pub fn request(schedule: &Schedule, run: &ScheduleRun) -> Request {
    let scheduled_time = if on(Mutant::InjectsNow) { run.changed_at } else { run.scheduled_time };
    Request {
        operation: schedule.operation.clone(),
        parameters: schedule.parameters.clone(),
        scheduled_time,
        reason: format!("schedule {}, {}", schedule.name, run.scheduled_time),
    }
}
