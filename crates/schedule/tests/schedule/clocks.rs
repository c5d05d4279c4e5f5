//! The skipped and the repeated hour, in zones that differ.

use crate::{at, times};
use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::*;
use std::collections::BTreeSet;
use tenantry_schedule::{Hour, Times, zone};

/// The times within a night, as the clock on the wall shows them, with what it did.
fn night(line: &str, zone_name: &str, from: &str, hours: i64) -> Vec<(String, Hour)> {
    let from = at(from);
    let until = from + SignedDuration::from_hours(hours);
    let times = times(line, zone_name);
    let shown = |at: Timestamp| at.to_zoned(times.zone().clone()).strftime("%H:%M %:z").to_string();
    times
        .after(from)
        .take_while(|found| found.at <= until)
        .map(|found| (shown(found.at), found.hour))
        .collect()
}

fn plain(times: &[&str]) -> Vec<(String, Hour)> {
    times.iter().map(|time| ((*time).to_owned(), Hour::Plain)).collect()
}

#[test]
fn a_skipped_time_fires_at_the_first_moment_after_the_gap() {
    // (line, zone, a moment before the gap, what comes within four hours)
    let cases = [
        ("30 2 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "03:00 +02:00"),
        ("30 2 * * *", "America/New_York", "2026-03-08T06:00:00Z", "03:00 -04:00"),
        // Half an hour only: from 02:00 to 02:30.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T15:00:00Z", "02:30 +11:00"),
        // Several skipped ones fire there together, once.
        ("0,20,40 2 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "03:00 +02:00"),
    ];
    for (line, zone, before, shown) in cases {
        assert_eq!(night(line, zone, before, 4), [(shown.to_owned(), Hour::Skipped)], "{line} {zone}");
    }
    // One that names the gap's end as well fires there once.
    let both = night("0 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 4);
    assert_eq!(both, [("03:00 +02:00".to_owned(), Hour::Skipped)]);
    // And the days before and after are as ever.
    let days = times("30 2 * * *", "Europe/Berlin");
    let three: Vec<Timestamp> =
        days.after(at("2026-03-28T00:00:00Z")).map(|found| found.at).take(3).collect();
    assert_eq!(three, [at("2026-03-28T01:30:00Z"), at("2026-03-29T01:00:00Z"), at("2026-03-30T00:30:00Z")]);
}

#[test]
fn a_time_that_comes_twice_fires_the_first_time() {
    let cases = [
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T23:00:00Z", "02:30 +02:00"),
        ("30 1 * * *", "America/New_York", "2026-11-01T04:30:00Z", "01:30 -04:00"),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T14:00:00Z", "01:45 +11:00"),
    ];
    for (line, zone, before, shown) in cases {
        assert_eq!(night(line, zone, before, 4), [(shown.to_owned(), Hour::RepeatedFirst)], "{line} {zone}");
    }
    // 02:00 itself comes twice; 03:00, the end of the repeated hour, once.
    let edges = night("0 2,3 * * *", "Europe/Berlin", "2026-10-24T23:00:00Z", 4);
    assert_eq!(
        edges,
        [("02:00 +02:00".to_owned(), Hour::RepeatedFirst), ("03:00 +01:00".to_owned(), Hour::Plain)]
    );
}

#[test]
fn a_line_by_the_hour_follows_time_as_it_passes() {
    let spring = night("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3);
    assert_eq!(spring, plain(&["01:30 +01:00", "03:30 +02:00", "04:30 +02:00"]));
    let autumn = night("30 * * * *", "Europe/Berlin", "2026-10-24T23:00:00Z", 4);
    let expected = [
        ("01:30 +02:00", Hour::Plain),
        ("02:30 +02:00", Hour::RepeatedFirst),
        ("02:30 +01:00", Hour::RepeatedSecond),
        ("03:30 +01:00", Hour::Plain),
    ];
    assert_eq!(autumn, expected.map(|(time, hour)| (time.to_owned(), hour)));
    // Half an hour comes twice: every quarter of it.
    let howe = night("*/15 * * * *", "Australia/Lord_Howe", "2026-04-04T14:30:00Z", 1);
    let shown: Vec<&str> = howe.iter().map(|(time, _)| time.as_str()).collect();
    assert_eq!(shown, ["01:45 +11:00", "01:30 +10:30", "01:45 +10:30", "02:00 +10:30"]);
}

#[test]
fn a_whole_day_that_the_clock_skips_fires_after_it() {
    // Samoa went from Thursday 29 to Saturday 31 December 2011.
    let daily = times("0 12 * * *", "Pacific/Apia");
    let found: Vec<_> = daily.after(at("2011-12-29T00:00:00Z")).take(3).collect();
    assert_eq!(found[0].at, at("2011-12-29T22:00:00Z"));
    assert_eq!((found[1].at, found[1].hour), (at("2011-12-30T10:00:00Z"), Hour::Skipped));
    assert_eq!(found[2].at, at("2011-12-30T22:00:00Z"));
}

/// By brute force: every minute of real time, judged by the definition in words.
fn by_definition(line: &str, zone_name: &str, from: Timestamp, minutes: i64) -> BTreeSet<Timestamp> {
    let zone = zone(zone_name).unwrap();
    let line: tenantry_schedule::CronLine = line.parse().unwrap();
    // What the line says of a clock on the wall that nobody ever sets.
    let wall = Times::new(line.clone(), jiff::tz::TimeZone::UTC);
    let named = |wall_time: jiff::civil::DateTime| {
        let as_utc = wall_time.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
        wall.next(as_utc - 1.second()).is_some_and(|found| found.at == as_utc)
    };
    let mut fired = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let start = from - 26.hours();
    let mut last = zone.to_datetime(start);
    for minute in 0..=(minutes + 26 * 60) {
        let at = start + minute.minutes();
        let now = zone.to_datetime(at);
        // What the clock jumped over since the last minute.
        let mut skipped = last + 1.minute();
        let mut named_now = false;
        while minute > 0 && skipped < now {
            named_now |= named(skipped) && !line.is_by_the_hour();
            skipped += 1.minute();
        }
        last = now;
        named_now |= named(now) && (line.is_by_the_hour() || !seen.contains(&now));
        seen.insert(now);
        if named_now && at > from {
            fired.insert(at);
        }
    }
    fired
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_times_of_a_line_are_those_of_its_definition(
        minute in prop::sample::select(vec!["0", "30", "*/20", "15,45", "*"]),
        hour in prop::sample::select(vec!["*", "*/2", "2", "1-3", "0,2,12", "23"]),
        zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kathmandu", "Africa/Casablanca"]),
        change in prop::sample::select(vec!["2026-03-08", "2026-03-29", "2026-04-04", "2026-10-03", "2026-10-25", "2026-11-01", "2027-02-07"]),
        offset in -600i64..600,
    ) {
        let line = format!("{minute} {hour} * * *");
        let from = at(&format!("{change}T00:00:00Z")) + offset.minutes();
        let until = from + 30.hours();
        let found: BTreeSet<Timestamp> = times(&line, zone)
            .after(from).map(|found| found.at).take_while(|at| *at <= until).collect();
        prop_assert_eq!(found, by_definition(&line, zone, from, 30 * 60));
    }

    #[test]
    fn times_only_ever_grow_and_none_lies_between_two_of_them(
        line in "[0-5]?[0-9] (\\*|[0-9]|1[0-9]|\\*/[2-9]) (\\*|[1-9]|1[0-9]) \\* (\\*|[0-6])",
        start in 1_700_000_000i64..2_000_000_000,
    ) {
        let line: Result<tenantry_schedule::CronLine, _> = line.parse();
        prop_assume!(line.is_ok());
        let times = Times::new(line.unwrap(), zone("Europe/Berlin").unwrap());
        let from = Timestamp::from_second(start).unwrap();
        let found: Vec<Timestamp> = times.after(from).map(|found| found.at).take(20).collect();
        prop_assert!(found.is_sorted_by(|a, b| a < b) && found[0] > from);
        for pair in found.windows(2) {
            let between = pair[0] + (pair[1].duration_since(pair[0]) / 2);
            prop_assert_eq!(times.next(between).unwrap().at, pair[1]);
            prop_assert_eq!(times.next(pair[0]).unwrap().at, pair[1]);
        }
    }
}
