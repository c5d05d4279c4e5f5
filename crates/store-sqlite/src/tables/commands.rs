//! Commands to agents and their leases.

use super::Db;
use crate::{
    codec::{bounded, damaged, decode, encode, nanos, time, word},
    errors::{failed, taken},
};
use jiff::Timestamp;
use tenantry_model::{AgentSessionId, AttemptId, CommandId, HookRef, OperationId, RegionName};
use tenantry_store::{Command, CommandKind, LEASE_BYTES, Lease, Result};

const TABLE: &str = "commands";

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
    let (region, limit) = (region.as_str(), bounded(limit));
    sqlx::query_as!(
        Row,
        "SELECT id, region, operation, step, number, kind, body, lease_session, lease_until FROM commands
         WHERE region = ? ORDER BY id LIMIT ?",
        region,
        limit
    )
    .fetch_all(db)
    .await
    .map_err(failed("read a region's commands"))?
    .into_iter()
    .map(Row::command)
    .collect()
}

pub async fn of_step(db: Db<'_>, operation: OperationId, hook: &HookRef) -> Result<Vec<Command>> {
    let (operation, step) = (operation.to_string(), hook.to_string());
    let mut commands = sqlx::query_as!(
        Row,
        "SELECT id, region, operation, step, number, kind, body, lease_session, lease_until FROM commands
         WHERE operation = ? AND step = ?",
        operation,
        step
    )
    .fetch_all(db)
    .await
    .map_err(failed("read a step's commands"))?
    .into_iter()
    .map(Row::command)
    .collect::<Result<Vec<_>>>()?;
    // A handful: an index in their order would be kept up for every command of every agent.
    commands.sort_by_key(|command| command.id);
    Ok(commands)
}

/// As [`lease`] would find one.
pub async fn has_free(db: Db<'_>, region: &RegionName, now: Timestamp) -> Result<bool> {
    let (region, now) = (region.as_str(), nanos(now));
    let free = sqlx::query_scalar!(
        "SELECT EXISTS (
             SELECT 1 FROM commands c
             WHERE c.region = ?1 AND (c.lease_until IS NULL OR c.lease_until <= ?2)
               AND NOT EXISTS (
                   SELECT 1 FROM commands e
                   WHERE e.operation = c.operation AND e.step = c.step AND e.number = c.number
                     AND e.id < c.id AND e.lease_until > ?2)) AS \"free!: bool\"",
        region,
        now
    )
    .fetch_one(db)
    .await
    .map_err(failed("look for a free command"))?;
    Ok(free)
}

/// All that nobody holds, without what they say.
pub async fn free(db: Db<'_>, region: &RegionName, now: Timestamp) -> Result<Vec<(CommandId, AttemptId)>> {
    let (region, now) = (region.as_str(), nanos(now));
    sqlx::query!(
        "SELECT id, operation, step, number FROM commands
         WHERE region = ? AND (lease_until IS NULL OR lease_until <= ?) ORDER BY id",
        region,
        now
    )
    .fetch_all(db)
    .await
    .map_err(failed("read a region's free commands"))?
    .into_iter()
    .map(|row| {
        let key = row.id.as_str();
        let attempt = AttemptId {
            operation: row.operation.parse().map_err(|source| damaged(TABLE, key, source))?,
            step: row.step.parse().map_err(|source| damaged(TABLE, key, source))?,
            number: u32::try_from(row.number).map_err(|source| damaged(TABLE, key, source))?,
        };
        Ok((key.parse().map_err(|source| damaged(TABLE, key, source))?, attempt))
    })
    .collect()
}

pub async fn put(db: Db<'_>, command: &Command) -> Result<()> {
    let id = command.id.to_string();
    let region = command.region.as_str();
    let operation = command.attempt.operation.to_string();
    let step = command.attempt.step.to_string();
    let number = i64::from(command.attempt.number);
    let kind = word(&command.kind);
    let body = encode(TABLE, &id, &command.body)?;
    let session = command.lease.as_ref().map(|lease| lease.session.to_string());
    let until = command.lease.as_ref().map(|lease| nanos(lease.until));
    // The equal one is looked for and not left to ON CONFLICT, which would also swallow another command's id.
    sqlx::query!(
        "INSERT INTO commands (id, region, operation, step, number, kind, body, lease_session, lease_until, given_out)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?8 IS NOT NULL
         WHERE NOT EXISTS (SELECT 1 FROM commands WHERE operation = ?3 AND step = ?4 AND number = ?5 AND kind = ?6)",
        id,
        region,
        operation,
        step,
        number,
        kind,
        body,
        session,
        until
    )
    .execute(db)
    .await
    .map_err(taken("write a command", || format!("command {id}")))?;
    Ok(())
}

pub async fn lease(
    db: Db<'_>,
    region: &RegionName,
    session: AgentSessionId,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<Command>> {
    let (region, limit, now) = (region.as_str(), bounded(limit), nanos(now));
    // In order of id, so whatever is free of an attempt comes before its later commands; what is left to rule out is
    // an earlier one that somebody still has.
    let free = sqlx::query!(
        "SELECT c.id, octet_length(c.body) AS \"size!: i64\" FROM commands c
         WHERE c.region = ?1 AND (c.lease_until IS NULL OR c.lease_until <= ?2)
           AND NOT EXISTS (
               SELECT 1 FROM commands e
               WHERE e.operation = c.operation AND e.step = c.step AND e.number = c.number
                 AND e.id < c.id AND e.lease_until > ?2)
         ORDER BY c.id LIMIT ?3",
        region,
        now,
        limit
    )
    .fetch_all(&mut *db)
    .await
    .map_err(failed("look for free commands"))?;
    let mut room = LEASE_BYTES;
    let fitting = free.into_iter().take_while(|row| {
        let fits = room > 0;
        room -= row.size;
        fits
    });
    give_out(db, fitting.map(|row| row.id).collect(), session, until).await
}

/// By the rule of [`lease`].
pub async fn lease_step(
    db: Db<'_>,
    operation: OperationId,
    hook: &HookRef,
    session: AgentSessionId,
    now: Timestamp,
    until: Timestamp,
) -> Result<Vec<Command>> {
    let (operation, step, now) = (operation.to_string(), hook.to_string(), nanos(now));
    let ids = sqlx::query_scalar!(
        "SELECT c.id FROM commands c
         WHERE c.operation = ?1 AND c.step = ?2 AND (c.lease_until IS NULL OR c.lease_until <= ?3)
           AND NOT EXISTS (
               SELECT 1 FROM commands e
               WHERE e.operation = c.operation AND e.step = c.step AND e.number = c.number
                 AND e.id < c.id AND e.lease_until > ?3)",
        operation,
        step,
        now
    )
    .fetch_all(&mut *db)
    .await
    .map_err(failed("look for free commands of a step"))?;
    give_out(db, ids, session, until).await
}

/// Leases these; in order.
async fn give_out(
    db: Db<'_>,
    ids: Vec<String>,
    session: AgentSessionId,
    until: Timestamp,
) -> Result<Vec<Command>> {
    let ids = serde_json::Value::from(ids).to_string();
    let (session, until) = (session.to_string(), nanos(until));
    sqlx::query!(
        "UPDATE commands SET lease_session = ?, lease_until = ?, given_out = 1
         WHERE id IN (SELECT value FROM json_each(?))",
        session,
        until,
        ids
    )
    .execute(&mut *db)
    .await
    .map_err(failed("lease commands"))?;
    sqlx::query_as!(
        Row,
        "SELECT c.id, region, operation, step, number, kind, body, lease_session, lease_until
         FROM json_each(?) k JOIN commands c ON c.id = k.value ORDER BY c.id",
        ids
    )
    .fetch_all(db)
    .await
    .map_err(failed("read leased commands"))?
    .into_iter()
    .map(Row::command)
    .collect()
}

pub async fn finish(db: Db<'_>, region: &RegionName, id: CommandId) -> Result<bool> {
    let (region, id) = (region.as_str(), id.to_string());
    sqlx::query!("DELETE FROM commands WHERE id = ? AND region = ?", id, region)
        .execute(db)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed("finish a command"))
}

pub async fn withdraw(db: Db<'_>, attempt: &AttemptId, kind: CommandKind) -> Result<bool> {
    let (operation, step) = (attempt.operation.to_string(), attempt.step.to_string());
    let (number, kind) = (i64::from(attempt.number), word(&kind));
    sqlx::query!(
        "DELETE FROM commands
         WHERE operation = ? AND step = ? AND number = ? AND kind = ? AND given_out = 0",
        operation,
        step,
        number,
        kind
    )
    .execute(db)
    .await
    .map(|done| done.rows_affected() > 0)
    .map_err(failed("withdraw a command"))
}

pub async fn break_leases(db: Db<'_>, region: &RegionName, spared: Option<AgentSessionId>) -> Result<()> {
    // No session has the empty name.
    let (region, session) = (region.as_str(), spared.map(|session| session.to_string()).unwrap_or_default());
    sqlx::query!(
        "UPDATE commands SET lease_session = NULL, lease_until = NULL
         WHERE region = ? AND lease_session <> ?",
        region,
        session
    )
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
    let (operation, step) = (operation.to_string(), hook.to_string());
    // No session has the empty name.
    let session = spared.map(|session| session.to_string()).unwrap_or_default();
    sqlx::query!(
        "UPDATE commands SET lease_session = NULL, lease_until = NULL
         WHERE operation = ? AND step = ? AND lease_session <> ?",
        operation,
        step,
        session
    )
    .execute(db)
    .await
    .map_err(failed("give back a step's leases"))?;
    Ok(())
}
