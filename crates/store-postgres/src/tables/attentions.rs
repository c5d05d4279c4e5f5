//! Things that wait for a person.

use super::{Db, Pair};
use crate::{
    codec::{decode, encode, page_size, paged},
    errors::failed,
    keys::{arms, keys},
};
use tenantry_model::{Attention, AttentionId, Page, Paged, RegionName};
use tenantry_store::narrow::attentions::{LIST, OPEN, conditions, scope_columns};
use tenantry_store::{AttentionFilter, Result, StoreError};

const TABLE: &str = "attentions";

pub async fn get(db: Db<'_>, id: AttentionId) -> Result<Option<Attention>> {
    sqlx::query_scalar::<_, String>("SELECT payload FROM attentions WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(db)
        .await
        .map_err(failed("read an attention"))?
        .map(|payload| decode(TABLE, id, &payload))
        .transpose()
}

pub async fn list(db: Db<'_>, filter: &AttentionFilter, page: &Page) -> Result<Paged<Attention>> {
    let (size, limit) = page_size(page);
    let arms = arms(&conditions(filter), filter.scopes.as_deref(), scope_columns);
    let keys = keys(&mut *db, if filter.settled { LIST } else { OPEN }, &arms, page, limit).await?;
    let rows: Vec<Pair> = sqlx::query_as("SELECT id, payload FROM attentions WHERE id = ANY($1) ORDER BY id")
        .bind(keys)
        .fetch_all(db)
        .await
        .map_err(failed("read attentions"))?;
    let rows = rows
        .into_iter()
        .map(|(id, payload)| decode(TABLE, &id, &payload).map(|attention| (id, attention)))
        .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

/// Keeps others from opening or settling this key until the end: operations of two environments may raise the same thing
/// (a silent region) at the same time, and there is no row yet that could be locked.
pub async fn lock_key(db: Db<'_>, key: &str) -> Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(key)
        .execute(db)
        .await
        .map_err(failed("lock an attention's key"))?;
    Ok(())
}

pub async fn open(db: Db<'_>, key: &str) -> Result<Option<Attention>> {
    sqlx::query_as::<_, Pair>("SELECT id, payload FROM attentions WHERE key = $1 AND settled = 0")
        .bind(key)
        .fetch_optional(db)
        .await
        .map_err(failed("look for an open attention"))?
        .map(|(id, payload)| decode(TABLE, &id, &payload))
        .transpose()
}

/// Without [`lock_key`].
pub async fn open_keys(db: Db<'_>, keys: &[String]) -> Result<Vec<String>> {
    sqlx::query_scalar("SELECT key FROM attentions WHERE settled = 0 AND key = ANY($1) ORDER BY key")
        .bind(keys)
        .fetch_all(db)
        .await
        .map_err(failed("look for open attentions"))
}

pub async fn put(db: Db<'_>, attention: &Attention) -> Result<()> {
    let key = attention.key.as_str();
    if attention.settled_at.is_none() {
        let other = open(&mut *db, key).await?;
        if other.is_some_and(|other| other.id != attention.id) {
            return Err(StoreError::Duplicate(format!("open attention {key}")));
        }
    }
    let payload = encode(TABLE, attention.id, attention)?;
    sqlx::query(
        "INSERT INTO attentions (id, key, settled, environment, operation, region, tenant, home, payload)
         VALUES ($1, $2, $3, $4, $5, $6, (SELECT tenant FROM environments WHERE id = $4),
             (SELECT region FROM environments WHERE id = $4), $7)
         ON CONFLICT (id) DO UPDATE SET key = excluded.key, settled = excluded.settled,
             environment = excluded.environment, operation = excluded.operation, region = excluded.region,
             tenant = excluded.tenant, home = excluded.home, payload = excluded.payload",
    )
    .bind(attention.id.to_string())
    .bind(key)
    .bind(i64::from(attention.settled_at.is_some()))
    .bind(attention.environment.map(|id| id.to_string()))
    .bind(attention.operation.map(|id| id.to_string()))
    .bind(attention.region.as_ref().map(RegionName::as_str))
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write an attention"))?;
    Ok(())
}
