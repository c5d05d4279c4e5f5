//! The outbox.

use super::Db;
use crate::{
    codec::{bounded, decode, encode, from_position, position},
    errors::failed,
};
use tenantry_store::{EventFilter, EventRecord, Result};

pub async fn append(db: Db<'_>, event: &EventRecord) -> Result<()> {
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
    .map(drop)
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
