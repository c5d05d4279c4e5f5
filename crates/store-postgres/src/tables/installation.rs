//! What belongs to the installation as a whole: tokens, answers under an Idempotency-Key, settings.

use super::{Db, Pair};
use crate::{
    codec::{bounded, damaged, decode, encode, nanos, page_size, paged, time},
    errors::failed,
};
use jiff::Timestamp;
use serde_json::Value;
use tenantry_model::{Page, Paged, Token, TokenId};
use tenantry_store::{IdempotentAnswer, Result, StoreError};

/// The row of one token.
pub const TOKEN: &str = "SELECT payload FROM tokens WHERE id = $1";

pub async fn token(db: Db<'_>, id: TokenId) -> Result<Option<Token>> {
    sqlx::query_scalar::<_, String>(TOKEN)
        .bind(id.to_string())
        .fetch_optional(db)
        .await
        .map_err(failed("read a token"))?
        .map(|payload| decode("tokens", id, &payload))
        .transpose()
}

pub async fn tokens(db: Db<'_>, page: &Page) -> Result<Paged<Token>> {
    let (size, limit) = page_size(page);
    let rows: Vec<Pair> = sqlx::query_as("SELECT id, payload FROM tokens WHERE id > $1 ORDER BY id LIMIT $2")
        .bind(page.after.as_deref().unwrap_or_default())
        .bind(limit)
        .fetch_all(db)
        .await
        .map_err(failed("list tokens"))?;
    let rows = rows
        .into_iter()
        .map(|(id, payload)| decode("tokens", &id, &payload).map(|token| (id, token)))
        .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn put_token(db: Db<'_>, token: &Token) -> Result<()> {
    let payload = encode("tokens", token.id, token)?;
    sqlx::query(
        "INSERT INTO tokens (id, payload) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET payload = excluded.payload",
    )
    .bind(token.id.to_string())
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write a token"))?;
    Ok(())
}

pub async fn idempotent(db: Db<'_>, key: &str) -> Result<Option<IdempotentAnswer>> {
    let row: Option<(String, i64, String, Option<String>, i64)> =
        sqlx::query_as("SELECT request_hash, status, body, etag, at FROM idempotency WHERE key = $1")
            .bind(key)
            .fetch_optional(db)
            .await
            .map_err(failed("read the answer to a repeated request"))?;
    row.map(|(request_hash, status, body, etag, at)| {
        Ok(IdempotentAnswer {
            key: key.to_owned(),
            request_hash,
            status: u16::try_from(status).map_err(|source| damaged("idempotency", key, source))?,
            body,
            etag,
            at: time("idempotency", key, at)?,
        })
    })
    .transpose()
}

pub async fn put_idempotent(db: Db<'_>, answer: &IdempotentAnswer) -> Result<()> {
    // Waits for a transaction that is writing the same key, and then finds its row: no error that ends this one.
    let done = sqlx::query(
        "INSERT INTO idempotency (key, request_hash, status, body, etag, at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (key) DO NOTHING",
    )
    .bind(&answer.key)
    .bind(&answer.request_hash)
    .bind(i64::from(answer.status))
    .bind(&answer.body)
    .bind(&answer.etag)
    .bind(nanos(answer.at))
    .execute(db)
    .await
    .map_err(failed("keep the answer to a request"))?;
    match done.rows_affected() {
        0 => Err(StoreError::Duplicate(format!("idempotency key {}", answer.key))),
        _ => Ok(()),
    }
}

pub async fn expire_idempotent(db: Db<'_>, before: Timestamp, limit: u32) -> Result<u32> {
    sqlx::query(
        "DELETE FROM idempotency WHERE key IN (SELECT key FROM idempotency WHERE at < $1 ORDER BY at LIMIT $2)",
    )
    .bind(nanos(before))
    .bind(bounded(limit))
    .execute(db)
    .await
    .map(|done| u32::try_from(done.rows_affected()).unwrap_or(u32::MAX))
    .map_err(failed("remove old answers"))
}

pub async fn setting(db: Db<'_>, key: &str) -> Result<Option<Value>> {
    sqlx::query_scalar::<_, String>("SELECT payload FROM settings WHERE key = $1")
        .bind(key)
        .fetch_optional(db)
        .await
        .map_err(failed("read a setting"))?
        .map(|payload| decode("settings", key, &payload))
        .transpose()
}

pub async fn put_setting(db: Db<'_>, key: &str, value: &Value) -> Result<()> {
    let payload = encode("settings", key, value)?;
    sqlx::query(
        "INSERT INTO settings (key, payload) VALUES ($1, $2)
         ON CONFLICT (key) DO UPDATE SET payload = excluded.payload",
    )
    .bind(key)
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write a setting"))?;
    Ok(())
}

/// What the server's clock says now, not when the transaction began.
pub async fn clock(db: Db<'_>) -> Result<Timestamp> {
    let micros: i64 = sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        .fetch_one(db)
        .await
        .map_err(failed("read the database's clock"))?;
    Timestamp::from_microsecond(micros).map_err(|source| StoreError::Unavailable {
        what: "the database's clock shows no time that can be".to_owned(),
        source: source.into(),
    })
}
