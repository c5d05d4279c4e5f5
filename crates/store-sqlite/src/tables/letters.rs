//! Messages that were refused.

use super::Db;
use crate::{
    codec::{decode, encode, from_position, nanos, page_size, paged},
    errors::failed,
};
use jiff::Timestamp;
use tenantry_model::{LetterId, Page, Paged};
use tenantry_store::{LetterRow, Result};

const TABLE: &str = "letters";

pub async fn get(db: Db<'_>, id: LetterId) -> Result<Option<LetterRow>> {
    let id = id.to_string();
    sqlx::query_scalar!("SELECT payload FROM letters WHERE id = ?", id)
        .fetch_optional(db)
        .await
        .map_err(failed("read a refused message"))?
        .map(|payload| decode(TABLE, &id, &payload))
        .transpose()
}

pub async fn list(db: Db<'_>, page: &Page) -> Result<Paged<LetterRow>> {
    let (size, limit) = page_size(page);
    let after = page.after.as_deref().unwrap_or_default();
    let rows = sqlx::query!("SELECT id, payload FROM letters WHERE id > ? ORDER BY id LIMIT ?", after, limit)
        .fetch_all(db)
        .await
        .map_err(failed("read refused messages"))?
        .into_iter()
        .map(|row| decode(TABLE, &row.id, &row.payload).map(|letter| (row.id, letter)))
        .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn count(db: Db<'_>) -> Result<u64> {
    sqlx::query_scalar!("SELECT count(*) FROM letters")
        .fetch_one(db)
        .await
        .map(from_position)
        .map_err(failed("count refused messages"))
}

pub async fn put(db: Db<'_>, row: &LetterRow) -> Result<()> {
    let id = row.id.to_string();
    let (at, payload) = (nanos(row.at), encode(TABLE, &id, row)?);
    sqlx::query!(
        "INSERT INTO letters (id, at, payload) VALUES (?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET at = excluded.at, payload = excluded.payload",
        id,
        at,
        payload
    )
    .execute(db)
    .await
    .map_err(failed("write a refused message"))?;
    Ok(())
}

pub async fn delete(db: Db<'_>, id: LetterId) -> Result<bool> {
    let id = id.to_string();
    sqlx::query!("DELETE FROM letters WHERE id = ?", id)
        .execute(db)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed("remove a refused message"))
}

/// There are few: whoever writes them bounds them by this.
pub async fn trim(db: Db<'_>, before: Timestamp, keep: u32) -> Result<u64> {
    let before = nanos(before);
    sqlx::query!(
        "DELETE FROM letters WHERE at < ? OR id NOT IN (SELECT id FROM letters ORDER BY id DESC LIMIT ?)",
        before,
        keep
    )
    .execute(db)
    .await
    .map(|done| done.rows_affected())
    .map_err(failed("remove old refused messages"))
}
