//! Which of the times that came during an absence are run.

use crate::{at, times};
use jiff::{SignedDuration, Timestamp};
use tenantry_model::CatchUp;
use tenantry_schedule::{Due, due};

const GRACE: SignedDuration = SignedDuration::from_mins(5);

/// The nightly line, first due on the 1st, seen at `now`.
fn seen(now: &str, policy: CatchUp, most: usize) -> Due {
    due(&times("0 22 * * *", "UTC"), at("2026-11-01T22:00:00Z"), at(now), policy, GRACE, most)
}

fn days(found: &[Timestamp]) -> Vec<i8> {
    found.iter().map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).day()).collect()
}

#[test]
fn a_time_on_time_fires_whatever_the_policy_says() {
    for policy in [CatchUp::None, CatchUp::Latest, CatchUp::All] {
        let due = seen("2026-11-01T22:04:59Z", policy, 100);
        assert_eq!((days(&due.fire), due.left_out), (vec![1], 0), "{policy:?}");
        assert_eq!((due.last, due.next), (at("2026-11-01T22:00:00Z"), Some(at("2026-11-02T22:00:00Z"))));
    }
}

#[test]
fn an_absence_over_three_times_is_caught_up_as_the_policy_says() {
    let back = "2026-11-04T08:00:00Z";
    let cases = [(CatchUp::None, vec![], 3), (CatchUp::Latest, vec![3], 2), (CatchUp::All, vec![1, 2, 3], 0)];
    for (policy, fired, left_out) in cases {
        let due = seen(back, policy, 100);
        assert_eq!((days(&due.fire), due.left_out), (fired, left_out), "{policy:?}");
        assert_eq!((due.last, due.next), (at("2026-11-03T22:00:00Z"), Some(at("2026-11-04T22:00:00Z"))));
    }
}

#[test]
fn back_in_time_for_the_newest_it_fires_and_older_ones_are_left_to_the_policy() {
    let back = "2026-11-03T22:01:00Z";
    assert_eq!(days(&seen(back, CatchUp::None, 100).fire), [3]);
    assert_eq!(days(&seen(back, CatchUp::Latest, 100).fire), [3]);
    assert_eq!(days(&seen(back, CatchUp::All, 100).fire), [1, 2, 3]);
}

#[test]
fn of_a_line_by_the_minute_several_times_are_on_time() {
    let every_minute = times("* * * * *", "UTC");
    let (first, now) = (at("2026-11-01T22:00:00Z"), at("2026-11-01T22:08:30Z"));
    for (policy, fired, left_out) in [(CatchUp::None, 5, 4), (CatchUp::Latest, 5, 4), (CatchUp::All, 9, 0)] {
        let due = due(&every_minute, first, now, policy, GRACE, 100);
        assert_eq!((due.fire.len(), due.left_out), (fired, left_out), "{policy:?}");
    }
}

#[test]
fn catching_up_is_bounded_to_the_newest() {
    let due = seen("2026-11-25T08:00:00Z", CatchUp::All, 4);
    assert_eq!((days(&due.fire), due.left_out), (vec![21, 22, 23, 24], 20));
    assert_eq!(due.left_out_until, Some(at("2026-11-20T22:00:00Z")));
    assert_eq!(days(&seen("2026-11-25T08:00:00Z", CatchUp::All, 0).fire), [24]);
}

#[test]
fn a_clock_that_jumps_decades_ahead_costs_a_moment() {
    let every_minute = times("* * * * *", "Europe/Berlin");
    let due =
        due(&every_minute, at("2026-11-01T22:00:00Z"), at("2099-01-01T00:00:00Z"), CatchUp::All, GRACE, 100);
    assert_eq!((due.fire.len(), due.last), (100, at("2099-01-01T00:00:00Z")));
    // Seventy years of minutes were not looked at one by one.
    assert!(due.left_out < 300_000, "{}", due.left_out);
}

#[test]
fn the_repeated_hour_is_caught_up_once() {
    let line = times("30 2 * * *", "Europe/Berlin");
    let first = at("2026-10-24T00:30:00Z");
    let due = due(&line, first, at("2026-10-26T12:00:00Z"), CatchUp::All, GRACE, 100);
    assert_eq!(due.fire, [first, at("2026-10-25T00:30:00Z"), at("2026-10-26T01:30:00Z")]);
}
