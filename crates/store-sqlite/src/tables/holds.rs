//! Holds by predicate.

use super::Db;
use crate::{
    codec::{decode, encode, page_size, paged},
    errors::failed,
    keys::{arms, keys, rows_of_keys},
};
use tenantry_model::{HoldId, Page, Paged, RegionName};
pub use tenantry_store::narrow::holds::{LIST, OPEN, scope_columns};
use tenantry_store::{HoldFilter, HoldRow, Result};

const TABLE: &str = "holds";

pub async fn get(db: Db<'_>, id: HoldId) -> Result<Option<HoldRow>> {
    let id = id.to_string();
    sqlx::query_scalar!("SELECT payload FROM holds WHERE id = ?", id)
        .fetch_optional(db)
        .await
        .map_err(failed("read a hold"))?
        .map(|payload| decode(TABLE, &id, &payload))
        .transpose()
}

pub async fn list(db: Db<'_>, filter: &HoldFilter, page: &Page) -> Result<Paged<HoldRow>> {
    let (size, limit) = page_size(page);
    let arms = arms(&[], filter.scopes.as_deref(), scope_columns);
    let keys = keys(&mut *db, if filter.lifted { LIST } else { OPEN }, &arms, page, limit).await?;
    let rows = rows_of_keys!(
        db,
        "SELECT h.id, h.payload FROM json_each(?) k JOIN holds h ON h.id = k.value ORDER BY h.id",
        keys,
        "holds"
    )?;
    Ok(paged(rows, size))
}

pub async fn put(db: Db<'_>, hold: &HoldRow) -> Result<()> {
    let id = hold.hold.id.to_string();
    let open = hold.is_open();
    let region = hold.hold.predicate.region.as_ref().map(RegionName::as_str);
    let payload = encode(TABLE, &id, hold)?;
    sqlx::query!(
        "INSERT INTO holds (id, open, region, payload) VALUES (?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET open = excluded.open, region = excluded.region,
             payload = excluded.payload",
        id,
        open,
        region,
        payload
    )
    .execute(db)
    .await
    .map_err(failed("write a hold"))?;
    Ok(())
}
