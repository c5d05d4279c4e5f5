//! What belongs to the installation as a whole: tokens, answers under an Idempotency-Key, settings.

use super::Db;
use crate::{
    codec::{bounded, damaged, decode, encode, nanos, page_size, paged, time},
    errors::{failed, taken},
};
use jiff::Timestamp;
use serde_json::Value;
use tenantry_model::{Page, Paged, Token, TokenId};
use tenantry_store::{IdempotentAnswer, Result};

pub async fn token(db: Db<'_>, id: TokenId) -> Result<Option<Token>> {
    let id = id.to_string();
    sqlx::query_scalar!("SELECT payload FROM tokens WHERE id = ?", id)
        .fetch_optional(db)
        .await
        .map_err(failed("read a token"))?
        .map(|payload| decode("tokens", &id, &payload))
        .transpose()
}

pub async fn tokens(db: Db<'_>, page: &Page) -> Result<Paged<Token>> {
    let (size, limit) = page_size(page);
    let after = page.after.as_deref().unwrap_or_default();
    let rows = sqlx::query!("SELECT id, payload FROM tokens WHERE id > ? ORDER BY id LIMIT ?", after, limit)
        .fetch_all(db)
        .await
        .map_err(failed("list tokens"))?
        .into_iter()
        .map(|row| decode("tokens", &row.id, &row.payload).map(|token| (row.id, token)))
        .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn put_token(db: Db<'_>, token: &Token) -> Result<()> {
    let id = token.id.to_string();
    let payload = encode("tokens", &id, token)?;
    sqlx::query!(
        "INSERT INTO tokens (id, payload) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET payload = excluded.payload",
        id,
        payload
    )
    .execute(db)
    .await
    .map_err(failed("write a token"))?;
    Ok(())
}

pub async fn idempotent(db: Db<'_>, key: &str) -> Result<Option<IdempotentAnswer>> {
    let row = sqlx::query!("SELECT request_hash, status, body, etag, at FROM idempotency WHERE key = ?", key)
        .fetch_optional(db)
        .await
        .map_err(failed("read the answer to a repeated request"))?;
    row.map(|row| {
        Ok(IdempotentAnswer {
            key: key.to_owned(),
            request_hash: row.request_hash,
            status: u16::try_from(row.status).map_err(|source| damaged("idempotency", key, source))?,
            body: row.body,
            etag: row.etag,
            at: time("idempotency", key, row.at)?,
        })
    })
    .transpose()
}

pub async fn put_idempotent(db: Db<'_>, answer: &IdempotentAnswer) -> Result<()> {
    let (key, status, at) = (answer.key.as_str(), i64::from(answer.status), nanos(answer.at));
    sqlx::query!(
        "INSERT INTO idempotency (key, request_hash, status, body, etag, at) VALUES (?, ?, ?, ?, ?, ?)",
        key,
        answer.request_hash,
        status,
        answer.body,
        answer.etag,
        at
    )
    .execute(db)
    .await
    .map_err(taken("keep the answer to a request", || format!("idempotency key {key}")))?;
    Ok(())
}

pub async fn expire_idempotent(db: Db<'_>, before: Timestamp, limit: u32) -> Result<u32> {
    let (before, limit) = (nanos(before), bounded(limit));
    sqlx::query!(
        "DELETE FROM idempotency WHERE key IN (SELECT key FROM idempotency WHERE at < ? ORDER BY at LIMIT ?)",
        before,
        limit
    )
    .execute(db)
    .await
    .map(|done| u32::try_from(done.rows_affected()).unwrap_or(u32::MAX))
    .map_err(failed("remove old answers"))
}

pub async fn setting(db: Db<'_>, key: &str) -> Result<Option<Value>> {
    sqlx::query_scalar!("SELECT payload FROM settings WHERE key = ?", key)
        .fetch_optional(db)
        .await
        .map_err(failed("read a setting"))?
        .map(|payload| decode("settings", key, &payload))
        .transpose()
}

pub async fn put_setting(db: Db<'_>, key: &str, value: &Value) -> Result<()> {
    let payload = encode("settings", key, value)?;
    sqlx::query!(
        "INSERT INTO settings (key, payload) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET payload = excluded.payload",
        key,
        payload
    )
    .execute(db)
    .await
    .map_err(failed("write a setting"))?;
    Ok(())
}
