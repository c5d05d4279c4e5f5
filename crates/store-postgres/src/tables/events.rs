//! The outbox.

use super::Db;
use crate::{
    codec::{bounded, decode, encode, from_position, position},
    errors::failed,
};
use tenantry_store::{EventFilter, EventRecord, Result};

/// Events of a transaction that have no position yet, as columns.
#[derive(Debug, Default)]
pub struct Unnumbered {
    environments: Vec<Option<String>>,
    operations: Vec<Option<String>>,
    payloads: Vec<String>,
}

impl Unnumbered {
    pub fn push(&mut self, event: &EventRecord) -> Result<()> {
        self.payloads.push(encode("events", &event.kind, event)?);
        self.environments.push(event.environment.map(|id| id.to_string()));
        self.operations.push(event.operation.map(|id| id.to_string()));
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.payloads.is_empty()
    }
}

/// Waits until no other transaction is between giving out positions and its end.
pub async fn lock(db: Db<'_>) -> Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock(7483, 2)")
        .execute(db)
        .await
        .map_err(failed("lock the outbox"))?;
    Ok(())
}

/// Stores events in the order in which they came, under [`lock`].
pub async fn append(db: Db<'_>, events: &Unnumbered) -> Result<()> {
    sqlx::query(
        "INSERT INTO events (environment, operation, payload)
         SELECT e.environment, e.operation, e.payload
         FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS e (environment, operation, payload, nth)
         ORDER BY e.nth",
    )
    .bind(&events.environments)
    .bind(&events.operations)
    .bind(&events.payloads)
    .execute(db)
    .await
    .map_err(failed("append events"))?;
    Ok(())
}

pub async fn list(db: Db<'_>, filter: &EventFilter, after: u64, limit: u32) -> Result<Vec<EventRecord>> {
    let (after, limit) = (position(after), bounded(limit));
    let environment = filter.environment.map(|id| id.to_string());
    let query = if let Some(operation) = filter.operation.map(|id| id.to_string()) {
        sqlx::query_as(
            "SELECT position, payload FROM events
             WHERE position > $1 AND operation = $3 AND ($4::text IS NULL OR environment = $4)
             ORDER BY position LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .bind(operation)
        .bind(environment)
    } else if let Some(environment) = environment {
        sqlx::query_as(
            "SELECT position, payload FROM events WHERE position > $1 AND environment = $3
             ORDER BY position LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .bind(environment)
    } else {
        sqlx::query_as("SELECT position, payload FROM events WHERE position > $1 ORDER BY position LIMIT $2")
            .bind(after)
            .bind(limit)
    };
    let rows: Vec<(i64, String)> = query.fetch_all(db).await.map_err(failed("read events"))?;
    rows.into_iter()
        .map(|(at, payload)| {
            let event: EventRecord = decode("events", at, &payload)?;
            // The payload was written before its position was known.
            Ok(EventRecord { position: from_position(at), ..event })
        })
        .collect()
}

pub async fn last(db: Db<'_>) -> Result<u64> {
    sqlx::query_scalar::<_, i64>("SELECT position FROM events ORDER BY position DESC LIMIT 1")
        .fetch_optional(db)
        .await
        .map(|position| from_position(position.unwrap_or_default()))
        .map_err(failed("read the newest event"))
}
