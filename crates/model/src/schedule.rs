//! Schedules: operations that are run when their time comes, and one row for each time and environment.

use crate::{
    Actor, EnvironmentId, OperationId, OperationName, RegionName, ScheduleId, ScheduleName, TenantName,
};
use jiff::civil::Time;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{fmt, str::FromStr};

/// What happens to times that came while no manager ran.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum CatchUp {
    /// They are left out.
    None,
    /// The newest is run, the others are left out.
    #[default]
    Latest,
    /// Each is run, in order; at most the hundred newest.
    All,
}

/// What happens when a time comes and an earlier run of the schedule for the same environment has not ended.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// The time is left out.
    Skip,
    /// It waits until the earlier ones have ended.
    #[default]
    Queue,
    /// It waits for the one that runs, and takes the place of one that still waits.
    Replace,
}

/// By when a run must have ended; as text `8h`, `06:30` or `06:30+1d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RunDeadline {
    /// So long after the scheduled time.
    Within(SignedDuration),
    /// At this time on the wall in the schedule's time zone: the first one after the scheduled time, or so many days
    /// after that.
    At {
        /// Hour and minute.
        time: Time,
        /// Further days, at most 30.
        days: u8,
    },
}

/// A text that is no [`RunDeadline`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no deadline: write a length (8h, 90m; at most 31 days) or a time of day (06:30, or 06:30+1d for a day later)"
)]
pub struct InvalidDeadline(String);

impl FromStr for RunDeadline {
    type Err = InvalidDeadline;

    fn from_str(text: &str) -> Result<Self, InvalidDeadline> {
        let refused = || InvalidDeadline(text.chars().take(100).collect());
        let (clock, days) = match text.split_once('+') {
            Some((clock, days)) => {
                let days = days.strip_suffix('d').and_then(|days| days.parse().ok());
                (clock, days.filter(|days| (1..=30).contains(days)).ok_or_else(refused)?)
            }
            None => (text, 0),
        };
        if clock.contains(':') {
            let well_formed = clock.len() == 5;
            let time = clock.parse().ok().filter(|_| well_formed).ok_or_else(refused)?;
            return Ok(Self::At { time, days });
        }
        let length: SignedDuration = text.parse().map_err(|_| refused())?;
        let fits = length.is_positive() && length <= SignedDuration::from_hours(31 * 24);
        fits.then_some(Self::Within(length)).ok_or_else(refused)
    }
}

impl fmt::Display for RunDeadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Within(length) => write!(f, "{length}"),
            Self::At { time, days } => {
                write!(f, "{:02}:{:02}", time.hour(), time.minute())?;
                if *days > 0 { write!(f, "+{days}d") } else { Ok(()) }
            }
        }
    }
}

impl TryFrom<String> for RunDeadline {
    type Error = InvalidDeadline;
    fn try_from(text: String) -> Result<Self, InvalidDeadline> {
        text.parse()
    }
}

impl From<RunDeadline> for String {
    fn from(deadline: RunDeadline) -> Self {
        deadline.to_string()
    }
}

/// For which environments a schedule runs its operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ScheduleTarget {
    /// One.
    Environment(EnvironmentId),
    /// All that match when the time comes; those that are decommissioned never do.
    Selector {
        /// Of one tenant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tenant: Option<TenantName>,
        /// In one region.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<RegionName>,
        /// Kubernetes label selector (`tier in (gold,silver)`); empty matches all.
        #[serde(default)]
        labels: String,
        /// When more match, nothing is run at all; 1 to 1,000.
        cap: u32,
    },
}

/// Who paused a schedule, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Paused {
    /// Who.
    pub by: Actor,
    /// Why.
    pub reason: String,
    /// Since when.
    #[schemars(with = "String")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// An operation that is run whenever a cron line says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// UUIDv7; its runs belong to it, not to its name.
    pub id: ScheduleId,
    /// Unique.
    pub name: ScheduleName,
    /// For people.
    pub description: String,
    /// Which operation.
    pub operation: OperationName,
    /// Its parameters.
    pub parameters: Map<String, Value>,
    /// For whom.
    pub target: ScheduleTarget,
    /// Five fields: minute, hour, day of the month, month, day of the week.
    pub cron: String,
    /// IANA name.
    pub time_zone: String,
    /// After an absence.
    pub catch_up: CatchUp,
    /// While an earlier run goes on.
    pub overlap: Overlap,
    /// By when each run must have ended.
    pub deadline: Option<RunDeadline>,
    /// Set while no time is run; times that come meanwhile are never caught up.
    pub paused: Option<Paused>,
    /// The newest time that has come: neither it nor an earlier one will come again, whatever the clock does.
    pub last_time: Option<Timestamp>,
    /// The next time; `None` while paused.
    pub next_time: Option<Timestamp>,
    /// Raised when somebody changes it, not when it fires; the ETag.
    pub revision: u64,
    /// Who made it.
    pub created_by: Actor,
    /// When it was made.
    pub created_at: Timestamp,
    /// When `revision` was last raised.
    pub updated_at: Timestamp,
}

/// Why there is a run.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum RunCause {
    /// Its time came.
    Time,
    /// Its time had come while no manager ran.
    CatchUp,
    /// A person asked for a past time.
    Backfill,
    /// A person asked for a run now.
    Request,
}

/// Where a run is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// Its operation will be requested at once.
    Due,
    /// Waits for earlier runs of the schedule for its environment.
    Waiting,
    /// Its operation was requested and has not ended.
    Requested,
    /// Its operation has ended, however.
    Ended,
    /// It has no operation and never will; `note` says why.
    Skipped,
}

/// One time of a schedule for one environment: there is at most one such row, and at most one operation for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleRun {
    /// Of which schedule.
    pub schedule: ScheduleId,
    /// For which environment.
    pub environment: EnvironmentId,
    /// Which time; hooks get it as `LIFECYCLE_SCHEDULED_TIME`.
    pub scheduled_time: Timestamp,
    /// Why there is a run.
    pub cause: RunCause,
    /// Where it is.
    pub state: RunState,
    /// Its operation, once it was requested.
    pub operation: Option<OperationId>,
    /// Why it was skipped or waits, for people.
    pub note: Option<String>,
    /// By when it must have ended.
    pub deadline_at: Option<Timestamp>,
    /// It will probably not, and that was said.
    pub at_risk: bool,
    /// It did not, and that was said.
    pub missed: bool,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When `state` last changed.
    pub changed_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_reads_back_as_it_was_written() {
        for (text, shown) in [
            ("06:30", "06:30"),
            ("06:30+1d", "06:30+1d"),
            ("8h", "PT8H"),
            ("PT90M", "PT1H30M"),
            ("00:00", "00:00"),
        ] {
            let deadline: RunDeadline = text.parse().unwrap();
            assert_eq!(deadline.to_string(), shown);
            assert_eq!(shown.parse(), Ok(deadline));
        }
    }

    #[test]
    fn what_is_no_deadline_is_refused() {
        for text in [
            "",
            "6:30",
            "24:00",
            "06:30+0d",
            "06:30+31d",
            "06:30+1",
            "-1h",
            "0s",
            "32d",
            "800h",
            "soon",
            "06:30:15",
        ] {
            assert!(text.parse::<RunDeadline>().is_err(), "{text}");
        }
    }
}
