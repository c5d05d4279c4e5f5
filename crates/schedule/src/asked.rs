//! Which past times a person may ask for.

use crate::Times;
use crate::mutants::{Mutant, on};
use jiff::{SignedDuration, Timestamp};
use tenantry_model::RunState;

/// The first `most` times of a range that have passed, `from` and `until` included.
#[must_use]
pub fn past_times(
    times: &Times,
    from: Timestamp,
    until: Timestamp,
    now: Timestamp,
    most: usize,
) -> Vec<Timestamp> {
    let last = if on(Mutant::AsksForFuture) { until } else { until.min(now) };
    let before = from.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(from);
    times.after(before).map(|found| found.at).take_while(|at| *at <= last).take(most).collect()
}

/// Whether a time may be asked for whose run is in this state; `None`: it has none. One that was skipped may, any other
/// was wanted already.
#[must_use]
pub fn may_be_asked(before: Option<RunState>) -> bool {
    let ended = on(Mutant::AsksForEnded) && before == Some(RunState::Ended);
    ended || matches!(before, None | Some(RunState::Skipped))
}
