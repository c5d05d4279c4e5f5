//! The instants at which a line fires in a time zone, the skipped and the repeated hour included.
//!
//! A time zone is a row of spans of one offset each. Within a span the clock on the wall runs evenly; only where two
//! spans meet is there a rule to apply (docs/guide/schedules.md):
//! - A line by the clock (`30 2 * * *`, `0 8-18 * * *`) fires once for every day and time it names. A time that the clock skips
//!   fires at the first moment after the gap; several skipped ones fire there together, once. A time that comes twice
//!   fires the first time.
//! - A line by the hour (`*` or `*/N` as the hour) follows time as it passes: skipped times are left out, repeated ones
//!   fire twice.

use crate::CronLine;
use crate::mutants::{Mutant, on};
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// Whether the clock on the wall was set at this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hour {
    /// It was not.
    Plain,
    /// The line names a time that the clock skipped; this is the first moment after the gap.
    Skipped,
    /// The first of two equal times on the wall.
    RepeatedFirst,
    /// The second of two equal times on the wall.
    RepeatedSecond,
}

/// One time at which a line fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// When.
    pub at: Timestamp,
    /// What the clock on the wall did.
    pub hour: Hour,
}

/// A line in a time zone.
#[derive(Clone, Debug)]
pub struct Times {
    line: CronLine,
    zone: TimeZone,
}

/// A span of one offset.
struct Span {
    /// Its first instant, and the offset before it; `None` at the beginning of time.
    begin: Option<(Timestamp, Offset)>,
    offset: Offset,
    /// Its first instant no more, and the offset from there on; `None` at the end of time.
    end: Option<(Timestamp, Offset)>,
}

impl Times {
    /// The times of `line` in `zone`.
    #[must_use]
    pub fn new(line: CronLine, zone: TimeZone) -> Self {
        Self { line, zone }
    }

    /// The time zone.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The first time after `after`; `None` only at the end of the calendar.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Occurrence> {
        // Spans are half open, so the search begins at the instant after.
        let mut from = after.checked_add(SignedDuration::from_nanos(1)).ok()?;
        loop {
            let span = self.span(from);
            if span
                .begin
                .is_some_and(|(begin, before)| begin == from && self.skips(before, span.offset, begin))
            {
                return Some(Occurrence { at: from, hour: Hour::Skipped });
            }
            if let Some(found) = self.within(&span, from) {
                return Some(found);
            }
            from = span.end?.0;
        }
    }

    /// All times after `after`, in order.
    pub fn after(&self, after: Timestamp) -> impl Iterator<Item = Occurrence> + '_ {
        std::iter::successors(self.next(after), |last| self.next(last.at))
    }

    fn span(&self, at: Timestamp) -> Span {
        // `preceding` is strictly before: the span that begins at `at` is found from the instant after it.
        let just_after = at.checked_add(SignedDuration::from_nanos(1)).unwrap_or(at);
        let begin = self.zone.preceding(just_after).next().map(|change| change.timestamp());
        let before = |at: Timestamp| {
            let earlier = at.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(at);
            self.zone.to_offset(earlier)
        };
        let end = self.zone.following(at).next();
        Span {
            begin: begin.map(|begin| (begin, before(begin))),
            offset: self.zone.to_offset(at),
            end: end.map(|change| (change.timestamp(), change.offset())),
        }
    }

    /// The first time from `from` on within its span.
    fn within(&self, span: &Span, from: Timestamp) -> Option<Occurrence> {
        let mut wall = ceil_to_minute(span.offset.to_datetime(from))?;
        // What comes twice has come already.
        let twice_until = span.begin.map(|(begin, before)| before.to_datetime(begin));
        let repeats = self.line.is_by_the_hour() || on(Mutant::RepeatedHourTwice);
        if let (false, Some(until)) = (repeats, twice_until) {
            wall = wall.max(ceil_to_minute(until)?);
        }
        let wall = self.first_wall(wall)?;
        let at = span.offset.to_timestamp(wall).ok()?;
        if span.end.is_some_and(|(end, _)| at >= end) {
            return None;
        }
        let comes_again = span.end.is_some_and(|(end, later)| wall >= later.to_datetime(end));
        let hour = if twice_until.is_some_and(|until| wall < until) {
            Hour::RepeatedSecond
        } else if comes_again {
            Hour::RepeatedFirst
        } else {
            Hour::Plain
        };
        Some(Occurrence { at, hour })
    }

    /// Whether the line names a time that the clock skips when it goes from one offset to the other.
    fn skips(&self, before: Offset, later: Offset, at: Timestamp) -> bool {
        let (gone, back) = (before.to_datetime(at), later.to_datetime(at));
        if gone >= back || self.line.is_by_the_hour() || on(Mutant::SkippedHourLost) {
            return false;
        }
        ceil_to_minute(gone).and_then(|gone| self.first_wall(gone)).is_some_and(|first| first < back)
    }

    /// The first time on the wall that the line names, `from` included; `from` is a whole minute.
    fn first_wall(&self, from: DateTime) -> Option<DateTime> {
        let day = self.line.first_day(from.date())?;
        let later = if day == from.date() {
            self.line.times().iter().find(|time| **time >= from.time()).map(|time| day.to_datetime(*time))
        } else {
            None
        };
        later.or_else(|| {
            let day = if day == from.date() { self.line.first_day(day.tomorrow().ok()?)? } else { day };
            self.line.times().first().map(|time| day.to_datetime(*time))
        })
    }
}

fn ceil_to_minute(wall: DateTime) -> Option<DateTime> {
    let floor = wall.date().at(wall.hour(), wall.minute(), 0, 0);
    if floor == wall { Some(wall) } else { floor.checked_add(SignedDuration::from_mins(1)).ok() }
}
