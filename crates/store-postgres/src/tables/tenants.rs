//! Tenants.

use super::{Db, Pair};
use crate::{
    codec::{decode, encode, page_size, paged},
    errors::failed,
};
use tenantry_model::{Page, Paged, Tenant, TenantName};
use tenantry_store::Result;

const TABLE: &str = "tenants";

pub async fn get(db: Db<'_>, name: &TenantName) -> Result<Option<Tenant>> {
    sqlx::query_scalar::<_, String>("SELECT payload FROM tenants WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(db)
        .await
        .map_err(failed("read a tenant"))?
        .map(|payload| decode(TABLE, name, &payload))
        .transpose()
}

pub async fn list(db: Db<'_>, page: &Page) -> Result<Paged<Tenant>> {
    let (size, limit) = page_size(page);
    let rows: Vec<Pair> =
        sqlx::query_as("SELECT name, payload FROM tenants WHERE name > $1 ORDER BY name LIMIT $2")
            .bind(page.after.as_deref().unwrap_or_default())
            .bind(limit)
            .fetch_all(db)
            .await
            .map_err(failed("list tenants"))?;
    let rows = rows
        .into_iter()
        .map(|(name, payload)| decode(TABLE, &name, &payload).map(|tenant| (name, tenant)))
        .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn put(db: Db<'_>, tenant: &Tenant) -> Result<()> {
    let payload = encode(TABLE, &tenant.name, tenant)?;
    sqlx::query(
        "INSERT INTO tenants (name, payload) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET payload = excluded.payload",
    )
    .bind(tenant.name.as_str())
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write a tenant"))?;
    Ok(())
}

pub async fn delete(db: Db<'_>, name: &TenantName) -> Result<()> {
    sqlx::query("DELETE FROM tenants WHERE name = $1")
        .bind(name.as_str())
        .execute(db)
        .await
        .map_err(failed("delete a tenant"))?;
    Ok(())
}
