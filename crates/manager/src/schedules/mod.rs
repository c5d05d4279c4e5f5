//! Schedules: making and changing them, firing them from rows alone, and watching their runs' deadlines.
//!
//! Firing has two steps, each one transaction. First a schedule's times become rows (`fire`), together with its next
//! time; then each row becomes an operation (`begin`), under its environment's lock. A crash between the two leaves rows
//! that the next manager takes up; a row that is there already is never made again.

mod asked;
mod attend;
mod begin;
mod change;
mod check;
mod clock;
mod end;
mod fire;
mod history;
mod read;
mod types;
mod watch;

pub(crate) use history::PastRuns;
pub use types::*;

use std::time::Duration;

/// Most schedules.
const MOST_SCHEDULES: usize = 1000;
/// Most runs that one request or one firing makes.
const MOST_RUNS: usize = 1000;
/// Most times of one schedule that are caught up at once.
const MOST_TIMES: usize = 100;
/// Most runs of one schedule that wait for one environment; it holds every backfill.
const MOST_WAITING: u32 = 2000;
/// Longest sleep of the loop that fires: changes of which it was not told are seen then, and a clock that was moved.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// How soon a manager that does not fire looks whether the one that does is gone.
const ANOTHER_HAS_IT: Duration = Duration::from_secs(5);
