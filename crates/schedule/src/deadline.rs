//! By when a run must have ended.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};
use tenantry_model::RunDeadline;

/// The deadline of the run that was scheduled for `scheduled`; `None` only at the end of the calendar.
///
/// A time on the wall that is skipped counts as the first moment after the gap, one that comes twice as its first.
#[must_use]
pub fn deadline_after(deadline: RunDeadline, scheduled: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    match deadline {
        RunDeadline::Within(time) => scheduled.checked_add(time).ok(),
        RunDeadline::At { time, days } => {
            let mut day = zone.to_datetime(scheduled).date();
            // The first such time after the scheduled one, on this day or the next.
            while at(day, time, zone)? <= scheduled {
                day = day.tomorrow().ok()?;
            }
            for _ in 0..days {
                day = day.tomorrow().ok()?;
            }
            at(day, time, zone)
        }
    }
}

fn at(day: Date, time: jiff::civil::Time, zone: &TimeZone) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(day.to_datetime(time));
    match ambiguous.offset() {
        AmbiguousOffset::Gap { .. } => {
            // In a gap, "earlier" is an instant before it; the gap's end is the next change of the clock.
            let before = ambiguous.earlier().ok()?;
            zone.following(before).next().map(|change| change.timestamp())
        }
        _ => ambiguous.earlier().ok(),
    }
}
