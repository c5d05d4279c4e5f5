//! Which of the times that have passed are fired, and which are left out.

use crate::Times;
use crate::mutants::{Mutant, on};
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;
use tenantry_model::CatchUp;

/// So many times are looked at one by one; after them only the last day's, so that a clock that is set decades ahead
/// costs a moment.
const LOOKS: u32 = 200_000;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What is to be done about the times of a schedule that have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// To fire, in order.
    pub fire: Vec<Timestamp>,
    /// Passed and not fired; at least this many after an absence of years.
    pub left_out: u64,
    /// The newest of those.
    pub left_out_until: Option<Timestamp>,
    /// The newest time that has come: nothing up to it will come again.
    pub last: Timestamp,
    /// The first time after it that has not come yet.
    pub next: Option<Timestamp>,
}

/// Looks at the times from `next` (which has come) to `now`.
///
/// A time that came no longer than `grace` ago is on time and fires whatever the policy says; of a line by the minute
/// that may be several. Of older ones `none` fires nothing, `latest` the newest one (and only if no later one is on
/// time), `all` each; in any case at most the `most` newest (at least one). `most` is what bounds a transaction after a
/// long absence.
#[must_use]
pub fn due(
    times: &Times,
    next: Timestamp,
    now: Timestamp,
    policy: CatchUp,
    grace: SignedDuration,
    most: usize,
) -> Due {
    let keep = most.max(1);
    let mut fire = VecDeque::from([next]);
    let (mut left_out, mut left_out_until) = (0, None);
    let mut leave_out = |at: Timestamp| {
        left_out += 1;
        left_out_until = Some(at);
    };
    let (mut last, mut upcoming) = (next, times.next(next));
    let mut looked = 0;
    while let Some(found) = upcoming.filter(|found| found.at <= now) {
        last = found.at;
        fire.push_back(found.at);
        while fire.len() > keep {
            fire.pop_front().into_iter().for_each(&mut leave_out);
        }
        looked += 1;
        let from = if looked == LOOKS { last.max(now.saturating_sub(DAY).unwrap_or(last)) } else { last };
        upcoming = times.next(from);
    }
    let policy = if on(Mutant::CatchUpIgnored) { CatchUp::All } else { policy };
    // Of those that are late, at least so many of the newest stay.
    let kept = match policy {
        CatchUp::None => 0,
        CatchUp::Latest => 1,
        CatchUp::All => fire.len(),
    };
    while fire.len() > kept
        && let Some(oldest) = fire.pop_front_if(|at| now.duration_since(*at) > grace)
    {
        leave_out(oldest);
    }
    if on(Mutant::TimeForgotten) && fire.len() > 1 {
        fire.pop_front();
    }
    if on(Mutant::LeftOutUnsaid) {
        left_out_until = None;
    }
    Due { fire: fire.into(), left_out, left_out_until, last, next: upcoming.map(|found| found.at) }
}
