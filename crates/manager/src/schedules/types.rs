//! What callers say and get about schedules.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tenantry_model::{
    CatchUp, EnvironmentId, OperationName, Overlap, RunDeadline, RunState, ScheduleName, ScheduleTarget,
};
use tenantry_schedule::may_be_asked;
pub use tenantry_schedule::{Hour, Occurrence};

/// A wish for a schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSchedule {
    /// Unique.
    pub name: ScheduleName,
    /// For people.
    pub description: String,
    /// Which operation.
    pub operation: OperationName,
    /// Checked against the definition's schema, now and each time.
    pub parameters: Map<String, Value>,
    /// For whom.
    pub target: ScheduleTarget,
    /// Five fields.
    pub cron: String,
    /// IANA name.
    pub time_zone: String,
    /// After an absence.
    pub catch_up: CatchUp,
    /// While an earlier run goes on.
    pub overlap: Overlap,
    /// By when each run must have ended.
    pub deadline: Option<RunDeadline>,
    /// Check everything, change nothing.
    pub validate_only: bool,
}

/// What is to be different; `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScheduleChange {
    /// For people.
    pub description: Option<String>,
    /// Which operation.
    pub operation: Option<OperationName>,
    /// Its parameters, all of them.
    pub parameters: Option<Map<String, Value>>,
    /// For whom.
    pub target: Option<ScheduleTarget>,
    /// Five fields.
    pub cron: Option<String>,
    /// IANA name.
    pub time_zone: Option<String>,
    /// After an absence.
    pub catch_up: Option<CatchUp>,
    /// While an earlier run goes on.
    pub overlap: Option<Overlap>,
    /// By when each run must have ended; the inner `None` takes the deadline away.
    pub deadline: Option<Option<RunDeadline>>,
}

/// A wish to run past times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backfill {
    /// The first time that counts.
    pub from: Timestamp,
    /// The last time that counts.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
    /// Only say which runs there would be.
    pub validate_only: bool,
}

/// One time and environment of a backfill or a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedRun {
    /// For which environment.
    pub environment: EnvironmentId,
    /// Which time.
    pub scheduled_time: Timestamp,
    /// Where the run was before; `None`: there was none. One that was skipped is run now, any other stays as it is.
    pub before: Option<RunState>,
}

impl AskedRun {
    /// Whether the request makes it run.
    #[must_use]
    pub fn is_new(&self) -> bool {
        may_be_asked(self.before)
    }
}
