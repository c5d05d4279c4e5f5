//! When a line fires, by the definition in words: every minute of some days, looked at one by one. Knows nothing of the
//! rules that it judges, but how a line is read.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::sync::OnceLock;
use tenantry_schedule::{CronLine, Times, zone};

/// Lines by the clock and by the hour, sparse and dense.
pub const LINES: [&str; 8] = [
    "30 2 * * *",
    "0 22 * * *",
    "0 */3 * * *",
    "30 * * * *",
    "15,45 1-3 * * *",
    "*/20 2 * * *",
    "* 2 * * *",
    "0 2,12 * * *",
];
/// Zones, and the first of the days that are looked at: on the third or fourth the clock is set.
const ZONES: [(&str, &str); 6] = [
    ("Europe/Berlin", "2026-03-26T00:00:00Z"),
    ("Europe/Berlin", "2026-10-22T00:00:00Z"),
    ("America/New_York", "2026-10-29T00:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-01T00:00:00Z"),
    ("Australia/Lord_Howe", "2026-09-30T00:00:00Z"),
    ("UTC", "2026-12-29T00:00:00Z"),
];
const DAYS: i64 = 12;
/// Minutes of a day.
const DAY: i64 = 24 * 60;

/// The clock on the wall in one zone over some days. Whole minutes since 1970 by that clock, as numbers: they are looked
/// at often.
pub struct Wall {
    pub zone: &'static str,
    pub start: Timestamp,
    /// What it shows, minute by minute.
    shown: Vec<i64>,
    /// For each of [`LINES`] the times at which it fires, and what the code under test makes of it.
    pub lines: Vec<(BTreeSet<Timestamp>, Times)>,
}

pub fn walls() -> &'static [Wall] {
    static WALLS: OnceLock<Vec<Wall>> = OnceLock::new();
    WALLS.get_or_init(|| ZONES.iter().map(|(zone, start)| Wall::new(zone, start.parse().unwrap())).collect())
}

impl Wall {
    fn new(name: &'static str, start: Timestamp) -> Self {
        let zone = zone(name).unwrap();
        let minute = |n: i64| start + SignedDuration::from_mins(n);
        let shown: Vec<i64> = (0..DAYS * DAY)
            .map(|n| minute(n).as_second() / 60 + i64::from(zone.to_offset(minute(n)).seconds()) / 60)
            .collect();
        let lines = LINES
            .iter()
            .map(|line| {
                let line: CronLine = line.parse().unwrap();
                (fires(&line, start, &shown), Times::new(line, zone.clone()))
            })
            .collect();
        Self { zone: name, start, shown, lines }
    }

    /// The first time after `after` at which this clock shows `time` for the first time on its day, or jumps over it;
    /// then the same so many days later.
    pub fn first(&self, time: Time, days: u8, after: Timestamp) -> Option<Timestamp> {
        let time = i64::from(time.hour()) * 60 + i64::from(time.minute());
        let minute = usize::try_from(after.duration_since(self.start).as_mins()).unwrap() + 1;
        let (mut found, wall) = self.find(minute, |wall| wall.rem_euclid(DAY) == time)?;
        if days > 0 {
            (found, _) = self.find(found, |later| later == wall + i64::from(days) * DAY)?;
        }
        Some(self.start + SignedDuration::from_mins(i64::try_from(found).unwrap()))
    }

    fn find(&self, from: usize, wanted: impl Fn(i64) -> bool) -> Option<(usize, i64)> {
        (from..self.shown.len()).find_map(|minute| {
            let mut new = between(self.shown[minute - 1], self.shown[minute]);
            Some((minute, new.find(|wall| wanted(*wall) && !self.came_before(minute, *wall))?))
        })
    }

    /// What the clock did around this time.
    pub fn hour(&self, at: Timestamp) -> Option<&'static str> {
        let minute = usize::try_from(at.duration_since(self.start).as_mins()).unwrap();
        let (wall, later) = (self.shown[minute], self.shown.get(minute + 1..minute + 180));
        if wall - self.shown[minute - 1] > 1 {
            Some("skipped hour")
        } else if self.came_before(minute, wall) {
            Some("repeated hour, second time")
        } else {
            later.is_some_and(|later| later.contains(&wall)).then_some("repeated hour, first time")
        }
    }

    /// It was shown before the clock was set back.
    fn came_before(&self, minute: usize, wall: i64) -> bool {
        self.shown[minute.saturating_sub(180)..minute].contains(&wall)
    }
}

/// What a clock shows that goes from one minute to the next: that one, and all that it jumps over.
fn between(last: i64, now: i64) -> std::ops::RangeInclusive<i64> {
    if now > last { last + 1..=now } else { now..=now }
}

fn fires(line: &CronLine, start: Timestamp, shown: &[i64]) -> BTreeSet<Timestamp> {
    // What the line says of a clock on the wall that nobody ever sets.
    let utc = |wall: i64| Timestamp::from_second(wall * 60).unwrap();
    let last = shown[shown.len() - 1] + 2 * DAY;
    let steady = Times::new(line.clone(), TimeZone::UTC);
    let named: BTreeSet<i64> = steady
        .after(utc(shown[0] - 1))
        .map(|found| found.at.as_second() / 60)
        .take_while(|wall| *wall <= last)
        .collect();
    let mut seen = BTreeSet::new();
    let mut fired = BTreeSet::new();
    for (minute, pair) in (1..).zip(shown.windows(2)) {
        let (last, now) = (pair[0], pair[1]);
        let skipped = between(last, now).any(|wall| wall < now && named.contains(&wall));
        let first_time = seen.insert(now);
        let plain = named.contains(&now) && (first_time || line.is_by_the_hour());
        if plain || skipped && !line.is_by_the_hour() {
            fired.insert(start + SignedDuration::from_mins(minute));
        }
    }
    fired
}
