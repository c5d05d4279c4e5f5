//! Holds by predicate.

use super::{Db, Pair};
use crate::{
    codec::{decode, encode, page_size, paged},
    errors::failed,
    keys::{arms, keys},
};
use tenantry_model::{HoldId, Page, Paged, RegionName};
use tenantry_store::narrow::holds::{LIST, OPEN, scope_columns};
use tenantry_store::{HoldFilter, HoldRow, Result};

const TABLE: &str = "holds";

pub async fn get(db: Db<'_>, id: HoldId) -> Result<Option<HoldRow>> {
    sqlx::query_scalar::<_, String>("SELECT payload FROM holds WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(db)
        .await
        .map_err(failed("read a hold"))?
        .map(|payload| decode(TABLE, id, &payload))
        .transpose()
}

pub async fn list(db: Db<'_>, filter: &HoldFilter, page: &Page) -> Result<Paged<HoldRow>> {
    let (size, limit) = page_size(page);
    let arms = arms(&[], filter.scopes.as_deref(), scope_columns);
    let keys = keys(&mut *db, if filter.lifted { LIST } else { OPEN }, &arms, page, limit).await?;
    let rows: Vec<Pair> = sqlx::query_as("SELECT id, payload FROM holds WHERE id = ANY($1) ORDER BY id")
        .bind(keys)
        .fetch_all(db)
        .await
        .map_err(failed("read holds"))?;
    let rows = rows
        .into_iter()
        .map(|(id, payload)| decode(TABLE, &id, &payload).map(|hold| (id, hold)))
        .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn put(db: Db<'_>, hold: &HoldRow) -> Result<()> {
    let id = hold.hold.id.to_string();
    let payload = encode(TABLE, &id, hold)?;
    sqlx::query(
        "INSERT INTO holds (id, open, region, payload) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET open = excluded.open, region = excluded.region,
             payload = excluded.payload",
    )
    .bind(id)
    .bind(i64::from(hold.is_open()))
    .bind(hold.hold.predicate.region.as_ref().map(RegionName::as_str))
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write a hold"))?;
    Ok(())
}
