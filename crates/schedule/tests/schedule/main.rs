//! The rules of schedules, each by name.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod catch_up;
mod clocks;
mod deadlines;
mod lines;
mod nights;

use jiff::Timestamp;
use tenantry_schedule::{Times, zone};

/// The times of a line in a zone.
fn times(line: &str, zone_name: &str) -> Times {
    Times::new(line.parse().unwrap(), zone(zone_name).unwrap())
}

/// `2026-03-29T00:00Z`, seconds optional.
fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}
