//! What events have changed about one operation, in one statement: each way to the server costs as much as several rows.

use super::{Db, operations};
use crate::{
    codec::{encode, nanos, word},
    errors::failed,
};
use tenantry_store::{Moved, Result, TimerChange};

/// Each part as the statement of its table writes one row ([`super::operations`], [`super::steps`],
/// [`super::environments`], [`super::commands`]). Rows that refer to the operation are checked after the statement, when it
/// is there. A timer that stays as it is is not written anew.
const PUT: &str = "
WITH operation AS (
    INSERT INTO operations (id, environment, tenant, region, name, state, finished, payload)
    SELECT $1, e.id, e.tenant, e.region, $3, $4, $5, $6 FROM environments e WHERE e.id = $2 AND $6 IS NOT NULL
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, state = excluded.state, finished = excluded.finished,
        payload = excluded.payload
    RETURNING id),
step AS (
    INSERT INTO steps (operation, hook, payload)
    SELECT $1, s.hook, s.payload FROM unnest($7::text[], $8::text[]) AS s (hook, payload)
    ON CONFLICT (operation, hook) DO UPDATE SET payload = excluded.payload),
attempt AS (
    INSERT INTO attempts (operation, step, number, region, ended, payload)
    SELECT $1, a.step, a.number, a.region, a.ended, a.payload
    FROM unnest($9::text[], $10::bigint[], $11::text[], $12::bigint[], $13::text[])
        AS a (step, number, region, ended, payload)
    ON CONFLICT (operation, step, number) DO UPDATE SET ended = excluded.ended, payload = excluded.payload),
applied AS (
    INSERT INTO applied (environment, hook, payload)
    SELECT $2, a.hook, a.payload FROM unnest($14::text[], $15::text[]) AS a (hook, payload)
    ON CONFLICT (environment, hook) DO UPDATE SET payload = excluded.payload),
command AS (
    INSERT INTO commands (id, region, operation, step, number, kind, body, lease_session, lease_until, given_out)
    SELECT c.id, c.region, $1, c.step, c.number, c.kind, c.body, c.session, c.until, (c.session IS NOT NULL)::int
    FROM unnest($16::text[], $17::text[], $18::text[], $19::bigint[], $20::text[], $21::text[], $22::text[], $23::bigint[])
        AS c (id, region, step, number, kind, body, session, until)
    ON CONFLICT (operation, step, number, kind) DO NOTHING),
timer AS (
    INSERT INTO timers (operation, due) SELECT $1, $24 WHERE $24 IS NOT NULL
    ON CONFLICT (operation) DO UPDATE SET due = excluded.due WHERE timers.due <> excluded.due),
no_timer AS (
    DELETE FROM timers WHERE operation = $1 AND $25)
SELECT count(*) FROM operation";

/// Rows of a table, column by column.
#[derive(Default)]
struct Steps {
    hooks: Vec<String>,
    payloads: Vec<String>,
}

#[derive(Default)]
struct Attempts {
    steps: Vec<String>,
    numbers: Vec<i64>,
    regions: Vec<String>,
    ended: Vec<i64>,
    payloads: Vec<String>,
}

#[derive(Default)]
struct Commands {
    ids: Vec<String>,
    regions: Vec<String>,
    steps: Vec<String>,
    numbers: Vec<i64>,
    kinds: Vec<String>,
    bodies: Vec<String>,
    sessions: Vec<Option<String>>,
    until: Vec<Option<i64>>,
}

fn steps(moved: &Moved) -> Result<Steps> {
    let mut columns = Steps::default();
    for step in &moved.steps {
        columns.payloads.push(encode("steps", format_args!("{}/{}", step.operation, step.hook), step)?);
        columns.hooks.push(step.hook.to_string());
    }
    Ok(columns)
}

fn attempts(moved: &Moved) -> Result<Attempts> {
    let mut columns = Attempts::default();
    for attempt in &moved.attempts {
        columns.payloads.push(encode("attempts", &attempt.id, attempt)?);
        columns.steps.push(attempt.id.step.to_string());
        columns.numbers.push(i64::from(attempt.id.number));
        columns.regions.push(attempt.id.step.region.to_string());
        columns.ended.push(i64::from(attempt.state.is_over()));
    }
    Ok(columns)
}

fn applied(moved: &Moved) -> Result<Steps> {
    let mut columns = Steps::default();
    for row in &moved.applied {
        columns.payloads.push(encode("applied", format_args!("{}/{}", moved.environment, row.hook), row)?);
        columns.hooks.push(row.hook.to_string());
    }
    Ok(columns)
}

fn commands(moved: &Moved) -> Result<Commands> {
    let mut columns = Commands::default();
    for command in &moved.commands {
        columns.bodies.push(encode("commands", command.id, &command.body)?);
        columns.ids.push(command.id.to_string());
        columns.regions.push(command.region.to_string());
        columns.steps.push(command.attempt.step.to_string());
        columns.numbers.push(i64::from(command.attempt.number));
        columns.kinds.push(word(&command.kind));
        columns.sessions.push(command.lease.as_ref().map(|lease| lease.session.to_string()));
        columns.until.push(command.lease.as_ref().map(|lease| nanos(lease.until)));
    }
    Ok(columns)
}

pub async fn put(db: Db<'_>, moved: &Moved) -> Result<()> {
    let operation = moved.operation.as_ref();
    let payload = operation.map(|row| encode("operations", row.id, row)).transpose()?;
    let (steps, attempts, applied, commands) =
        (steps(moved)?, attempts(moved)?, applied(moved)?, commands(moved)?);
    let written: i64 = sqlx::query_scalar(PUT)
        .bind(moved.id.to_string())
        .bind(moved.environment.to_string())
        .bind(operation.map(|row| row.name.to_string()))
        .bind(operation.map(|row| word(&row.state)))
        .bind(operation.map(|row| i64::from(row.state.is_final())))
        .bind(payload)
        .bind(steps.hooks)
        .bind(steps.payloads)
        .bind(attempts.steps)
        .bind(attempts.numbers)
        .bind(attempts.regions)
        .bind(attempts.ended)
        .bind(attempts.payloads)
        .bind(applied.hooks)
        .bind(applied.payloads)
        .bind(commands.ids)
        .bind(commands.regions)
        .bind(commands.steps)
        .bind(commands.numbers)
        .bind(commands.kinds)
        .bind(commands.bodies)
        .bind(commands.sessions)
        .bind(commands.until)
        .bind(if let TimerChange::Due(due) = moved.timer { Some(nanos(due)) } else { None })
        .bind(moved.timer == TimerChange::Gone)
        .fetch_one(db)
        .await
        .map_err(failed("write what events have changed about an operation"))?;
    if operation.is_some() && written == 0 {
        return Err(operations::without_environment(moved.id, moved.environment));
    }
    Ok(())
}
