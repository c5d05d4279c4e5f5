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

/// Stores events in the order in which they came, and with them the version of the environment that they are about: the
/// last statement of a transaction. It takes the lock of the outbox, which waits until no other transaction is between
/// giving out positions and its end; a position is given out only for a row that has come past that lock.
pub async fn append(db: Db<'_>, events: &Unnumbered, version: Option<&(String, u64)>) -> Result<()> {
    sqlx::query(
        "WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock(7483, 2)),
         version AS (
             INSERT INTO versions (environment, version) SELECT $4, $5 WHERE $4 IS NOT NULL
             ON CONFLICT (environment) DO UPDATE SET version = excluded.version)
         INSERT INTO events (environment, operation, payload)
         SELECT e.environment, e.operation, e.payload
         FROM turn,
             unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS e (environment, operation, payload, nth)
         ORDER BY e.nth",
    )
    .bind(&events.environments)
    .bind(&events.operations)
    .bind(&events.payloads)
    .bind(version.map(|(id, _)| id))
    .bind(version.map(|(_, version)| position(*version)))
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
