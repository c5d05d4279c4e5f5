//! `/v1/schedules`: operations that run when their time comes.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use tenantry_model as model;
use tenantry_model::{
    Actor, CatchUp, EnvironmentId, OperationId, OperationName, Overlap, Paused, RunCause, RunDeadline,
    RunState, ScheduleId, ScheduleName, ScheduleTarget,
};
use utoipa::{IntoParams, ToSchema};

/// An operation that is run whenever a cron line says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// Unique.
    pub name: ScheduleName,
    /// UUIDv7; never used again.
    pub id: ScheduleId,
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
    /// What happens to times that came while no manager ran.
    pub catch_up: CatchUp,
    /// What happens when a time comes and an earlier run has not ended.
    pub overlap: Overlap,
    /// By when each run must have ended: a length (`PT8H`) or a time on the wall (`06:30`, `06:30+1d`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub deadline: Option<RunDeadline>,
    /// Set while no time is run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// The newest time that has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_time: Option<Timestamp>,
    /// The next time; absent while paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_time: Option<Timestamp>,
    /// Send it as `If-Match` with a change.
    pub etag: String,
    /// Who made it.
    pub created_by: Actor,
    /// When it was made.
    pub created_at: Timestamp,
    /// When somebody last changed it.
    pub updated_at: Timestamp,
}

impl From<model::Schedule> for Schedule {
    fn from(from: model::Schedule) -> Self {
        Self {
            etag: super::etag(from.revision),
            name: from.name,
            id: from.id,
            description: from.description,
            operation: from.operation,
            parameters: from.parameters,
            target: from.target,
            cron: from.cron,
            time_zone: from.time_zone,
            catch_up: from.catch_up,
            overlap: from.overlap,
            deadline: from.deadline,
            paused: from.paused,
            last_time: from.last_time,
            next_time: from.next_time,
            created_by: from.created_by,
            created_at: from.created_at,
            updated_at: from.updated_at,
        }
    }
}

/// Makes a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateSchedule {
    /// Unique; never changes.
    pub name: ScheduleName,
    /// For people; up to 1,000 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(max_length = 1000)]
    pub description: String,
    /// Which operation; of `lifecycle.` only backup, resume, suspend and upsert.
    pub operation: OperationName,
    /// Its parameters.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// For whom.
    pub target: ScheduleTarget,
    /// Five fields: minute, hour, day of the month, month, day of the week.
    #[schema(example = "0 22 * * MON-FRI")]
    pub cron: String,
    /// IANA name.
    #[schema(example = "Europe/Berlin")]
    pub time_zone: String,
    /// What happens to times that came while no manager ran; default `latest`.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// What happens when a time comes and an earlier run has not ended; default `queue`.
    #[serde(default)]
    pub overlap: Overlap,
    /// By when each run must have ended: a length (`PT8H`) or a time on the wall (`06:30`, `06:30+1d`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub deadline: Option<RunDeadline>,
}

/// Changes a schedule; what is absent stays as it is. Its next time is computed anew, from now on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateSchedule {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Which operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationName>,
    /// Its parameters, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Map<String, Value>>,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ScheduleTarget>,
    /// Five fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// IANA name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// After an absence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<CatchUp>,
    /// While an earlier run goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,
    /// By when each run must have ended; `null` takes the deadline away.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub deadline: Option<Option<RunDeadline>>,
}

/// A member that is there, though it may be null.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(reader: D) -> Result<Option<T>, D::Error> {
    T::deserialize(reader).map(Some)
}

/// Holds back the times of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PauseSchedule {
    /// Why.
    #[schema(max_length = 1000)]
    pub reason: String,
}

/// Lets a paused schedule go on, or runs one now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AskSchedule {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub reason: Option<String>,
}

/// Runs past times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackfillSchedule {
    /// The first time that counts.
    pub from: Timestamp,
    /// The last time that counts.
    pub until: Timestamp,
    /// Why.
    #[schema(max_length = 1000)]
    pub reason: String,
}

/// The runs that a request makes, or with `validateOnly` would make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AskedRuns {
    /// By time and environment; at most 1,000.
    pub runs: Vec<AskedRun>,
}

/// One time for one environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AskedRun {
    /// For which environment.
    pub environment: EnvironmentId,
    /// Which time.
    pub scheduled_time: Timestamp,
    /// Whether this request makes it run; otherwise it has a run already.
    pub runs: bool,
    /// Where its run was before; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<RunState>,
}

/// One time of a schedule for one environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleRun {
    /// For which environment.
    pub environment: EnvironmentId,
    /// Which time; hooks get it as `LIFECYCLE_SCHEDULED_TIME`.
    pub scheduled_time: Timestamp,
    /// Why there is a run.
    pub cause: RunCause,
    /// Where it is.
    pub state: RunState,
    /// Its operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// Why it was skipped or waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// By when it must have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_at: Option<Timestamp>,
    /// It will probably not have ended by then.
    pub at_risk: bool,
    /// It did not end by its deadline.
    pub missed: bool,
    /// When the run was made.
    pub created_at: Timestamp,
    /// When its state last changed.
    pub changed_at: Timestamp,
}

impl From<model::ScheduleRun> for ScheduleRun {
    fn from(from: model::ScheduleRun) -> Self {
        Self {
            environment: from.environment,
            scheduled_time: from.scheduled_time,
            cause: from.cause,
            state: from.state,
            operation: from.operation,
            note: from.note,
            deadline_at: from.deadline_at,
            at_risk: from.at_risk,
            missed: from.missed,
            created_at: from.created_at,
            changed_at: from.changed_at,
        }
    }
}

/// Which times a preview shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PreviewQuery {
    /// The times after this one; default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>, format = DateTime)]
    pub after: Option<Timestamp>,
    /// At most this many, 1 to 1,000 (default 10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub count: Option<u32>,
}

/// The next times of a schedule, as if it was not paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchedulePreview {
    /// IANA name.
    pub time_zone: String,
    /// In order.
    pub times: Vec<PreviewedTime>,
}

/// One time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviewedTime {
    /// When.
    pub at: Timestamp,
    /// The same on the wall, with its offset.
    #[schema(example = "2026-03-29T03:00:00+02:00")]
    pub local: String,
    /// What the clock on the wall did.
    pub clock: Clock,
}

/// Whether the clock on the wall was set at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// It was not.
    Plain,
    /// The line names a time that the clock skipped; this is the first moment after the gap.
    Skipped,
    /// The first of two equal times.
    RepeatedFirst,
    /// The second of two equal times.
    RepeatedSecond,
}
