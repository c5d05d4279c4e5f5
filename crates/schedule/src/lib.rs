//! When schedules fire: cron lines, time zones, catch-up, deadlines, and whether a deadline will be missed.
//!
//! Pure rules: every function gets the time as an argument and gives the same answer for the same arguments. It must
//! never read a clock, do I/O, or know how schedules are stored and who runs them.

mod deadline;
mod due;
mod line;
mod predict;
mod times;
mod zone;

pub use deadline::deadline_after;
pub use due::{Due, due};
pub use line::{CronLine, LineRefusal};
pub use predict::{MIN_RUNS, PastRun, Prediction, StepLeft, predict};
pub use times::{Hour, Occurrence, Times};
pub use zone::{UnknownZone, zone};
