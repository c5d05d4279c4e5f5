//! Things that wait for a person.

use super::Db;
use crate::{
    codec::{decode, encode, page_size, paged},
    errors::{failed, taken},
    keys::{arms, keys, rows_of_keys},
};
use tenantry_model::{Attention, AttentionId, Page, Paged, RegionName};
pub use tenantry_store::narrow::attentions::{LIST, OPEN, conditions, scope_columns};
use tenantry_store::{AttentionFilter, Result};

const TABLE: &str = "attentions";

pub async fn get(db: Db<'_>, id: AttentionId) -> Result<Option<Attention>> {
    let id = id.to_string();
    sqlx::query_scalar!("SELECT payload FROM attentions WHERE id = ?", id)
        .fetch_optional(db)
        .await
        .map_err(failed("read an attention"))?
        .map(|payload| decode(TABLE, &id, &payload))
        .transpose()
}

pub async fn list(db: Db<'_>, filter: &AttentionFilter, page: &Page) -> Result<Paged<Attention>> {
    let (size, limit) = page_size(page);
    let arms = arms(&conditions(filter), filter.scopes.as_deref(), scope_columns);
    let keys = keys(&mut *db, if filter.settled { LIST } else { OPEN }, &arms, page, limit).await?;
    let rows = rows_of_keys!(
        db,
        "SELECT a.id, a.payload FROM json_each(?) k JOIN attentions a ON a.id = k.value ORDER BY a.id",
        keys,
        "attentions"
    )?;
    Ok(paged(rows, size))
}

pub async fn open(db: Db<'_>, key: &str) -> Result<Option<Attention>> {
    sqlx::query!("SELECT id, payload FROM attentions WHERE key = ? AND settled = 0", key)
        .fetch_optional(db)
        .await
        .map_err(failed("look for an open attention"))?
        .map(|row| decode(TABLE, &row.id, &row.payload))
        .transpose()
}

pub async fn put(db: Db<'_>, attention: &Attention) -> Result<()> {
    let id = attention.id.to_string();
    let key = attention.key.as_str();
    let settled = attention.settled_at.is_some();
    let environment = attention.environment.map(|id| id.to_string());
    let operation = attention.operation.map(|id| id.to_string());
    let region = attention.region.as_ref().map(RegionName::as_str);
    let payload = encode(TABLE, &id, attention)?;
    sqlx::query!(
        "INSERT INTO attentions (id, key, settled, environment, operation, region, tenant, home, payload)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT tenant FROM environments WHERE id = ?4),
             (SELECT region FROM environments WHERE id = ?4), ?7)
         ON CONFLICT (id) DO UPDATE SET key = excluded.key, settled = excluded.settled,
             environment = excluded.environment, operation = excluded.operation, region = excluded.region,
             tenant = excluded.tenant, home = excluded.home, payload = excluded.payload",
        id,
        key,
        settled,
        environment,
        operation,
        region,
        payload
    )
    .execute(db)
    .await
    .map_err(taken("write an attention", || format!("open attention {key}")))?;
    Ok(())
}
