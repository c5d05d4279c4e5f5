//! Operation definitions, operations and their timers.

use super::{Db, Pair};
use crate::{
    codec::{bounded, damaged, decode, encode, nanos, page_size, paged, time, word},
    errors::failed,
    keys::{arms, keys},
};
use jiff::Timestamp;
use tenantry_model::{
    EnvironmentId, Operation, OperationDefinition, OperationId, OperationName, Page, Paged, RegionName,
};
use tenantry_store::narrow::operations::{conditions, list_for, scope_columns};
use tenantry_store::{OperationFilter, Result, StoreError};

const TABLE: &str = "operations";

pub async fn definition(db: Db<'_>, name: &OperationName) -> Result<Option<OperationDefinition>> {
    sqlx::query_scalar::<_, String>("SELECT payload FROM definitions WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(db)
        .await
        .map_err(failed("read an operation definition"))?
        .map(|payload| decode("definitions", name, &payload))
        .transpose()
}

pub async fn definitions(db: Db<'_>) -> Result<Vec<OperationDefinition>> {
    let rows: Vec<Pair> = sqlx::query_as("SELECT name, payload FROM definitions ORDER BY name LIMIT 1000")
        .fetch_all(db)
        .await
        .map_err(failed("list operation definitions"))?;
    rows.into_iter().map(|(name, payload)| decode("definitions", &name, &payload)).collect()
}

pub async fn put_definition(db: Db<'_>, definition: &OperationDefinition) -> Result<()> {
    let payload = encode("definitions", &definition.name, definition)?;
    sqlx::query(
        "INSERT INTO definitions (name, payload) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET payload = excluded.payload",
    )
    .bind(definition.name.as_str())
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write an operation definition"))?;
    Ok(())
}

pub async fn delete_definition(db: Db<'_>, name: &OperationName) -> Result<bool> {
    sqlx::query("DELETE FROM definitions WHERE name = $1")
        .bind(name.as_str())
        .execute(db)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed("delete an operation definition"))
}

pub async fn get(db: Db<'_>, id: OperationId) -> Result<Option<Operation>> {
    sqlx::query_scalar::<_, String>("SELECT payload FROM operations WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(db)
        .await
        .map_err(failed("read an operation"))?
        .map(|payload| decode(TABLE, id, &payload))
        .transpose()
}

pub async fn list(db: Db<'_>, filter: &OperationFilter, page: &Page) -> Result<Paged<Operation>> {
    let (size, limit) = page_size(page);
    let arms = arms(&conditions(filter), filter.scopes.as_deref(), scope_columns);
    let keys = keys(&mut *db, list_for(filter), &arms, page, limit).await?;
    let rows: Vec<Pair> =
        sqlx::query_as("SELECT id, payload FROM operations WHERE id = ANY($1) ORDER BY id DESC")
            .bind(keys)
            .fetch_all(db)
            .await
            .map_err(failed("read operations"))?;
    let rows = rows
        .into_iter()
        .map(|(id, payload)| decode(TABLE, &id, &payload).map(|operation| (id, operation)))
        .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn unfinished(db: Db<'_>, environment: EnvironmentId) -> Result<Vec<Operation>> {
    let rows: Vec<Pair> = sqlx::query_as(
        "SELECT id, payload FROM operations WHERE environment = $1 AND finished = 0 ORDER BY id",
    )
    .bind(environment.to_string())
    .fetch_all(db)
    .await
    .map_err(failed("read unfinished operations"))?;
    rows.into_iter().map(|(id, payload)| decode(TABLE, &id, &payload)).collect()
}

pub async fn put(db: Db<'_>, operation: &Operation) -> Result<()> {
    let payload = encode(TABLE, operation.id, operation)?;
    let done = sqlx::query(
        "INSERT INTO operations (id, environment, tenant, region, name, state, finished, payload)
         SELECT $1, e.id, e.tenant, e.region, $2, $3, $4, $5 FROM environments e WHERE e.id = $6
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, state = excluded.state, finished = excluded.finished,
             payload = excluded.payload",
    )
    .bind(operation.id.to_string())
    .bind(operation.name.as_str())
    .bind(word(&operation.state))
    .bind(i64::from(operation.state.is_final()))
    .bind(payload)
    .bind(operation.environment.to_string())
    .execute(db)
    .await
    .map_err(failed("write an operation"))?;
    if done.rows_affected() == 0 {
        return Err(without_environment(operation.id, operation.environment));
    }
    Ok(())
}

pub fn without_environment(id: OperationId, environment: EnvironmentId) -> StoreError {
    StoreError::Unavailable {
        what: format!("cannot write operation {id}: its environment {environment} does not exist"),
        source: Box::new(sqlx::Error::RowNotFound),
    }
}

pub async fn put_timer(db: Db<'_>, id: OperationId, due: Option<Timestamp>) -> Result<()> {
    let query = match due.map(nanos) {
        Some(due) => sqlx::query(
            "INSERT INTO timers (operation, due) VALUES ($1, $2)
             ON CONFLICT (operation) DO UPDATE SET due = excluded.due",
        )
        .bind(id.to_string())
        .bind(due),
        None => sqlx::query("DELETE FROM timers WHERE operation = $1").bind(id.to_string()),
    };
    query.execute(db).await.map_err(failed("write a timer"))?;
    Ok(())
}

pub async fn hasten_timers(db: Db<'_>, later: Timestamp, to: Timestamp) -> Result<u64> {
    let done = sqlx::query("UPDATE timers SET due = $2 WHERE due > $1").bind(nanos(later)).bind(nanos(to));
    Ok(done.execute(db).await.map_err(failed("hasten timers"))?.rows_affected())
}

pub async fn due(db: Db<'_>, now: Timestamp, limit: u32) -> Result<Vec<OperationId>> {
    sqlx::query_scalar::<_, String>(
        "SELECT operation FROM timers WHERE due <= $1 ORDER BY due, operation LIMIT $2",
    )
    .bind(nanos(now))
    .bind(bounded(limit))
    .fetch_all(db)
    .await
    .map_err(failed("read timers"))?
    .iter()
    .map(|id| parse("timers", id))
    .collect()
}

pub async fn timer(db: Db<'_>, id: OperationId) -> Result<Option<Timestamp>> {
    sqlx::query_scalar::<_, i64>("SELECT due FROM timers WHERE operation = $1")
        .bind(id.to_string())
        .fetch_optional(db)
        .await
        .map_err(failed("read a timer"))?
        .map(|due| time("timers", id, due))
        .transpose()
}

pub async fn claim_due(db: Db<'_>, now: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<OperationId>> {
    // What another manager claims at this moment, or what an operation's own change is moving, is passed over.
    let mut claimed: Vec<(i64, String)> = sqlx::query_as(
        "WITH due AS (
             SELECT operation, due FROM timers WHERE due <= $1 ORDER BY due, operation LIMIT $3
             FOR UPDATE SKIP LOCKED)
         UPDATE timers t SET due = $2 FROM due WHERE t.operation = due.operation
         RETURNING due.due, t.operation",
    )
    .bind(nanos(now))
    .bind(nanos(until))
    .bind(bounded(limit))
    .fetch_all(db)
    .await
    .map_err(failed("claim timers"))?;
    claimed.sort();
    claimed.iter().map(|(_, id)| parse("timers", id)).collect()
}

pub async fn next_due(db: Db<'_>) -> Result<Option<Timestamp>> {
    sqlx::query_as::<_, (String, i64)>("SELECT operation, due FROM timers ORDER BY due LIMIT 1")
        .fetch_optional(db)
        .await
        .map_err(failed("read timers"))?
        .map(|(operation, due)| time("timers", operation, due))
        .transpose()
}

pub async fn running_in(db: Db<'_>, region: &RegionName, page: &Page) -> Result<Paged<OperationId>> {
    let (size, limit) = page_size(page);
    let rows = sqlx::query_scalar::<_, String>(
        "SELECT DISTINCT a.operation FROM attempts a JOIN operations o ON o.id = a.operation
         WHERE a.region = $1 AND a.ended = 0 AND a.operation > $2 AND o.finished = 0
         ORDER BY a.operation LIMIT $3",
    )
    .bind(region.as_str())
    .bind(page.after.as_deref().unwrap_or_default())
    .bind(limit)
    .fetch_all(db)
    .await
    .map_err(failed("list the operations that run in a region"))?
    .into_iter()
    .map(|id| parse("attempts", &id).map(|operation| (id, operation)))
    .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

fn parse(table: &'static str, id: &str) -> Result<OperationId> {
    id.parse().map_err(|source| damaged(table, id, source))
}

pub async fn replays(db: Db<'_>, original: OperationId) -> Result<Vec<OperationId>> {
    let ids: Vec<String> =
        sqlx::query_scalar("SELECT replay FROM replays WHERE original = $1 ORDER BY replay LIMIT 1000")
            .bind(original.to_string())
            .fetch_all(db)
            .await
            .map_err(failed("read the replays of an operation"))?;
    ids.into_iter().map(|id| parse("replays", &id)).collect()
}

pub async fn put_replay(db: Db<'_>, original: OperationId, replay: OperationId) -> Result<()> {
    sqlx::query("INSERT INTO replays (original, replay) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(original.to_string())
        .bind(replay.to_string())
        .execute(db)
        .await
        .map_err(failed("write a replay"))?;
    Ok(())
}
