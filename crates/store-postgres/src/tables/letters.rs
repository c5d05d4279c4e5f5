//! Messages that were refused.

use super::{Db, Pair};
use crate::{
    codec::{decode, encode, from_position, nanos, page_size, paged},
    errors::failed,
};
use jiff::Timestamp;
use tenantry_model::{LetterId, Page, Paged};
use tenantry_store::{LetterRow, Result};

const TABLE: &str = "letters";

pub async fn get(db: Db<'_>, id: LetterId) -> Result<Option<LetterRow>> {
    sqlx::query_scalar::<_, String>("SELECT payload FROM letters WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(db)
        .await
        .map_err(failed("read a refused message"))?
        .map(|payload| decode(TABLE, id, &payload))
        .transpose()
}

pub async fn list(db: Db<'_>, page: &Page) -> Result<Paged<LetterRow>> {
    let (size, limit) = page_size(page);
    let rows: Vec<Pair> =
        sqlx::query_as("SELECT id, payload FROM letters WHERE id > $1 ORDER BY id LIMIT $2")
            .bind(page.after.as_deref().unwrap_or_default())
            .bind(limit)
            .fetch_all(db)
            .await
            .map_err(failed("read refused messages"))?;
    let rows = rows
        .into_iter()
        .map(|(id, payload)| decode(TABLE, &id, &payload).map(|letter| (id, letter)))
        .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn count(db: Db<'_>) -> Result<u64> {
    sqlx::query_scalar::<_, i64>("SELECT count(*) FROM letters")
        .fetch_one(db)
        .await
        .map(from_position)
        .map_err(failed("count refused messages"))
}

pub async fn put(db: Db<'_>, row: &LetterRow) -> Result<()> {
    let payload = encode(TABLE, row.id, row)?;
    sqlx::query(
        "INSERT INTO letters (id, at, payload) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET at = excluded.at, payload = excluded.payload",
    )
    .bind(row.id.to_string())
    .bind(nanos(row.at))
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write a refused message"))?;
    Ok(())
}

pub async fn delete(db: Db<'_>, id: LetterId) -> Result<bool> {
    sqlx::query("DELETE FROM letters WHERE id = $1")
        .bind(id.to_string())
        .execute(db)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed("remove a refused message"))
}

/// There are few: whoever writes them bounds them by this.
pub async fn trim(db: Db<'_>, before: Timestamp, keep: u32) -> Result<u64> {
    sqlx::query(
        "DELETE FROM letters WHERE at < $1 OR id NOT IN (SELECT id FROM letters ORDER BY id DESC LIMIT $2)",
    )
    .bind(nanos(before))
    .bind(i64::from(keep))
    .execute(db)
    .await
    .map(|done| done.rows_affected())
    .map_err(failed("remove old refused messages"))
}
