//! The outbox and the audit chains.

use super::Db;
use crate::{
    codec::{bounded, decode, encode, from_position, position},
    errors::{failed, taken},
};
use tenantry_model::EnvironmentId;
use tenantry_store::{AuditEntry, EventFilter, EventRecord, Result};

pub async fn append(db: Db<'_>, event: &EventRecord) -> Result<u64> {
    let environment = event.environment.map(|id| id.to_string());
    let operation = event.operation.map(|id| id.to_string());
    let payload = encode("events", &event.kind, event)?;
    sqlx::query!(
        "INSERT INTO events (environment, operation, payload) VALUES (?, ?, ?)",
        environment,
        operation,
        payload
    )
    .execute(db)
    .await
    .map(|done| from_position(done.last_insert_rowid()))
    .map_err(failed("append an event"))
}

pub async fn list(db: Db<'_>, filter: &EventFilter, after: u64, limit: u32) -> Result<Vec<EventRecord>> {
    let (after, limit) = (position(after), bounded(limit));
    let environment = filter.environment.map(|id| id.to_string());
    let rows: Vec<(i64, String)> = if let Some(operation) = filter.operation.map(|id| id.to_string()) {
        sqlx::query!(
            "SELECT position, payload FROM events
             WHERE operation = ?1 AND position > ?2 AND (?3 IS NULL OR environment = ?3) ORDER BY position LIMIT ?4",
            operation,
            after,
            environment,
            limit
        )
        .fetch_all(db)
        .await
        .map(|rows| rows.into_iter().map(|row| (row.position, row.payload)).collect())
    } else if let Some(environment) = environment {
        sqlx::query!(
            "SELECT position, payload FROM events WHERE environment = ? AND position > ? ORDER BY position LIMIT ?",
            environment,
            after,
            limit
        )
        .fetch_all(db)
        .await
        .map(|rows| rows.into_iter().map(|row| (row.position, row.payload)).collect())
    } else {
        sqlx::query!("SELECT position, payload FROM events WHERE position > ? ORDER BY position LIMIT ?", after, limit)
            .fetch_all(db)
            .await
            .map(|rows| rows.into_iter().map(|row| (row.position, row.payload)).collect())
    }
    .map_err(failed("read events"))?;
    rows.into_iter()
        .map(|(at, payload)| {
            let event: EventRecord = decode("events", at, &payload)?;
            // The payload was written before its position was known.
            Ok(EventRecord { position: from_position(at), ..event })
        })
        .collect()
}

pub async fn last(db: Db<'_>) -> Result<u64> {
    sqlx::query_scalar!("SELECT position FROM events ORDER BY position DESC LIMIT 1")
        .fetch_optional(db)
        .await
        .map(|position| from_position(position.unwrap_or_default()))
        .map_err(failed("read the newest event"))
}

fn chain(environment: Option<EnvironmentId>) -> String {
    environment.map(|id| id.to_string()).unwrap_or_default()
}

pub async fn audit_head(db: Db<'_>, environment: Option<EnvironmentId>) -> Result<Option<AuditEntry>> {
    let chain = chain(environment);
    sqlx::query!("SELECT position, payload FROM audit WHERE chain = ? ORDER BY position DESC LIMIT 1", chain)
        .fetch_optional(db)
        .await
        .map_err(failed("read the newest audit entry"))?
        .map(|row| decode("audit", format_args!("{chain}/{}", row.position), &row.payload))
        .transpose()
}

pub async fn audit(
    db: Db<'_>,
    environment: Option<EnvironmentId>,
    after: u64,
    limit: u32,
) -> Result<Vec<AuditEntry>> {
    let (chain, after, limit) = (chain(environment), position(after), bounded(limit));
    sqlx::query!(
        "SELECT position, payload FROM audit WHERE chain = ? AND position > ? ORDER BY position LIMIT ?",
        chain,
        after,
        limit
    )
    .fetch_all(db)
    .await
    .map_err(failed("read audit entries"))?
    .into_iter()
    .map(|row| decode("audit", format_args!("{chain}/{}", row.position), &row.payload))
    .collect()
}

pub async fn append_audit(db: Db<'_>, entry: &AuditEntry) -> Result<()> {
    let (chain, at) = (chain(entry.environment), position(entry.position));
    let payload = encode("audit", format_args!("{chain}/{at}"), entry)?;
    sqlx::query!("INSERT INTO audit (chain, position, payload) VALUES (?, ?, ?)", chain, at, payload)
        .execute(db)
        .await
        .map_err(taken("append to the audit log", || format!("audit entry {chain}/{at}")))?;
    Ok(())
}
