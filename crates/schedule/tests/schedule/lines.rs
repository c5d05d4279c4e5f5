//! Lines and zones that are refused, and why.

use crate::{at, times};
use tenantry_schedule::{CronLine, LineRefusal, zone};

fn refusal(line: &str) -> LineRefusal {
    line.parse::<CronLine>().map(|line| line.to_string()).unwrap_err()
}

#[test]
fn a_line_that_never_fires_is_refused_with_the_reason() {
    for line in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "15 10 31 2-2 *", "0 0 32 1 *"] {
        let message = refusal(line).to_string();
        assert!(message.contains("never fires") || message.contains("no cron line"), "{line}: {message}");
    }
    assert_eq!(refusal("0 0 30 2 *"), LineRefusal::Never("0 0 30 2 *".to_owned()));
}

#[test]
fn a_day_that_comes_once_in_decades_is_no_reason_to_refuse() {
    assert!("0 0 29 2 *".parse::<CronLine>().is_ok());
    let leap = times("0 0 29 2 *", "UTC");
    assert_eq!(leap.next(at("2096-03-01T00:00:00Z")).unwrap().at, at("2104-02-29T00:00:00Z"));
    // 29 February on a Monday, over the gap of 2100: forty years.
    let rare = times("0 0 29 2 +MON", "UTC");
    assert_eq!(rare.next(at("2072-03-01T00:00:00Z")).unwrap().at, at("2112-02-29T00:00:00Z"));
}

#[test]
fn seconds_are_refused_with_the_shortest_interval() {
    for line in ["* * * * * *", "*/5 * * * * *", "0 0 22 * * * 2027"] {
        let message = refusal(line).to_string();
        assert!(message.contains("seconds") && message.contains("one minute"), "{line}: {message}");
    }
}

#[test]
fn what_is_no_line_says_what_a_line_is() {
    for line in [
        "",
        "hello",
        "* * * *",
        "60 * * * *",
        "* 24 * * *",
        "@reboot",
        "@every 5s",
        "0 22 * * FRIDAYS",
        "5-1 * * * *",
    ] {
        let message = refusal(line).to_string();
        assert!(message.contains("minute hour day-of-month"), "{line}: {message}");
    }
    assert!(refusal(&"1,".repeat(5000)).to_string().len() < 500);
}

#[test]
fn a_zone_that_does_not_exist_is_refused_with_the_nearest_names() {
    let suggestions = |name: &str| zone(name).unwrap_err().suggestions;
    assert_eq!(suggestions("Europe/Berln")[0], "Europe/Berlin");
    assert_eq!(suggestions("europe/berlin")[0], "Europe/Berlin");
    assert_eq!(suggestions("Berlin")[0], "Europe/Berlin");
    assert!(suggestions("America/NewYork").contains(&"America/New_York".to_owned()));
    assert_eq!(suggestions("Mars/Olympus_Mons"), [""; 0]);
    let message = zone("Europe/Berln").unwrap_err().to_string();
    assert!(message.contains("did you mean Europe/Berlin"), "{message}");
    for name in ["", "+02:00", "CET-1CEST", "../etc/passwd"] {
        assert!(zone(name).is_err(), "{name}");
    }
    assert!(zone("UTC").is_ok());
}

#[test]
fn lines_say_when_they_fire() {
    let cases = [
        ("0 22 * * *", "2026-11-21T12:00:00Z", "2026-11-21T21:00:00Z"),
        ("30 22 * * MON-FRI", "2026-11-20T22:00:00Z", "2026-11-23T21:30:00Z"),
        ("@daily", "2026-11-21T12:00:00Z", "2026-11-21T23:00:00Z"),
        ("0 6 L * *", "2026-02-01T00:00:00Z", "2026-02-28T05:00:00Z"),
        ("0 6 1 * *", "2026-12-01T05:00:00Z", "2027-01-01T05:00:00Z"),
        ("0 0 13 * FRI", "2026-11-10T00:00:00Z", "2026-11-12T23:00:00Z"),
    ];
    for (line, after, expected) in cases {
        let found = times(line, "Europe/Berlin").next(at(after)).unwrap();
        assert_eq!(found.at, at(expected), "{line} after {after}");
    }
}
