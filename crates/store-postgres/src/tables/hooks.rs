//! Hooks as their regions reported them, and the regions.

use super::{Db, Pair};
use crate::{
    codec::{decode, encode, page_size, paged},
    errors::failed,
};
use std::{cmp::Ordering, collections::BTreeSet};
use tenantry_model::{HookRef, OperationName, Page, Paged, Region, RegionName};
use tenantry_store::{HookRow, Result};

const TABLE: &str = "hooks";

pub async fn get(db: Db<'_>, hook: &HookRef) -> Result<Option<HookRow>> {
    one(db, hook, "SELECT payload FROM hooks WHERE region = $1 AND namespace = $2 AND name = $3").await
}

pub async fn lock(db: Db<'_>, hook: &HookRef) -> Result<Option<HookRow>> {
    one(db, hook, "SELECT payload FROM hooks WHERE region = $1 AND namespace = $2 AND name = $3 FOR UPDATE")
        .await
}

async fn one(db: Db<'_>, hook: &HookRef, sql: &'static str) -> Result<Option<HookRow>> {
    sqlx::query_scalar::<_, String>(sql)
        .bind(hook.region.as_str())
        .bind(hook.namespace.as_str())
        .bind(hook.name.as_str())
        .fetch_optional(db)
        .await
        .map_err(failed("read a hook"))?
        .map(|payload| decode(TABLE, hook, &payload))
        .transpose()
}

pub async fn of_region(db: Db<'_>, region: &RegionName) -> Result<Vec<HookRow>> {
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT namespace, name, payload FROM hooks WHERE region = $1 ORDER BY namespace, name",
    )
    .bind(region.as_str())
    .fetch_all(db)
    .await
    .map_err(failed("read a region's hooks"))?;
    rows.into_iter()
        .map(|(namespace, name, payload)| {
            decode(TABLE, format_args!("{region}/{namespace}/{name}"), &payload)
        })
        .collect()
}

pub async fn concerning(db: Db<'_>, region: &RegionName, operation: &OperationName) -> Result<Vec<HookRow>> {
    // One whose current version cannot be read may have a last good one of the operation, and would come twice.
    let rows: Vec<Pair> = sqlx::query_as(
        "SELECT h.region || '/' || h.namespace || '/' || h.name, h.payload FROM (
             SELECT DISTINCT namespace, name FROM hook_operations WHERE region = $1 AND operation IN ($2, '')
         ) o JOIN hooks h ON h.region = $1 AND h.namespace = o.namespace AND h.name = o.name
         ORDER BY h.namespace, h.name",
    )
    .bind(region.as_str())
    .bind(operation.as_str())
    .fetch_all(db)
    .await
    .map_err(failed("read an operation's hooks"))?;
    rows.into_iter().map(|(key, payload)| decode(TABLE, &key, &payload)).collect()
}

pub async fn among(db: Db<'_>, hooks: &BTreeSet<HookRef>) -> Result<Vec<HookRow>> {
    let part = |part: fn(&HookRef) -> &str| hooks.iter().map(part).collect::<Vec<_>>();
    let rows: Vec<Pair> = sqlx::query_as(
        "SELECT h.region || '/' || h.namespace || '/' || h.name, h.payload
         FROM unnest($1::text[], $2::text[], $3::text[]) AS k (region, namespace, name)
         JOIN hooks h ON h.region = k.region AND h.namespace = k.namespace AND h.name = k.name
         ORDER BY h.region, h.namespace, h.name",
    )
    .bind(part(|hook| hook.region.as_str()))
    .bind(part(|hook| hook.namespace.as_str()))
    .bind(part(|hook| hook.name.as_str()))
    .fetch_all(db)
    .await
    .map_err(failed("read hooks by name"))?;
    rows.into_iter().map(|(key, payload)| decode(TABLE, &key, &payload)).collect()
}

pub async fn list(db: Db<'_>, region: Option<&RegionName>, page: &Page) -> Result<Paged<HookRow>> {
    let (size, limit) = page_size(page);
    let mut after = page.after.as_deref().unwrap_or_default().splitn(3, '/');
    let mut part = || after.next().unwrap_or_default();
    let (r, n, h) = (part(), part(), part());
    let rows: Vec<Pair> = if let Some(region) = region {
        // A cursor of a region before this one begins at this one's start; of one after it, at its end.
        let (n, h) = match r.cmp(region.as_str()) {
            Ordering::Less => ("", ""),
            Ordering::Equal => (n, h),
            Ordering::Greater => return Ok(Paged { items: vec![], next: None }),
        };
        sqlx::query_as(
            "SELECT region || '/' || namespace || '/' || name, payload FROM hooks
             WHERE region = $1 AND (namespace, name) > ($2, $3) ORDER BY namespace, name LIMIT $4",
        )
        .bind(region.as_str())
        .bind(n)
        .bind(h)
        .bind(limit)
        .fetch_all(db)
        .await
    } else {
        sqlx::query_as(
            "SELECT region || '/' || namespace || '/' || name, payload FROM hooks
             WHERE (region, namespace, name) > ($1, $2, $3) ORDER BY region, namespace, name LIMIT $4",
        )
        .bind(r)
        .bind(n)
        .bind(h)
        .bind(limit)
        .fetch_all(db)
        .await
    }
    .map_err(failed("list hooks"))?;
    let rows = rows
        .into_iter()
        .map(|(key, payload)| decode(TABLE, &key, &payload).map(|hook| (key, hook)))
        .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn put(db: Db<'_>, row: &HookRow) -> Result<()> {
    let payload = encode(TABLE, &row.hook, row)?;
    sqlx::query(
        "INSERT INTO hooks (region, namespace, name, payload) VALUES ($1, $2, $3, $4)
         ON CONFLICT (region, namespace, name) DO UPDATE SET payload = excluded.payload",
    )
    .bind(row.hook.region.as_str())
    .bind(row.hook.namespace.as_str())
    .bind(row.hook.name.as_str())
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write a hook"))?;
    Ok(())
}

pub async fn region(db: Db<'_>, name: &RegionName) -> Result<Option<Region>> {
    sqlx::query_scalar::<_, String>("SELECT payload FROM regions WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(db)
        .await
        .map_err(failed("read a region"))?
        .map(|payload| decode("regions", name, &payload))
        .transpose()
}

pub async fn regions(db: Db<'_>) -> Result<Vec<Region>> {
    let rows: Vec<Pair> = sqlx::query_as("SELECT name, payload FROM regions ORDER BY name LIMIT 1000")
        .fetch_all(db)
        .await
        .map_err(failed("list regions"))?;
    rows.into_iter().map(|(name, payload)| decode("regions", &name, &payload)).collect()
}

pub async fn put_region(db: Db<'_>, region: &Region) -> Result<()> {
    let payload = encode("regions", &region.name, region)?;
    sqlx::query(
        "INSERT INTO regions (name, payload) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET payload = excluded.payload",
    )
    .bind(region.name.as_str())
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write a region"))?;
    Ok(())
}
