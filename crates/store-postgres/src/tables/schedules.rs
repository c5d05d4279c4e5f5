//! Schedules and their runs.

use super::{Db, Pair};
use crate::{
    codec::{bounded, damaged, decode, encode, nanos, page_size, paged, time, word},
    errors::failed,
};
use jiff::Timestamp;
use tenantry_model::{
    EnvironmentId, OperationId, Page, Paged, Schedule, ScheduleId, ScheduleName, ScheduleRun,
};
use tenantry_store::{Result, RunKey, StoreError};

const TABLE: &str = "schedules";
const RUNS: &str = "schedule_runs";

pub async fn get(db: Db<'_>, id: ScheduleId) -> Result<Option<Schedule>> {
    let id = id.to_string();
    sqlx::query_scalar::<_, String>("SELECT payload FROM schedules WHERE id = $1")
        .bind(&id)
        .fetch_optional(db)
        .await
        .map_err(failed("read a schedule"))?
        .map(|payload| decode(TABLE, &id, &payload))
        .transpose()
}

/// Reads it and keeps others from changing it until the end of the transaction.
pub async fn lock(db: Db<'_>, id: ScheduleId) -> Result<Option<Schedule>> {
    sqlx::query_scalar::<_, String>("SELECT payload FROM schedules WHERE id = $1 FOR UPDATE")
        .bind(id.to_string())
        .fetch_optional(db)
        .await
        .map_err(failed("lock a schedule"))?
        .map(|payload| decode(TABLE, id, &payload))
        .transpose()
}

pub async fn by_name(db: Db<'_>, name: &ScheduleName) -> Result<Option<Schedule>> {
    let name = name.as_str();
    sqlx::query_scalar::<_, String>("SELECT payload FROM schedules WHERE name = $1")
        .bind(name)
        .fetch_optional(db)
        .await
        .map_err(failed("read a schedule"))?
        .map(|payload| decode(TABLE, name, &payload))
        .transpose()
}

pub async fn list(db: Db<'_>) -> Result<Vec<Schedule>> {
    let rows: Vec<Pair> = sqlx::query_as("SELECT name, payload FROM schedules ORDER BY name LIMIT 1000")
        .fetch_all(db)
        .await
        .map_err(failed("list schedules"))?;
    rows.into_iter().map(|(name, payload)| decode(TABLE, &name, &payload)).collect()
}

pub async fn due(db: Db<'_>, now: Timestamp, limit: u32) -> Result<Vec<Schedule>> {
    let rows: Vec<Pair> =
        sqlx::query_as("SELECT id, payload FROM schedules WHERE due <= $1 ORDER BY due, id LIMIT $2")
            .bind(nanos(now))
            .bind(bounded(limit))
            .fetch_all(db)
            .await
            .map_err(failed("read the schedules whose time has come"))?;
    rows.into_iter().map(|(id, payload)| decode(TABLE, &id, &payload)).collect()
}

pub async fn next_due(db: Db<'_>) -> Result<Option<Timestamp>> {
    let first: Option<(String, i64)> =
        sqlx::query_as("SELECT id, due FROM schedules WHERE due IS NOT NULL ORDER BY due, id LIMIT 1")
            .fetch_optional(db)
            .await
            .map_err(failed("read the next time of a schedule"))?;
    first.map(|(id, due)| time(TABLE, id, due)).transpose()
}

pub async fn put(db: Db<'_>, schedule: &Schedule) -> Result<()> {
    let id = schedule.id.to_string();
    let name = schedule.name.as_str();
    let due = schedule.next_time.map(nanos);
    // Asked before: an error of the server would end the transaction.
    let other = by_name(&mut *db, &schedule.name).await?;
    if other.is_some_and(|other| other.id != schedule.id) {
        return Err(StoreError::Duplicate(format!("schedule {name}")));
    }
    let payload = encode(TABLE, &id, schedule)?;
    sqlx::query(
        "INSERT INTO schedules (id, name, due, payload) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, due = excluded.due, payload = excluded.payload",
    )
    .bind(id)
    .bind(name)
    .bind(due)
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write a schedule"))?;
    Ok(())
}

pub async fn delete(db: Db<'_>, id: ScheduleId) -> Result<bool> {
    let id = id.to_string();
    sqlx::query("DELETE FROM schedule_runs WHERE schedule = $1 AND state IN ('due', 'waiting')")
        .bind(&id)
        .execute(&mut *db)
        .await
        .map_err(failed("delete a schedule's runs"))?;
    sqlx::query("DELETE FROM schedules WHERE id = $1")
        .bind(&id)
        .execute(db)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed("delete a schedule"))
}

pub async fn run(db: Db<'_>, key: &RunKey) -> Result<Option<ScheduleRun>> {
    let (schedule, environment) = (key.schedule.to_string(), key.environment.to_string());
    let at = nanos(key.scheduled_time);
    sqlx::query_scalar::<_, String>(
        "SELECT payload FROM schedule_runs WHERE schedule = $1 AND environment = $2 AND at = $3",
    )
    .bind(schedule)
    .bind(environment)
    .bind(at)
    .fetch_optional(db)
    .await
    .map_err(failed("read a schedule's run"))?
    .map(|payload| decode(RUNS, key, &payload))
    .transpose()
}

pub async fn run_of(db: Db<'_>, operation: OperationId) -> Result<Option<ScheduleRun>> {
    let operation = operation.to_string();
    sqlx::query_scalar::<_, String>("SELECT payload FROM schedule_runs WHERE operation = $1")
        .bind(&operation)
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
    let rows: Vec<(i64, String, String)> = sqlx::query_as(
        "SELECT at, environment, payload FROM schedule_runs
         WHERE schedule = $1 AND (at, environment) < ($2, $3) ORDER BY at DESC, environment DESC LIMIT $4",
    )
    .bind(id)
    .bind(at)
    .bind(environment)
    .bind(limit)
    .fetch_all(db)
    .await
    .map_err(failed("list a schedule's runs"))?;
    let rows = rows
        .into_iter()
        .map(|(at, environment, payload)| {
            let key = format!("{at}/{environment}");
            decode(RUNS, &key, &payload).map(|run| (key, run))
        })
        .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn due_runs(db: Db<'_>, limit: u32) -> Result<Vec<ScheduleRun>> {
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT payload FROM schedule_runs WHERE state = 'due' ORDER BY at, schedule, environment LIMIT $1",
    )
    .bind(bounded(limit))
    .fetch_all(db)
    .await
    .map_err(failed("read the runs that are due"))?;
    rows.into_iter().map(|payload| decode(RUNS, "due", &payload)).collect()
}

pub async fn open_runs(
    db: Db<'_>,
    schedule: ScheduleId,
    environment: EnvironmentId,
    limit: u32,
) -> Result<Vec<ScheduleRun>> {
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT payload FROM schedule_runs WHERE schedule = $1 AND environment = $2
         AND state IN ('due', 'waiting', 'requested') ORDER BY at LIMIT $3",
    )
    .bind(schedule.to_string())
    .bind(environment.to_string())
    .bind(bounded(limit))
    .fetch_all(db)
    .await
    .map_err(failed("read a schedule's open runs"))?;
    rows.into_iter().map(|payload| decode(RUNS, format_args!("{schedule}/{environment}"), &payload)).collect()
}

pub async fn watched_runs(db: Db<'_>, page: &Page) -> Result<Paged<ScheduleRun>> {
    let (size, limit) = page_size(page);
    let after = page.after.as_deref().unwrap_or_default();
    let rows: Vec<Pair> = sqlx::query_as(
        "SELECT operation, payload FROM schedule_runs
         WHERE state = 'requested' AND deadline IS NOT NULL AND operation > $1 ORDER BY operation LIMIT $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(db)
    .await
    .map_err(failed("list the runs that have a deadline"))?;
    let rows = rows
        .into_iter()
        .map(|(operation, payload)| decode(RUNS, &operation, &payload).map(|run| (operation, run)))
        .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn add_run(db: Db<'_>, run: &ScheduleRun) -> Result<bool> {
    let columns = Columns::of(run)?;
    sqlx::query(
        "INSERT INTO schedule_runs (schedule, environment, at, state, operation, deadline, payload)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (schedule, environment, at) DO NOTHING",
    )
    .bind(columns.schedule)
    .bind(columns.environment)
    .bind(columns.at)
    .bind(columns.state)
    .bind(columns.operation)
    .bind(columns.deadline)
    .bind(columns.payload)
    .execute(db)
    .await
    .map(|done| done.rows_affected() > 0)
    .map_err(failed("write a schedule's run"))
}

pub async fn put_run(db: Db<'_>, run: &ScheduleRun) -> Result<()> {
    let columns = Columns::of(run)?;
    sqlx::query(
        "INSERT INTO schedule_runs (schedule, environment, at, state, operation, deadline, payload)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (schedule, environment, at) DO UPDATE SET state = excluded.state,
             operation = excluded.operation, deadline = excluded.deadline, payload = excluded.payload",
    )
    .bind(columns.schedule)
    .bind(columns.environment)
    .bind(columns.at)
    .bind(columns.state)
    .bind(columns.operation)
    .bind(columns.deadline)
    .bind(columns.payload)
    .execute(db)
    .await
    .map_err(failed("write a schedule's run"))?;
    Ok(())
}

pub async fn expire_runs(db: Db<'_>, before: Timestamp, limit: u32) -> Result<u32> {
    let (before, limit) = (nanos(before), bounded(limit));
    let done = sqlx::query(
        "DELETE FROM schedule_runs WHERE (schedule, environment, at) IN (
             SELECT schedule, environment, at FROM schedule_runs
             WHERE state IN ('ended', 'skipped') AND at < $1 ORDER BY at LIMIT $2)",
    )
    .bind(before)
    .bind(limit)
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
