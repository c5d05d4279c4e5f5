//! Commands to agents and their leases.

use super::Db;
use crate::{
    codec::{bounded, damaged, decode, encode, nanos, time, word},
    errors::failed,
};
use jiff::Timestamp;
use tenantry_model::{AgentSessionId, AttemptId, CommandId, HookRef, OperationId, RegionName};
use tenantry_store::{Command, CommandKind, LEASE_BYTES, Lease, Result};

const TABLE: &str = "commands";

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    region: String,
    operation: String,
    step: String,
    number: i64,
    kind: String,
    body: String,
    lease_session: Option<String>,
    lease_until: Option<i64>,
}

impl Row {
    fn command(self) -> Result<Command> {
        let key = self.id.as_str();
        let lease = match (&self.lease_session, self.lease_until) {
            (Some(session), Some(until)) => Some(Lease {
                session: session.parse().map_err(|source| damaged(TABLE, key, source))?,
                until: time(TABLE, key, until)?,
            }),
            _ => None,
        };
        Ok(Command {
            id: key.parse().map_err(|source| damaged(TABLE, key, source))?,
            region: self.region.parse().map_err(|source| damaged(TABLE, key, source))?,
            attempt: AttemptId {
                operation: self.operation.parse().map_err(|source| damaged(TABLE, key, source))?,
                step: self.step.parse().map_err(|source| damaged(TABLE, key, source))?,
                number: u32::try_from(self.number).map_err(|source| damaged(TABLE, key, source))?,
            },
            kind: serde_json::from_value(serde_json::Value::String(self.kind))
                .map_err(|source| damaged(TABLE, key, source))?,
            body: decode(TABLE, key, &self.body)?,
            lease,
        })
    }
}

pub async fn of_region(db: Db<'_>, region: &RegionName, limit: u32) -> Result<Vec<Command>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, region, operation, step, number, kind, body, lease_session, lease_until FROM commands
         WHERE region = $1 ORDER BY id LIMIT $2",
    )
    .bind(region.as_str())
    .bind(bounded(limit))
    .fetch_all(db)
    .await
    .map_err(failed("read a region's commands"))?;
    rows.into_iter().map(Row::command).collect()
}

pub async fn of_step(db: Db<'_>, operation: OperationId, hook: &HookRef) -> Result<Vec<Command>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, region, operation, step, number, kind, body, lease_session, lease_until FROM commands
         WHERE operation = $1 AND step = $2 ORDER BY id",
    )
    .bind(operation.to_string())
    .bind(hook.to_string())
    .fetch_all(db)
    .await
    .map_err(failed("read a step's commands"))?;
    rows.into_iter().map(Row::command).collect()
}

/// As [`lease`] would find one.
pub async fn has_free(db: Db<'_>, region: &RegionName, now: Timestamp) -> Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (
             SELECT 1 FROM commands c
             WHERE c.region = $1 AND (c.lease_until IS NULL OR c.lease_until <= $2)
               AND NOT EXISTS (
                   SELECT 1 FROM commands e
                   WHERE e.operation = c.operation AND e.step = c.step AND e.number = c.number
                     AND e.id < c.id AND e.lease_until > $2))",
    )
    .bind(region.as_str())
    .bind(nanos(now))
    .fetch_one(db)
    .await
    .map_err(failed("look for a free command"))
}

/// All that nobody holds, without what they say.
pub async fn free(db: Db<'_>, region: &RegionName, now: Timestamp) -> Result<Vec<(CommandId, AttemptId)>> {
    let rows: Vec<(String, String, String, i64)> = sqlx::query_as(
        "SELECT id, operation, step, number FROM commands
         WHERE region = $1 AND (lease_until IS NULL OR lease_until <= $2) ORDER BY id",
    )
    .bind(region.as_str())
    .bind(nanos(now))
    .fetch_all(db)
    .await
    .map_err(failed("read a region's free commands"))?;
    rows.into_iter()
        .map(|(id, operation, step, number)| {
            let key = id.as_str();
            let attempt = AttemptId {
                operation: operation.parse().map_err(|source| damaged(TABLE, key, source))?,
                step: step.parse().map_err(|source| damaged(TABLE, key, source))?,
                number: u32::try_from(number).map_err(|source| damaged(TABLE, key, source))?,
            };
            Ok((key.parse().map_err(|source| damaged(TABLE, key, source))?, attempt))
        })
        .collect()
}

pub async fn put(db: Db<'_>, command: &Command) -> Result<()> {
    let body = encode(TABLE, command.id, &command.body)?;
    // The equal one only: another command under this id is a mistake that must show.
    sqlx::query(
        "INSERT INTO commands (id, region, operation, step, number, kind, body, lease_session, lease_until, given_out)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (operation, step, number, kind) DO NOTHING",
    )
    .bind(command.id.to_string())
    .bind(command.region.as_str())
    .bind(command.attempt.operation.to_string())
    .bind(command.attempt.step.to_string())
    .bind(i64::from(command.attempt.number))
    .bind(word(&command.kind))
    .bind(body)
    .bind(command.lease.as_ref().map(|lease| lease.session.to_string()))
    .bind(command.lease.as_ref().map(|lease| nanos(lease.until)))
    .bind(i64::from(command.lease.is_some()))
    .execute(db)
    .await
    .map_err(failed("write a command"))?;
    Ok(())
}

/// Leases commands of a scope to the session `$1` until `$2`; it is `$3` now. What begins behind `$room` bytes waits.
///
/// Rows that another transaction has in its hands are passed over. An earlier command of the same attempt may be among
/// them and look free in what this statement sees; so of an attempt only those are given out whose earlier ones are given
/// out with them.
macro_rules! lease {
    ($scope:literal, $limit:literal, $room:literal) => {
        concat!(
            "WITH free AS (
                 SELECT c.id, c.operation, c.step, c.number, octet_length(c.body) AS size FROM commands c
                 WHERE ",
            $scope,
            " AND (c.lease_until IS NULL OR c.lease_until <= $3)
                   AND NOT EXISTS (
                       SELECT 1 FROM commands e
                       WHERE e.operation = c.operation AND e.step = c.step AND e.number = c.number
                         AND e.id < c.id AND e.lease_until > $3)
                 ORDER BY c.id ",
            $limit,
            " FOR UPDATE SKIP LOCKED),
             fitting AS (
                 SELECT id, operation, step, number FROM (
                     SELECT free.*, sum(size) OVER (ORDER BY id) - size AS before FROM free) sized
                 WHERE before < ",
            $room,
            "),
             given AS (
                 SELECT f.id FROM fitting f WHERE NOT EXISTS (
                     SELECT 1 FROM commands e
                     WHERE e.operation = f.operation AND e.step = f.step AND e.number = f.number
                       AND e.id < f.id AND e.id NOT IN (SELECT id FROM fitting)))
             UPDATE commands c SET lease_session = $1, lease_until = $2, given_out = 1
             FROM given WHERE c.id = given.id
             RETURNING c.id, region, operation, step, number, kind, body, lease_session, lease_until"
        )
    };
}

pub async fn lease(
    db: Db<'_>,
    region: &RegionName,
    session: AgentSessionId,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<Command>> {
    let rows = sqlx::query_as(lease!("c.region = $4", "LIMIT $5", "$6"))
        .bind(session.to_string())
        .bind(nanos(until))
        .bind(nanos(now))
        .bind(region.as_str())
        .bind(bounded(limit))
        .bind(LEASE_BYTES)
        .fetch_all(db)
        .await
        .map_err(failed("lease commands"))?;
    in_order(rows)
}

pub async fn lease_step(
    db: Db<'_>,
    operation: OperationId,
    hook: &HookRef,
    session: AgentSessionId,
    now: Timestamp,
    until: Timestamp,
) -> Result<Vec<Command>> {
    let rows = sqlx::query_as(lease!("c.operation = $4 AND c.step = $5", "", "9223372036854775807"))
        .bind(session.to_string())
        .bind(nanos(until))
        .bind(nanos(now))
        .bind(operation.to_string())
        .bind(hook.to_string())
        .fetch_all(db)
        .await
        .map_err(failed("lease a step's commands"))?;
    in_order(rows)
}

/// RETURNING has no order.
fn in_order(mut rows: Vec<Row>) -> Result<Vec<Command>> {
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    rows.into_iter().map(Row::command).collect()
}

pub async fn finish(db: Db<'_>, region: &RegionName, id: CommandId) -> Result<bool> {
    sqlx::query("DELETE FROM commands WHERE id = $1 AND region = $2")
        .bind(id.to_string())
        .bind(region.as_str())
        .execute(db)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed("finish a command"))
}

pub async fn finish_all(db: Db<'_>, region: &RegionName, ids: &[CommandId]) -> Result<()> {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    sqlx::query("DELETE FROM commands WHERE id = ANY($1) AND region = $2")
        .bind(ids)
        .bind(region.as_str())
        .execute(db)
        .await
        .map_err(failed("finish commands"))?;
    Ok(())
}

pub async fn withdraw(db: Db<'_>, attempt: &AttemptId, kind: CommandKind) -> Result<bool> {
    sqlx::query(
        "DELETE FROM commands
         WHERE operation = $1 AND step = $2 AND number = $3 AND kind = $4 AND given_out = 0",
    )
    .bind(attempt.operation.to_string())
    .bind(attempt.step.to_string())
    .bind(i64::from(attempt.number))
    .bind(word(&kind))
    .execute(db)
    .await
    .map(|done| done.rows_affected() > 0)
    .map_err(failed("withdraw a command"))
}

pub async fn break_leases(db: Db<'_>, region: &RegionName, spared: Option<AgentSessionId>) -> Result<()> {
    sqlx::query(
        "UPDATE commands SET lease_session = NULL, lease_until = NULL
         WHERE region = $1 AND lease_session <> $2",
    )
    .bind(region.as_str())
    // No session has the empty name.
    .bind(spared.map(|session| session.to_string()).unwrap_or_default())
    .execute(db)
    .await
    .map_err(failed("give back leases"))?;
    Ok(())
}

pub async fn break_step_leases(
    db: Db<'_>,
    operation: OperationId,
    hook: &HookRef,
    spared: Option<AgentSessionId>,
) -> Result<()> {
    sqlx::query(
        "UPDATE commands SET lease_session = NULL, lease_until = NULL
         WHERE operation = $1 AND step = $2 AND lease_session <> $3",
    )
    .bind(operation.to_string())
    .bind(hook.to_string())
    // No session has the empty name.
    .bind(spared.map(|session| session.to_string()).unwrap_or_default())
    .execute(db)
    .await
    .map_err(failed("give back a step's leases"))?;
    Ok(())
}
