//! Operation definitions, operations and their timers.

use super::Db;
use crate::{
    codec::{bounded, damaged, decode, encode, nanos, page_size, paged, time, word},
    errors::failed,
    keys::{arms, keys, rows_of_keys},
};
use jiff::Timestamp;
use tenantry_model::{
    EnvironmentId, Operation, OperationDefinition, OperationId, OperationName, Page, Paged, RegionName,
};
pub use tenantry_store::narrow::operations::{conditions, list_for, scope_columns};
use tenantry_store::{OperationFilter, Result, StoreError};

const TABLE: &str = "operations";

pub async fn definition(db: Db<'_>, name: &OperationName) -> Result<Option<OperationDefinition>> {
    let name = name.as_str();
    sqlx::query_scalar!("SELECT payload FROM definitions WHERE name = ?", name)
        .fetch_optional(db)
        .await
        .map_err(failed("read an operation definition"))?
        .map(|payload| decode("definitions", name, &payload))
        .transpose()
}

pub async fn definitions(db: Db<'_>) -> Result<Vec<OperationDefinition>> {
    sqlx::query!("SELECT name, payload FROM definitions ORDER BY name LIMIT 1000")
        .fetch_all(db)
        .await
        .map_err(failed("list operation definitions"))?
        .into_iter()
        .map(|row| decode("definitions", &row.name, &row.payload))
        .collect()
}

pub async fn put_definition(db: Db<'_>, definition: &OperationDefinition) -> Result<()> {
    let name = definition.name.as_str();
    let payload = encode("definitions", name, definition)?;
    sqlx::query!(
        "INSERT INTO definitions (name, payload) VALUES (?, ?)
         ON CONFLICT (name) DO UPDATE SET payload = excluded.payload",
        name,
        payload
    )
    .execute(db)
    .await
    .map_err(failed("write an operation definition"))?;
    Ok(())
}

pub async fn delete_definition(db: Db<'_>, name: &OperationName) -> Result<bool> {
    let name = name.as_str();
    sqlx::query!("DELETE FROM definitions WHERE name = ?", name)
        .execute(db)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed("delete an operation definition"))
}

pub async fn get(db: Db<'_>, id: OperationId) -> Result<Option<Operation>> {
    let id = id.to_string();
    sqlx::query_scalar!("SELECT payload FROM operations WHERE id = ?", id)
        .fetch_optional(db)
        .await
        .map_err(failed("read an operation"))?
        .map(|payload| decode(TABLE, &id, &payload))
        .transpose()
}

pub async fn list(db: Db<'_>, filter: &OperationFilter, page: &Page) -> Result<Paged<Operation>> {
    let (size, limit) = page_size(page);
    let arms = arms(&conditions(filter), filter.scopes.as_deref(), scope_columns);
    let keys = keys(&mut *db, list_for(filter), &arms, page, limit).await?;
    let rows = rows_of_keys!(
        db,
        "SELECT o.id, o.payload FROM json_each(?) k JOIN operations o ON o.id = k.value ORDER BY o.id DESC",
        keys,
        "operations"
    )?;
    Ok(paged(rows, size))
}

pub async fn unfinished(db: Db<'_>, environment: EnvironmentId) -> Result<Vec<Operation>> {
    let environment = environment.to_string();
    sqlx::query!(
        "SELECT id, payload FROM operations WHERE environment = ? AND finished = 0 ORDER BY id",
        environment
    )
    .fetch_all(db)
    .await
    .map_err(failed("read unfinished operations"))?
    .into_iter()
    .map(|row| decode(TABLE, &row.id, &row.payload))
    .collect()
}

pub async fn put(db: Db<'_>, operation: &Operation) -> Result<()> {
    let id = operation.id.to_string();
    let environment = operation.environment.to_string();
    let (name, state) = (operation.name.as_str(), word(&operation.state));
    let finished = operation.state.is_final();
    let payload = encode(TABLE, &id, operation)?;
    let done = sqlx::query!(
        "INSERT INTO operations (id, environment, tenant, region, name, state, finished, payload)
         SELECT ?, e.id, e.tenant, e.region, ?, ?, ?, ? FROM environments e WHERE e.id = ?
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, state = excluded.state, finished = excluded.finished,
             payload = excluded.payload",
        id,
        name,
        state,
        finished,
        payload,
        environment
    )
    .execute(db)
    .await
    .map_err(failed("write an operation"))?;
    if done.rows_affected() == 0 {
        return Err(StoreError::Unavailable {
            what: format!("cannot write operation {id}: its environment {environment} does not exist"),
            source: Box::new(sqlx::Error::RowNotFound),
        });
    }
    Ok(())
}

pub async fn put_timer(db: Db<'_>, id: OperationId, due: Option<Timestamp>) -> Result<()> {
    let id = id.to_string();
    let query = match due.map(nanos) {
        Some(due) => sqlx::query!(
            "INSERT INTO timers (operation, due) VALUES (?, ?)
             ON CONFLICT (operation) DO UPDATE SET due = excluded.due",
            id,
            due
        ),
        None => sqlx::query!("DELETE FROM timers WHERE operation = ?", id),
    };
    query.execute(db).await.map_err(failed("write a timer"))?;
    Ok(())
}

pub async fn due(db: Db<'_>, now: Timestamp, limit: u32) -> Result<Vec<OperationId>> {
    let (now, limit) = (nanos(now), bounded(limit));
    sqlx::query_scalar!(
        "SELECT operation FROM timers WHERE due <= ? ORDER BY due, operation LIMIT ?",
        now,
        limit
    )
    .fetch_all(db)
    .await
    .map_err(failed("read timers"))?
    .into_iter()
    .map(|id| parse("timers", &id))
    .collect()
}

pub async fn timer(db: Db<'_>, id: OperationId) -> Result<Option<Timestamp>> {
    let id = id.to_string();
    sqlx::query_scalar!("SELECT due FROM timers WHERE operation = ?", id)
        .fetch_optional(db)
        .await
        .map_err(failed("read a timer"))?
        .map(|due| time("timers", &id, due))
        .transpose()
}

pub async fn hasten_timers(db: Db<'_>, later: Timestamp, to: Timestamp) -> Result<u64> {
    let done = sqlx::query("UPDATE timers SET due = ?2 WHERE due > ?1").bind(nanos(later)).bind(nanos(to));
    Ok(done.execute(db).await.map_err(failed("hasten timers"))?.rows_affected())
}

pub async fn claim_due(db: Db<'_>, now: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<OperationId>> {
    let claimed = due(&mut *db, now, limit).await?;
    let ids = serde_json::json!(claimed).to_string();
    let until = nanos(until);
    sqlx::query!("UPDATE timers SET due = ? WHERE operation IN (SELECT value FROM json_each(?))", until, ids)
        .execute(db)
        .await
        .map_err(failed("claim timers"))?;
    Ok(claimed)
}

pub async fn next_due(db: Db<'_>) -> Result<Option<Timestamp>> {
    sqlx::query!("SELECT operation, due FROM timers ORDER BY due LIMIT 1")
        .fetch_optional(db)
        .await
        .map_err(failed("read timers"))?
        .map(|row| time("timers", row.operation, row.due))
        .transpose()
}

pub async fn running_in(db: Db<'_>, region: &RegionName, page: &Page) -> Result<Paged<OperationId>> {
    let (size, limit) = page_size(page);
    let region = region.as_str();
    let after = page.after.as_deref().unwrap_or_default();
    let rows = sqlx::query_scalar!(
        "SELECT DISTINCT a.operation FROM attempts a JOIN operations o ON o.id = a.operation
         WHERE a.region = ? AND a.ended = 0 AND a.operation > ? AND o.finished = 0
         ORDER BY a.operation LIMIT ?",
        region,
        after,
        limit
    )
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
    let original = original.to_string();
    sqlx::query_scalar!("SELECT replay FROM replays WHERE original = ? ORDER BY replay LIMIT 1000", original)
        .fetch_all(db)
        .await
        .map_err(failed("read the replays of an operation"))?
        .into_iter()
        .map(|id| parse("replays", &id))
        .collect()
}

pub async fn put_replay(db: Db<'_>, original: OperationId, replay: OperationId) -> Result<()> {
    let (original, replay) = (original.to_string(), replay.to_string());
    sqlx::query!("INSERT OR IGNORE INTO replays (original, replay) VALUES (?, ?)", original, replay)
        .execute(db)
        .await
        .map_err(failed("note a replay"))?;
    Ok(())
}
