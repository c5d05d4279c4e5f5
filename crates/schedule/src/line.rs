//! A cron line: five fields, read by croner, refused with a reason when it could never be meant.

use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, Weekday};
use jiff::civil::{Date, Time};
use std::{fmt, str::FromStr};

/// How far ahead a day must lie on which a line fires: the longest gap of days is that of 29 February on one weekday
/// across a year like 2100, forty years.
const YEARS_AHEAD: i16 = 41;

/// Why a line is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineRefusal {
    /// It has a field for seconds.
    #[error(
        "{0:?} has six fields: seconds are not possible, the shortest interval is one minute. Use five fields: \
         minute hour day-of-month month day-of-week"
    )]
    Seconds(String),
    /// It cannot be read.
    #[error(
        "{line:?} is no cron line: {why}. Use five fields: minute hour day-of-month month day-of-week (30 22 * * MON-FRI)"
    )]
    Unreadable {
        /// As given, cut to 100 characters.
        line: String,
        /// What croner says.
        why: String,
    },
    /// No day is ever met.
    #[error(
        "{0:?} never fires: no day of the next {YEARS_AHEAD} years has this day of the month in this month"
    )]
    Never(String),
}

/// A cron line that fires. `Display` is the text that was given.
#[derive(Clone)]
pub struct CronLine {
    text: String,
    cron: Cron,
    /// Every time of a day on which it fires, in order.
    times: Vec<Time>,
    by_the_hour: bool,
}

impl FromStr for CronLine {
    type Err = LineRefusal;

    fn from_str(text: &str) -> Result<Self, LineRefusal> {
        let line: String = text.chars().take(100).collect();
        let fields = text.split_whitespace().count();
        // croner would take six fields for seconds or for a year.
        if fields == 6 || fields == 7 {
            return Err(LineRefusal::Seconds(line));
        }
        let unreadable = |why: String| LineRefusal::Unreadable { line: line.clone(), why };
        if text.len() > 200 {
            return Err(unreadable("it is longer than 200 characters".to_owned()));
        }
        if text.trim_start().starts_with('@') && !is_nickname(text.trim()) {
            return Err(unreadable("there is no such name".to_owned()));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| unreadable(error.to_string()))?;
        let hours = cron.pattern.hours.values();
        let minutes = cron.pattern.minutes.values();
        let times = hours
            .iter()
            .flat_map(|hour| minutes.iter().map(move |minute| (*hour, *minute)))
            .filter_map(|(hour, minute)| {
                Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok()
            })
            .collect();
        let by_the_hour = cron.pattern.hours.from_wildcard;
        let line = Self { text: text.to_owned(), cron, times, by_the_hour };
        // Days repeat with the calendar, so any year to begin with will do; this one is far from a century's end.
        if line.first_day(Date::constant(2024, 1, 1)).is_none() {
            return Err(LineRefusal::Never(line.text));
        }
        Ok(line)
    }
}

fn is_nickname(text: &str) -> bool {
    const KNOWN: [&str; 7] =
        ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
    KNOWN.iter().any(|known| known.eq_ignore_ascii_case(text))
}

impl CronLine {
    /// Whether the hour field is `*` or `*/N`: the line follows time as it passes, not the clock on the wall.
    #[must_use]
    pub fn is_by_the_hour(&self) -> bool {
        self.by_the_hour
    }

    /// The first day on or after `from` on which it fires; `None` beyond [`YEARS_AHEAD`].
    pub(crate) fn first_day(&self, from: Date) -> Option<Date> {
        let last = i16::saturating_add(from.year(), YEARS_AHEAD);
        let mut day = from;
        while day.year() <= last {
            if !self.cron.pattern.month_match(field(day.month())).unwrap_or(false) {
                day = day.last_of_month().tomorrow().ok()?;
                continue;
            }
            if self.fires_on(day) {
                return Some(day);
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    fn fires_on(&self, day: Date) -> bool {
        let weekday = Weekday::from_days_from_sunday(field(day.weekday().to_sunday_zero_offset()));
        let pattern = &self.cron.pattern;
        pattern
            .day_match(i32::from(day.year()), field(day.month()), field(day.day()), weekday)
            .unwrap_or(false)
    }

    /// The times of a day on which it fires, in order; never empty.
    pub(crate) fn times(&self) -> &[Time] {
        &self.times
    }
}

/// A part of a date, which is never negative.
fn field(part: i8) -> u32 {
    u32::from(part.unsigned_abs())
}

impl fmt::Display for CronLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for CronLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CronLine({:?})", self.text)
    }
}
