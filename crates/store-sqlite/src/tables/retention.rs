//! Removing what is old and needed by nothing.

use super::Db;
use crate::{
    codec::{bounded, damaged, decode, ended_key, page_size, position},
    errors::failed,
};
use jiff::Timestamp;
use std::collections::BTreeSet;
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
    let (before, newest) = (before.as_millisecond(), i64::from(keep_newest));
    // The payload only of those that may go: most of what is old stays, and is looked at by each run.
    let rows = sqlx::query!(
        "SELECT o.id, o.ended_at AS \"ended!: i64\", e.state = 'purged' AS \"purged!: bool\", CASE WHEN
             (e.state = 'purged' OR ?5 = 0 OR EXISTS (SELECT 1 FROM operations n
                 WHERE n.environment = o.environment AND n.name = o.name AND n.id > o.id
                 ORDER BY n.id LIMIT 1 OFFSET ?5 - 1))
             AND NOT EXISTS (SELECT 1 FROM operations r WHERE r.replay_of = o.id)
             AND NOT EXISTS (SELECT 1 FROM operations r WHERE r.backup_of = o.id)
             AND NOT EXISTS (SELECT 1 FROM steps s WHERE s.kept_from = o.id AND s.operation <> o.id)
             AND NOT EXISTS (SELECT 1 FROM applied a WHERE a.operation = o.id)
             AND NOT EXISTS (SELECT 1 FROM commands c WHERE c.operation = o.id)
             AND NOT EXISTS (SELECT 1 FROM attentions t WHERE t.operation = o.id AND +t.settled = 0)
             THEN o.payload END AS \"payload: String\"
         FROM operations o CROSS JOIN environments e ON e.id = o.environment
         WHERE o.finished = 1 AND o.ended_at < ?1 AND (o.ended_at, o.id) > (?2, ?3)
         ORDER BY o.ended_at, o.id LIMIT ?4",
        before,
        after,
        after_id,
        limit,
        newest
    )
    .fetch_all(db)
    .await
    .map_err(failed("look for old operations"))?;
    // Every row that was looked at counts for the page, so that one page never reads more than it says.
    let last = (rows.len() > size).then(|| rows.get(size - 1)).flatten();
    let next = last.map(|row| format!("{}/{}", row.ended, row.id));
    let mut items = Vec::new();
    for row in rows.into_iter().take(size) {
        let Some(payload) = row.payload else { continue };
        let Operation { id, environment, name, state, .. } = decode("operations", &row.id, &payload)?;
        items.push(ExpiredOperation { id, environment, name, state, purged: row.purged });
    }
    Ok(Paged { items, next })
}

pub async fn delete_operation(db: Db<'_>, id: OperationId) -> Result<bool> {
    let id = id.to_string();
    for statement in [
        sqlx::query!("DELETE FROM timers WHERE operation = ?", id),
        sqlx::query!("DELETE FROM attempts WHERE operation = ?", id),
        sqlx::query!("DELETE FROM steps WHERE operation = ?", id),
        sqlx::query!("DELETE FROM workflows WHERE operation = ?", id),
        sqlx::query!("DELETE FROM bridges WHERE operation = ?", id),
        sqlx::query!("DELETE FROM attentions WHERE operation = ? AND +settled = 1", id),
        sqlx::query!("DELETE FROM approvals WHERE operation = ?", id),
        sqlx::query!("DELETE FROM replays WHERE original = ?", id),
        sqlx::query!("DELETE FROM replays WHERE replay = ?", id),
    ] {
        statement.execute(&mut *db).await.map_err(failed("remove an operation"))?;
    }
    sqlx::query!("DELETE FROM operations WHERE id = ?", id)
        .execute(db)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed("remove an operation"))
}

/// The newest event stays whatever its position, so that readers know where the outbox is.
pub async fn delete_events(db: Db<'_>, up_to: u64, limit: u32) -> Result<u32> {
    let (up_to, limit) = (position(up_to), bounded(limit));
    sqlx::query!(
        "DELETE FROM events WHERE position IN (
             SELECT position FROM events
             WHERE position <= ?1 AND position < (SELECT max(position) FROM events) ORDER BY position LIMIT ?2)",
        up_to,
        limit
    )
    .execute(db)
    .await
    .map(|done| u32::try_from(done.rows_affected()).unwrap_or(u32::MAX))
    .map_err(failed("remove old events"))
}

pub async fn expire_attentions(db: Db<'_>, before: Timestamp, limit: u32) -> Result<u32> {
    let (before, limit) = (before.as_millisecond(), bounded(limit));
    sqlx::query!(
        "DELETE FROM attentions WHERE id IN (
             SELECT id FROM attentions WHERE settled_at < ? ORDER BY settled_at, id LIMIT ?)",
        before,
        limit
    )
    .execute(db)
    .await
    .map(|done| u32::try_from(done.rows_affected()).unwrap_or(u32::MAX))
    .map_err(failed("remove settled attention"))
}

pub async fn count_expired(db: Db<'_>, attentions: Timestamp, answers: Timestamp) -> Result<(u64, u64)> {
    let (attentions, answers) = (attentions.as_millisecond(), crate::codec::nanos(answers));
    let attentions = sqlx::query_scalar!("SELECT count(*) FROM attentions WHERE settled_at < ?", attentions)
        .fetch_one(&mut *db)
        .await
        .map_err(failed("count settled attention"))?;
    let answers = sqlx::query_scalar!("SELECT count(*) FROM idempotency WHERE at < ?", answers)
        .fetch_one(db)
        .await
        .map_err(failed("count old answers"))?;
    Ok((u64::try_from(attentions).unwrap_or_default(), u64::try_from(answers).unwrap_or_default()))
}

pub async fn needed_templates(db: Db<'_>, region: &RegionName) -> Result<Vec<TemplateHash>> {
    let region = region.as_str();
    let rows = sqlx::query_scalar!(
        "SELECT s.template FROM operations o CROSS JOIN steps s ON s.operation = o.id
         WHERE o.finished = 0 AND o.id > '' AND s.region = ?",
        region
    )
    .fetch_all(db)
    .await
    .map_err(failed("read the templates that are needed"))?;
    // One for each step: few differ, and sorting them here costs less than a second index.
    let distinct: BTreeSet<Option<String>> = rows.into_iter().collect();
    distinct
        .into_iter()
        .map(|hash| {
            hash.map(TemplateHash).ok_or_else(|| damaged("steps", region, "a step without a template"))
        })
        .collect()
}
