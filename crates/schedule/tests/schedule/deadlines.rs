//! By when a run must have ended.

use crate::at;
use tenantry_schedule::{deadline_after, zone};

#[test]
fn a_deadline_is_a_length_or_the_next_such_time_on_the_wall() {
    let cases = [
        // A night in Berlin, 22:00 local.
        ("8h", "2026-11-20T21:00:00Z", "2026-11-21T05:00:00Z"),
        ("06:30", "2026-11-20T21:00:00Z", "2026-11-21T05:30:00Z"),
        ("06:30+1d", "2026-11-20T21:00:00Z", "2026-11-22T05:30:00Z"),
        ("23:59", "2026-11-20T21:00:00Z", "2026-11-20T22:59:00Z"),
        // The very time of the schedule is a day later.
        ("22:00", "2026-11-20T21:00:00Z", "2026-11-21T21:00:00Z"),
        // Over the night in which the clock goes forward, an hour is missing.
        ("06:30", "2026-03-28T21:00:00Z", "2026-03-29T04:30:00Z"),
        // 02:30 is skipped that night: the first moment after the gap.
        ("02:30", "2026-03-28T21:00:00Z", "2026-03-29T01:00:00Z"),
        // And comes twice in autumn: the first one.
        ("02:30", "2026-10-24T20:00:00Z", "2026-10-25T00:30:00Z"),
    ];
    let berlin = zone("Europe/Berlin").unwrap();
    for (deadline, scheduled, expected) in cases {
        let found = deadline_after(deadline.parse().unwrap(), at(scheduled), &berlin);
        assert_eq!(found, Some(at(expected)), "{deadline} after {scheduled}");
    }
}
