//! Tenants.

use super::Db;
use crate::{
    codec::{decode, encode, page_size, paged},
    errors::failed,
};
use tenantry_model::{Page, Paged, Tenant, TenantName};
use tenantry_store::Result;

const TABLE: &str = "tenants";

pub async fn get(db: Db<'_>, name: &TenantName) -> Result<Option<Tenant>> {
    let name = name.as_str();
    sqlx::query_scalar!("SELECT payload FROM tenants WHERE name = ?", name)
        .fetch_optional(db)
        .await
        .map_err(failed("read a tenant"))?
        .map(|payload| decode(TABLE, name, &payload))
        .transpose()
}

pub async fn list(db: Db<'_>, page: &Page) -> Result<Paged<Tenant>> {
    let (size, limit) = page_size(page);
    let after = page.after.as_deref().unwrap_or_default();
    let rows =
        sqlx::query!("SELECT name, payload FROM tenants WHERE name > ? ORDER BY name LIMIT ?", after, limit)
            .fetch_all(db)
            .await
            .map_err(failed("list tenants"))?
            .into_iter()
            .map(|row| decode(TABLE, &row.name, &row.payload).map(|tenant| (row.name, tenant)))
            .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn put(db: Db<'_>, tenant: &Tenant) -> Result<()> {
    let name = tenant.name.as_str();
    let payload = encode(TABLE, name, tenant)?;
    sqlx::query!(
        "INSERT INTO tenants (name, payload) VALUES (?, ?)
         ON CONFLICT (name) DO UPDATE SET payload = excluded.payload",
        name,
        payload
    )
    .execute(db)
    .await
    .map_err(failed("write a tenant"))?;
    Ok(())
}

pub async fn delete(db: Db<'_>, name: &TenantName) -> Result<()> {
    let name = name.as_str();
    sqlx::query!("DELETE FROM tenants WHERE name = ?", name)
        .execute(db)
        .await
        .map_err(failed("delete a tenant"))?;
    Ok(())
}
