//! Hooks as their regions reported them, and the regions.

use super::Db;
use crate::{
    codec::{decode, encode, page_size, paged},
    errors::failed,
};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::{HookRef, OperationName, Page, Paged, Region, RegionName};
use tenantry_store::{HookRow, Result};

const TABLE: &str = "hooks";

pub async fn get(db: Db<'_>, hook: &HookRef) -> Result<Option<HookRow>> {
    let (region, namespace, name) = (hook.region.as_str(), hook.namespace.as_str(), hook.name.as_str());
    sqlx::query_scalar!(
        "SELECT payload FROM hooks WHERE region = ? AND namespace = ? AND name = ?",
        region,
        namespace,
        name
    )
    .fetch_optional(db)
    .await
    .map_err(failed("read a hook"))?
    .map(|payload| decode(TABLE, hook, &payload))
    .transpose()
}

pub async fn of_region(db: Db<'_>, region: &RegionName) -> Result<Vec<HookRow>> {
    let region = region.as_str();
    sqlx::query!(
        "SELECT namespace, name, payload FROM hooks WHERE region = ? ORDER BY namespace, name",
        region
    )
    .fetch_all(db)
    .await
    .map_err(failed("read a region's hooks"))?
    .into_iter()
    .map(|row| decode(TABLE, format_args!("{region}/{}/{}", row.namespace, row.name), &row.payload))
    .collect()
}

pub async fn concerning(db: Db<'_>, region: &RegionName, operation: &OperationName) -> Result<Vec<HookRow>> {
    let (region, operation) = (region.as_str(), operation.as_str());
    // The index first, whatever SQLite believes about the tables' sizes.
    let rows = sqlx::query!(
        "SELECT h.namespace, h.name, h.payload FROM hook_operations o
         CROSS JOIN hooks h ON h.region = o.region AND h.namespace = o.namespace AND h.name = o.name
         WHERE o.region = ? AND o.operation IN (?, '')",
        region,
        operation
    )
    .fetch_all(db)
    .await
    .map_err(failed("read an operation's hooks"))?;
    // One whose current version cannot be read may have a last good one of the operation, and comes twice.
    let rows: BTreeMap<_, _> = rows.into_iter().map(|row| ((row.namespace, row.name), row.payload)).collect();
    rows.into_iter()
        .map(|((namespace, name), payload)| {
            decode(TABLE, format_args!("{region}/{namespace}/{name}"), &payload)
        })
        .collect()
}

pub async fn among(db: Db<'_>, hooks: &BTreeSet<HookRef>) -> Result<Vec<HookRow>> {
    let keys: Vec<[&str; 3]> = hooks
        .iter()
        .map(|hook| [hook.region.as_str(), hook.namespace.as_str(), hook.name.as_str()])
        .collect();
    let keys = encode(TABLE, "keys", &keys)?;
    sqlx::query!(
        "SELECT h.region || '/' || h.namespace || '/' || h.name AS \"key!: String\", h.payload
         FROM json_each(?) k CROSS JOIN hooks h
         ON h.region = k.value ->> 0 AND h.namespace = k.value ->> 1 AND h.name = k.value ->> 2
         ORDER BY h.region, h.namespace, h.name",
        keys
    )
    .fetch_all(db)
    .await
    .map_err(failed("read hooks by name"))?
    .into_iter()
    .map(|row| decode(TABLE, &row.key, &row.payload))
    .collect()
}

pub async fn list(db: Db<'_>, region: Option<&RegionName>, page: &Page) -> Result<Paged<HookRow>> {
    let (size, limit) = page_size(page);
    let mut after = page.after.as_deref().unwrap_or_default().splitn(3, '/');
    let (r, n, h) = (
        after.next().unwrap_or_default(),
        after.next().unwrap_or_default(),
        after.next().unwrap_or_default(),
    );
    let rows: Vec<(String, String)> = if let Some(region) = region {
        let region = region.as_str();
        // A cursor of a region before this one begins at this one's start; of one after it, at its end.
        let (n, h) = match r.cmp(region) {
            std::cmp::Ordering::Less => ("", ""),
            std::cmp::Ordering::Equal => (n, h),
            std::cmp::Ordering::Greater => return Ok(Paged { items: vec![], next: None }),
        };
        sqlx::query!(
            "SELECT region || '/' || namespace || '/' || name AS \"key!: String\", payload FROM hooks
             WHERE region = ? AND (namespace, name) > (?, ?) ORDER BY namespace, name LIMIT ?",
            region,
            n,
            h,
            limit
        )
        .fetch_all(db)
        .await
        .map(|rows| rows.into_iter().map(|row| (row.key, row.payload)).collect())
    } else {
        sqlx::query!(
            "SELECT region || '/' || namespace || '/' || name AS \"key!: String\", payload FROM hooks
             WHERE (region, namespace, name) > (?, ?, ?) ORDER BY region, namespace, name LIMIT ?",
            r,
            n,
            h,
            limit
        )
        .fetch_all(db)
        .await
        .map(|rows| rows.into_iter().map(|row| (row.key, row.payload)).collect())
    }
    .map_err(failed("list hooks"))?;
    let rows = rows
        .into_iter()
        .map(|(key, payload)| decode(TABLE, &key, &payload).map(|hook| (key, hook)))
        .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn put(db: Db<'_>, row: &HookRow) -> Result<()> {
    let hook = &row.hook;
    let (region, namespace, name) = (hook.region.as_str(), hook.namespace.as_str(), hook.name.as_str());
    let payload = encode(TABLE, hook, row)?;
    sqlx::query!(
        "INSERT INTO hooks (region, namespace, name, payload) VALUES (?, ?, ?, ?)
         ON CONFLICT (region, namespace, name) DO UPDATE SET payload = excluded.payload",
        region,
        namespace,
        name,
        payload
    )
    .execute(db)
    .await
    .map_err(failed("write a hook"))?;
    Ok(())
}

pub async fn region(db: Db<'_>, name: &RegionName) -> Result<Option<Region>> {
    let name = name.as_str();
    sqlx::query_scalar!("SELECT payload FROM regions WHERE name = ?", name)
        .fetch_optional(db)
        .await
        .map_err(failed("read a region"))?
        .map(|payload| decode("regions", name, &payload))
        .transpose()
}

pub async fn regions(db: Db<'_>) -> Result<Vec<Region>> {
    sqlx::query!("SELECT name, payload FROM regions ORDER BY name LIMIT 1000")
        .fetch_all(db)
        .await
        .map_err(failed("list regions"))?
        .into_iter()
        .map(|row| decode("regions", &row.name, &row.payload))
        .collect()
}

pub async fn put_region(db: Db<'_>, region: &Region) -> Result<()> {
    let name = region.name.as_str();
    let payload = encode("regions", name, region)?;
    sqlx::query!(
        "INSERT INTO regions (name, payload) VALUES (?, ?)
         ON CONFLICT (name) DO UPDATE SET payload = excluded.payload",
        name,
        payload
    )
    .execute(db)
    .await
    .map_err(failed("write a region"))?;
    Ok(())
}
