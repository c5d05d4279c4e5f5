//! When schedules fire: cron lines, time zones, catch-up, turns, deadlines, and whether a deadline will be missed.
//!
//! Pure rules: every function gets rows and the time as arguments and gives the same answer for the same arguments. It
//! must never read a clock, do I/O, or know how schedules are stored and who commits what it decides.

mod asked;
mod deadline;
mod due;
mod fire;
mod line;
#[cfg(any(test, feature = "mutants"))]
pub mod mutants;
#[cfg(not(any(test, feature = "mutants")))]
mod mutants;
mod predict;
mod standing;
mod times;
mod turn;
mod zone;

pub use asked::{may_be_asked, past_times};
pub use deadline::deadline_after;
pub use due::{Due, due};
pub use fire::{Bounds, Firing, fire, is_same, new_run, next_after_change};
pub use line::{CronLine, LineRefusal};
pub use predict::{MIN_RUNS, PastRun, Prediction, StepLeft, predict};
pub use standing::{Standing, ended_late, standing};
pub use times::{Hour, Occurrence, Times};
pub use turn::{Replaced, Request, Turn, next_to_begin, replaced, request, skipped, turn};
pub use zone::{UnknownZone, zone};
