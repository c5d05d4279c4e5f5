//! Schedules and their runs.

use super::Db;
use crate::{
    codec::{bounded, damaged, decode, encode, nanos, page_size, paged, time, word},
    errors::{failed, taken},
};
use jiff::Timestamp;
use tenantry_model::{
    EnvironmentId, OperationId, Page, Paged, Schedule, ScheduleId, ScheduleName, ScheduleRun,
};
use tenantry_store::{Result, RunKey};

const TABLE: &str = "schedules";
const RUNS: &str = "schedule_runs";

pub async fn get(db: Db<'_>, id: ScheduleId) -> Result<Option<Schedule>> {
    let id = id.to_string();
    sqlx::query_scalar!("SELECT payload FROM schedules WHERE id = ?", id)
        .fetch_optional(db)
        .await
        .map_err(failed("read a schedule"))?
        .map(|payload| decode(TABLE, &id, &payload))
        .transpose()
}

pub async fn by_name(db: Db<'_>, name: &ScheduleName) -> Result<Option<Schedule>> {
    let name = name.as_str();
    sqlx::query_scalar!("SELECT payload FROM schedules WHERE name = ?", name)
        .fetch_optional(db)
        .await
        .map_err(failed("read a schedule"))?
        .map(|payload| decode(TABLE, name, &payload))
        .transpose()
}

pub async fn list(db: Db<'_>) -> Result<Vec<Schedule>> {
    sqlx::query!("SELECT name, payload FROM schedules ORDER BY name LIMIT 1000")
        .fetch_all(db)
        .await
        .map_err(failed("list schedules"))?
        .into_iter()
        .map(|row| decode(TABLE, &row.name, &row.payload))
        .collect()
}

pub async fn due(db: Db<'_>, now: Timestamp, limit: u32) -> Result<Vec<Schedule>> {
    let (now, limit) = (nanos(now), bounded(limit));
    sqlx::query!("SELECT id, payload FROM schedules WHERE due <= ? ORDER BY due, id LIMIT ?", now, limit)
        .fetch_all(db)
        .await
        .map_err(failed("read the schedules whose time has come"))?
        .into_iter()
        .map(|row| decode(TABLE, &row.id, &row.payload))
        .collect()
}

pub async fn next_due(db: Db<'_>) -> Result<Option<Timestamp>> {
    let first = sqlx::query!(
        "SELECT id, due AS \"due!: i64\" FROM schedules WHERE due > -9223372036854775808
         ORDER BY due, id LIMIT 1"
    )
    .fetch_optional(db)
    .await
    .map_err(failed("read the next time of a schedule"))?;
    first.map(|row| time(TABLE, row.id, row.due)).transpose()
}

pub async fn put(db: Db<'_>, schedule: &Schedule) -> Result<()> {
    let id = schedule.id.to_string();
    let name = schedule.name.as_str();
    let due = schedule.next_time.map(nanos);
    let payload = encode(TABLE, &id, schedule)?;
    sqlx::query!(
        "INSERT INTO schedules (id, name, due, payload) VALUES (?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, due = excluded.due, payload = excluded.payload",
        id,
        name,
        due,
        payload
    )
    .execute(db)
    .await
    .map_err(taken("write a schedule", || format!("schedule {name}")))?;
    Ok(())
}

pub async fn delete(db: Db<'_>, id: ScheduleId) -> Result<bool> {
    let id = id.to_string();
    sqlx::query!("DELETE FROM schedule_runs WHERE schedule = ? AND state IN ('due', 'waiting')", id)
        .execute(&mut *db)
        .await
        .map_err(failed("delete a schedule's runs"))?;
    sqlx::query!("DELETE FROM schedules WHERE id = ?", id)
        .execute(db)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed("delete a schedule"))
}

pub async fn run(db: Db<'_>, key: &RunKey) -> Result<Option<ScheduleRun>> {
    let (schedule, environment) = (key.schedule.to_string(), key.environment.to_string());
    let at = nanos(key.scheduled_time);
    sqlx::query_scalar!(
        "SELECT payload FROM schedule_runs WHERE schedule = ? AND environment = ? AND at = ?",
        schedule,
        environment,
        at
    )
    .fetch_optional(db)
    .await
    .map_err(failed("read a schedule's run"))?
    .map(|payload| decode(RUNS, key, &payload))
    .transpose()
}

pub async fn run_of(db: Db<'_>, operation: OperationId) -> Result<Option<ScheduleRun>> {
    let operation = operation.to_string();
    sqlx::query_scalar!("SELECT payload FROM schedule_runs WHERE operation = ?", operation)
        .fetch_optional(db)
        .await
        .map_err(failed("read an operation's scheduled run"))?
        .map(|payload| decode(RUNS, &operation, &payload))
        .transpose()
}

/// A page's key is the time in nanoseconds and the environment, of the last run that was read.
pub async fn runs(db: Db<'_>, schedule: ScheduleId, page: &Page) -> Result<Paged<ScheduleRun>> {
    let (size, limit) = page_size(page);
    let id = schedule.to_string();
    let (at, environment) = page
        .after
        .as_deref()
        .and_then(|after| after.split_once('/'))
        .and_then(|(at, environment)| Some((at.parse::<i64>().ok()?, environment)))
        .unwrap_or((i64::MAX, "~"));
    let rows = sqlx::query!(
        "SELECT at, environment, payload FROM schedule_runs
         WHERE schedule = ? AND (at, environment) < (?, ?) ORDER BY at DESC, environment DESC LIMIT ?",
        id,
        at,
        environment,
        limit
    )
    .fetch_all(db)
    .await
    .map_err(failed("list a schedule's runs"))?
    .into_iter()
    .map(|row| {
        let key = format!("{}/{}", row.at, row.environment);
        decode(RUNS, &key, &row.payload).map(|run| (key, run))
    })
    .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn due_runs(db: Db<'_>, limit: u32) -> Result<Vec<ScheduleRun>> {
    let limit = bounded(limit);
    sqlx::query!(
        "SELECT operation, payload FROM schedule_runs WHERE state = 'due' AND at > -9223372036854775808
         ORDER BY at, schedule, environment LIMIT ?",
        limit
    )
    .fetch_all(db)
    .await
    .map_err(failed("read the runs that are due"))?
    .into_iter()
    .map(|row| decode(RUNS, "due", &row.payload))
    .collect()
}

pub async fn open_runs(
    db: Db<'_>,
    schedule: ScheduleId,
    environment: EnvironmentId,
    limit: u32,
) -> Result<Vec<ScheduleRun>> {
    let (schedule, environment, limit) = (schedule.to_string(), environment.to_string(), bounded(limit));
    sqlx::query!(
        "SELECT payload FROM schedule_runs WHERE schedule = ? AND environment = ?
         AND state IN ('due', 'waiting', 'requested') ORDER BY at LIMIT ?",
        schedule,
        environment,
        limit
    )
    .fetch_all(db)
    .await
    .map_err(failed("read a schedule's open runs"))?
    .into_iter()
    .map(|row| decode(RUNS, format_args!("{schedule}/{environment}"), &row.payload))
    .collect()
}

pub async fn watched_runs(db: Db<'_>, page: &Page) -> Result<Paged<ScheduleRun>> {
    let (size, limit) = page_size(page);
    let after = page.after.as_deref().unwrap_or_default();
    let rows = sqlx::query!(
        "SELECT operation AS \"operation!: String\", payload FROM schedule_runs
         WHERE state = 'requested' AND deadline IS NOT NULL AND operation > ? ORDER BY operation LIMIT ?",
        after,
        limit
    )
    .fetch_all(db)
    .await
    .map_err(failed("list the runs that have a deadline"))?
    .into_iter()
    .map(|row| decode(RUNS, &row.operation, &row.payload).map(|run| (row.operation, run)))
    .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn add_run(db: Db<'_>, run: &ScheduleRun) -> Result<bool> {
    let columns = Columns::of(run)?;
    sqlx::query!(
        "INSERT INTO schedule_runs (schedule, environment, at, state, operation, deadline, payload)
         VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (schedule, environment, at) DO NOTHING",
        columns.schedule,
        columns.environment,
        columns.at,
        columns.state,
        columns.operation,
        columns.deadline,
        columns.payload
    )
    .execute(db)
    .await
    .map(|done| done.rows_affected() > 0)
    .map_err(failed("write a schedule's run"))
}

pub async fn put_run(db: Db<'_>, run: &ScheduleRun) -> Result<()> {
    let columns = Columns::of(run)?;
    sqlx::query!(
        "INSERT INTO schedule_runs (schedule, environment, at, state, operation, deadline, payload)
         VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (schedule, environment, at) DO UPDATE SET state = excluded.state,
             operation = excluded.operation, deadline = excluded.deadline, payload = excluded.payload",
        columns.schedule,
        columns.environment,
        columns.at,
        columns.state,
        columns.operation,
        columns.deadline,
        columns.payload
    )
    .execute(db)
    .await
    .map_err(failed("write a schedule's run"))?;
    Ok(())
}

pub async fn expire_runs(db: Db<'_>, before: Timestamp, limit: u32) -> Result<u32> {
    let (before, limit) = (nanos(before), bounded(limit));
    let done = sqlx::query!(
        "DELETE FROM schedule_runs WHERE (schedule, environment, at) IN (
             SELECT schedule, environment, at FROM schedule_runs
             WHERE state IN ('ended', 'skipped') AND at < ? ORDER BY at LIMIT ?)",
        before,
        limit
    )
    .execute(db)
    .await
    .map_err(failed("remove old runs of schedules"))?;
    u32::try_from(done.rows_affected()).map_err(|source| damaged(RUNS, "count", source))
}

/// A run's columns.
struct Columns {
    schedule: String,
    environment: String,
    at: i64,
    state: String,
    operation: Option<String>,
    deadline: Option<i64>,
    payload: String,
}

impl Columns {
    fn of(run: &ScheduleRun) -> Result<Self> {
        Ok(Self {
            schedule: run.schedule.to_string(),
            environment: run.environment.to_string(),
            at: nanos(run.scheduled_time),
            state: word(&run.state),
            operation: run.operation.map(|id| id.to_string()),
            deadline: run.deadline_at.map(nanos),
            payload: encode(RUNS, RunKey::of(run), run)?,
        })
    }
}
