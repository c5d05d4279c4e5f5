//! Removing what is old and needed by nothing.

use super::Db;
use crate::{
    codec::{bounded, damaged, decode, ended_key, nanos, page_size, position},
    errors::failed,
};
use jiff::Timestamp;
use tenantry_model::{Operation, OperationId, Page, Paged, RegionName, TemplateHash};
use tenantry_store::{ExpiredOperation, Result};

/// The oldest first, so that a run reads nothing of what is young. A page's key is the time of an end, in milliseconds, and
/// the id.
pub async fn operations(
    db: Db<'_>,
    before: Timestamp,
    keep_newest: u32,
    page: &Page,
) -> Result<Paged<ExpiredOperation>> {
    let (size, limit) = page_size(page);
    let (after, after_id) = ended_key(page);
    // The payload only of those that may go: most of what is old stays, and is looked at by each run.
    let rows: Vec<(String, i64, bool, Option<String>)> = sqlx::query_as(
        "WITH looked AS MATERIALIZED (
             SELECT id, environment, name, tenantry_millis(tenantry_json(payload) ->> 'endedAt') AS ended
             FROM operations
             WHERE finished = 1 AND tenantry_millis(tenantry_json(payload) ->> 'endedAt') < $1
                 AND (tenantry_millis(tenantry_json(payload) ->> 'endedAt'), id) > ($2, $3)
             ORDER BY tenantry_millis(tenantry_json(payload) ->> 'endedAt'), id LIMIT $4)
         SELECT o.id, o.ended, e.state = 'purged', CASE WHEN
             (e.state = 'purged' OR $5::bigint = 0 OR EXISTS (SELECT 1 FROM operations n
                 WHERE n.environment = o.environment AND n.name = o.name AND n.id > o.id
                 ORDER BY n.id LIMIT 1 OFFSET greatest($5::bigint - 1, 0)))
             AND NOT EXISTS (SELECT 1 FROM operations r WHERE r.replay_of = o.id)
             AND NOT EXISTS (SELECT 1 FROM operations r WHERE r.backup_of = o.id)
             AND NOT EXISTS (SELECT 1 FROM steps s WHERE s.kept_from = o.id AND s.operation <> o.id)
             AND NOT EXISTS (SELECT 1 FROM applied a WHERE a.operation = o.id)
             AND NOT EXISTS (SELECT 1 FROM commands c WHERE c.operation = o.id)
             AND NOT EXISTS (SELECT 1 FROM attentions t WHERE t.operation = o.id AND t.settled = 0)
             THEN (SELECT p.payload FROM operations p WHERE p.id = o.id) END
         FROM looked o JOIN environments e ON e.id = o.environment ORDER BY o.ended, o.id",
    )
    .bind(before.as_millisecond())
    .bind(after)
    .bind(after_id)
    .bind(limit)
    .bind(i64::from(keep_newest))
    .fetch_all(db)
    .await
    .map_err(failed("look for old operations"))?;
    // Every row that was looked at counts for the page, so that one page never reads more than it says.
    let last = (rows.len() > size).then(|| rows.get(size - 1)).flatten();
    let next = last.map(|(id, ended, ..)| format!("{ended}/{id}"));
    let mut items = Vec::new();
    for (id, _, purged, payload) in rows.into_iter().take(size) {
        let Some(payload) = payload else { continue };
        let Operation { id, environment, name, state, .. } = decode("operations", &id, &payload)?;
        items.push(ExpiredOperation { id, environment, name, state, purged });
    }
    Ok(Paged { items, next })
}

pub async fn delete_operation(db: Db<'_>, id: OperationId) -> Result<bool> {
    let id = id.to_string();
    for statement in [
        "DELETE FROM timers WHERE operation = $1",
        "DELETE FROM attempts WHERE operation = $1",
        "DELETE FROM steps WHERE operation = $1",
        "DELETE FROM workflows WHERE operation = $1",
        "DELETE FROM bridges WHERE operation = $1",
        "DELETE FROM attentions WHERE operation = $1 AND settled = 1",
        "DELETE FROM approvals WHERE operation = $1",
        "DELETE FROM replays WHERE original = $1 OR replay = $1",
    ] {
        sqlx::query(statement).bind(&id).execute(&mut *db).await.map_err(failed("remove an operation"))?;
    }
    sqlx::query("DELETE FROM operations WHERE id = $1")
        .bind(&id)
        .execute(db)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed("remove an operation"))
}

/// The newest event stays whatever its position, so that readers know where the outbox is.
pub async fn delete_events(db: Db<'_>, up_to: u64, limit: u32) -> Result<u32> {
    sqlx::query(
        "DELETE FROM events WHERE position IN (
             SELECT position FROM events
             WHERE position <= $1 AND position < (SELECT max(position) FROM events) ORDER BY position LIMIT $2)",
    )
    .bind(position(up_to))
    .bind(bounded(limit))
    .execute(db)
    .await
    .map(|done| u32::try_from(done.rows_affected()).unwrap_or(u32::MAX))
    .map_err(failed("remove old events"))
}

pub async fn expire_attentions(db: Db<'_>, before: Timestamp, limit: u32) -> Result<u32> {
    sqlx::query(
        "DELETE FROM attentions WHERE id IN (
             SELECT id FROM attentions WHERE settled_at < $1 ORDER BY settled_at, id LIMIT $2)",
    )
    .bind(before.as_millisecond())
    .bind(bounded(limit))
    .execute(db)
    .await
    .map(|done| u32::try_from(done.rows_affected()).unwrap_or(u32::MAX))
    .map_err(failed("remove settled attention"))
}

pub async fn count_expired(db: Db<'_>, attentions: Timestamp, answers: Timestamp) -> Result<(u64, u64)> {
    let attentions: i64 = sqlx::query_scalar("SELECT count(*) FROM attentions WHERE settled_at < $1")
        .bind(attentions.as_millisecond())
        .fetch_one(&mut *db)
        .await
        .map_err(failed("count settled attention"))?;
    let answers: i64 = sqlx::query_scalar("SELECT count(*) FROM idempotency WHERE at < $1")
        .bind(nanos(answers))
        .fetch_one(db)
        .await
        .map_err(failed("count old answers"))?;
    Ok((u64::try_from(attentions).unwrap_or_default(), u64::try_from(answers).unwrap_or_default()))
}

pub async fn needed_templates(db: Db<'_>, region: &RegionName) -> Result<Vec<TemplateHash>> {
    let hashes: Vec<Option<String>> = sqlx::query_scalar(
        "SELECT DISTINCT s.template FROM operations o JOIN steps s ON s.operation = o.id
         WHERE o.finished = 0 AND s.region = $1 ORDER BY s.template",
    )
    .bind(region.as_str())
    .fetch_all(db)
    .await
    .map_err(failed("read the templates that are needed"))?;
    hashes
        .into_iter()
        .map(|hash| {
            hash.map(TemplateHash).ok_or_else(|| damaged("steps", region, "a step without a template"))
        })
        .collect()
}
