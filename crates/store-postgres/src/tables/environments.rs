//! Environments, their aliases, generations, and what hooks have applied.

use super::{Db, Pair};
use crate::{
    codec::{decode, encode, from_position, page_size, paged, position, word},
    errors::failed,
    keys::{arms, keys},
};
use serde_json::Value;
use std::collections::BTreeSet;
use tenantry_model::{
    Alias, AppliedHook, Environment, EnvironmentId, EnvironmentName, EnvironmentState, HookRef, OperationId,
    Page, Paged, TenantName,
};
use tenantry_store::narrow::environments::{conditions, list_for, scope_columns};
use tenantry_store::{EnvironmentFilter, Result, StoreError};

const TABLE: &str = "environments";

/// Id, payload, version.
type Row = (String, String, i64);

fn read((id, payload, version): Row) -> Result<Environment> {
    let environment = decode(TABLE, &id, &payload)?;
    Ok(Environment { version: from_position(version), ..environment })
}

pub async fn get(db: Db<'_>, id: EnvironmentId) -> Result<Option<Environment>> {
    sqlx::query_as::<_, Row>(
        "SELECT id, payload, version FROM environments JOIN versions ON environment = id WHERE id = $1",
    )
    .bind(id.to_string())
    .fetch_optional(db)
    .await
    .map_err(failed("read an environment"))?
    .map(read)
    .transpose()
}

/// Waits until nobody else holds it. What comes back is the newest there is: a statement that has waited for a row reads
/// that row again, and both rows are locked, always in this order.
pub async fn lock(db: Db<'_>, id: EnvironmentId) -> Result<Option<Environment>> {
    // Not FOR UPDATE: rows of other tables may be written that refer to it.
    sqlx::query_as::<_, Row>(
        "SELECT e.id, e.payload, v.version FROM environments e JOIN versions v ON v.environment = e.id WHERE e.id = $1
         FOR NO KEY UPDATE OF e, v",
    )
    .bind(id.to_string())
    .fetch_optional(db)
    .await
    .map_err(failed("lock an environment"))?
    .map(read)
    .transpose()
}

/// The same. An operation never moves to another environment.
pub async fn lock_of(db: Db<'_>, operation: OperationId) -> Result<Option<Environment>> {
    sqlx::query_as::<_, Row>(
        "SELECT e.id, e.payload, v.version
         FROM operations o JOIN environments e ON e.id = o.environment JOIN versions v ON v.environment = e.id
         WHERE o.id = $1 FOR NO KEY UPDATE OF e, v",
    )
    .bind(operation.to_string())
    .fetch_optional(db)
    .await
    .map_err(failed("lock an operation's environment"))?
    .map(read)
    .transpose()
}

pub async fn by_name(db: Db<'_>, tenant: &TenantName, name: &EnvironmentName) -> Result<Option<Environment>> {
    sqlx::query_as::<_, Row>(
        "SELECT id, payload, version FROM environments JOIN versions ON environment = id
         WHERE tenant = $1 AND name = $2 AND state <> 'purged'",
    )
    .bind(tenant.as_str())
    .bind(name.as_str())
    .fetch_optional(db)
    .await
    .map_err(failed("read an environment by its name"))?
    .map(read)
    .transpose()
}

pub async fn by_alias(db: Db<'_>, alias: &Alias) -> Result<Option<Environment>> {
    sqlx::query_as::<_, Row>(
        "SELECT e.id, e.payload, v.version
         FROM aliases a JOIN environments e ON e.id = a.environment JOIN versions v ON v.environment = e.id
         WHERE a.alias = $1",
    )
    .bind(alias.as_str())
    .fetch_optional(db)
    .await
    .map_err(failed("read an environment by its alias"))?
    .map(read)
    .transpose()
}

pub async fn list(db: Db<'_>, filter: &EnvironmentFilter, page: &Page) -> Result<Paged<Environment>> {
    let (size, limit) = page_size(page);
    let arms = arms(&conditions(filter), filter.scopes.as_deref(), scope_columns);
    let keys = keys(&mut *db, list_for(filter), &arms, page, limit).await?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT e.id, e.payload, v.version FROM environments e JOIN versions v ON v.environment = e.id
         WHERE e.id = ANY($1) ORDER BY e.id",
    )
    .bind(keys)
    .fetch_all(db)
    .await
    .map_err(failed("list environments"))?;
    let rows = rows.into_iter().map(|row| Ok((row.0.clone(), read(row)?))).collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn put(db: Db<'_>, environment: &Environment) -> Result<()> {
    let id = environment.id.to_string();
    let purged = environment.state == EnvironmentState::Purged;
    let wanted: BTreeSet<&str> =
        if purged { BTreeSet::new() } else { environment.aliases.iter().map(Alias::as_str).collect() };
    let present = aliases(&mut *db, &id).await?;
    // All look-ups before the first write, so that a refusal leaves nothing half done in the caller's transaction, and
    // the transaction goes on (a broken unique rule would end it).
    if !purged {
        refuse_taken_name(&mut *db, &id, environment).await?;
    }
    for alias in wanted.iter().filter(|alias| !present.contains(**alias)) {
        refuse_taken_alias(&mut *db, alias).await?;
    }
    let before: Option<String> = sqlx::query_scalar("SELECT region FROM environments WHERE id = $1")
        .bind(&id)
        .fetch_optional(&mut *db)
        .await
        .map_err(failed("read an environment"))?;
    put_row(&mut *db, &id, environment).await?;
    put_version(&mut *db, &id, environment.version).await?;
    if before.is_some_and(|region| region != environment.region.as_str()) {
        follow_region(&mut *db, &id, environment.region.as_str()).await?;
    }
    for alias in present.iter().filter(|alias| !wanted.contains(alias.as_str())) {
        sqlx::query("DELETE FROM aliases WHERE alias = $1")
            .bind(alias)
            .execute(&mut *db)
            .await
            .map_err(failed("delete an alias"))?;
    }
    for alias in wanted.into_iter().filter(|alias| !present.contains(*alias)) {
        sqlx::query("INSERT INTO aliases (alias, environment) VALUES ($1, $2)")
            .bind(alias)
            .bind(&id)
            .execute(&mut *db)
            .await
            .map_err(failed("write an alias"))?;
    }
    Ok(())
}

async fn refuse_taken_name(db: Db<'_>, id: &str, environment: &Environment) -> Result<()> {
    let (tenant, name) = (environment.tenant.as_str(), environment.name.as_str());
    let holder: Option<String> = sqlx::query_scalar(
        "SELECT id FROM environments WHERE tenant = $1 AND name = $2 AND state <> 'purged' AND id <> $3",
    )
    .bind(tenant)
    .bind(name)
    .bind(id)
    .fetch_optional(db)
    .await
    .map_err(failed("read an environment's name"))?;
    match holder {
        Some(_) => Err(StoreError::Duplicate(format!("environment name {tenant}/{name}"))),
        None => Ok(()),
    }
}

async fn put_row(db: Db<'_>, id: &str, environment: &Environment) -> Result<()> {
    let payload = encode(TABLE, id, environment)?;
    sqlx::query(
        "INSERT INTO environments (id, tenant, name, region, state, payload) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO UPDATE SET tenant = excluded.tenant, name = excluded.name, region = excluded.region,
             state = excluded.state, payload = excluded.payload",
    )
    .bind(id)
    .bind(environment.tenant.as_str())
    .bind(environment.name.as_str())
    .bind(environment.region.as_str())
    .bind(word(&environment.state))
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write an environment"))?;
    Ok(())
}

pub async fn put_version(db: Db<'_>, id: &str, version: u64) -> Result<()> {
    sqlx::query(
        "INSERT INTO versions (environment, version) VALUES ($1, $2)
         ON CONFLICT (environment) DO UPDATE SET version = excluded.version",
    )
    .bind(id)
    .bind(position(version))
    .execute(db)
    .await
    .map_err(failed("write an environment's version"))?;
    Ok(())
}

async fn aliases(db: Db<'_>, id: &str) -> Result<BTreeSet<String>> {
    sqlx::query_scalar::<_, String>("SELECT alias FROM aliases WHERE environment = $1")
        .bind(id)
        .fetch_all(db)
        .await
        .map(|aliases| aliases.into_iter().collect())
        .map_err(failed("read aliases"))
}

async fn refuse_taken_alias(db: Db<'_>, alias: &str) -> Result<()> {
    let holder: Option<String> = sqlx::query_scalar("SELECT environment FROM aliases WHERE alias = $1")
        .bind(alias)
        .fetch_optional(db)
        .await
        .map_err(failed("read an alias"))?;
    match holder {
        Some(_) => Err(StoreError::Duplicate(format!("alias {alias}"))),
        None => Ok(()),
    }
}

/// Lists that a region's scope narrows look at the environment's present region.
async fn follow_region(db: Db<'_>, id: &str, region: &str) -> Result<()> {
    sqlx::query("UPDATE operations SET region = $1 WHERE environment = $2")
        .bind(region)
        .bind(id)
        .execute(&mut *db)
        .await
        .map_err(failed("move an environment's operations"))?;
    sqlx::query("UPDATE approvals SET region = $1 WHERE environment = $2")
        .bind(region)
        .bind(id)
        .execute(&mut *db)
        .await
        .map_err(failed("move an environment's approvals"))?;
    sqlx::query("UPDATE attentions SET home = $1 WHERE environment = $2")
        .bind(region)
        .bind(id)
        .execute(&mut *db)
        .await
        .map_err(failed("move an environment's attentions"))?;
    Ok(())
}

pub async fn generation(db: Db<'_>, id: EnvironmentId, generation: u64) -> Result<Option<Value>> {
    sqlx::query_scalar::<_, String>(
        "SELECT payload FROM generations WHERE environment = $1 AND generation = $2",
    )
    .bind(id.to_string())
    .bind(position(generation))
    .fetch_optional(db)
    .await
    .map_err(failed("read a generation"))?
    .map(|payload| decode("generations", format_args!("{id}/{generation}"), &payload))
    .transpose()
}

pub async fn put_generation(db: Db<'_>, id: EnvironmentId, generation: u64, view: &Value) -> Result<()> {
    let payload = encode("generations", format_args!("{id}/{generation}"), view)?;
    sqlx::query(
        "INSERT INTO generations (environment, generation, payload) VALUES ($1, $2, $3)
         ON CONFLICT (environment, generation) DO UPDATE SET payload = excluded.payload",
    )
    .bind(id.to_string())
    .bind(position(generation))
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write a generation"))?;
    Ok(())
}

pub async fn applied(db: Db<'_>, id: EnvironmentId) -> Result<Vec<AppliedHook>> {
    let rows: Vec<Pair> = sqlx::query_as("SELECT hook, payload FROM applied WHERE environment = $1")
        .bind(id.to_string())
        .fetch_all(db)
        .await
        .map_err(failed("read what hooks have applied"))?;
    let mut rows = rows
        .into_iter()
        .map(|(hook, payload)| decode("applied", format_args!("{id}/{hook}"), &payload))
        .collect::<Result<Vec<AppliedHook>>>()?;
    // By region, namespace, name: the text does not sort so ('-' comes before '/').
    rows.sort_by(|a, b| a.hook.cmp(&b.hook));
    Ok(rows)
}

pub async fn applied_hook(db: Db<'_>, id: EnvironmentId, hook: &HookRef) -> Result<Option<AppliedHook>> {
    sqlx::query_scalar::<_, String>("SELECT payload FROM applied WHERE environment = $1 AND hook = $2")
        .bind(id.to_string())
        .bind(hook.to_string())
        .fetch_optional(db)
        .await
        .map_err(failed("read what a hook has applied"))?
        .map(|payload| decode("applied", format_args!("{id}/{hook}"), &payload))
        .transpose()
}

pub async fn applied_hooks(db: Db<'_>, id: EnvironmentId, hooks: &[HookRef]) -> Result<Vec<AppliedHook>> {
    let hooks: Vec<String> = hooks.iter().map(ToString::to_string).collect();
    let rows: Vec<Pair> =
        sqlx::query_as("SELECT hook, payload FROM applied WHERE environment = $1 AND hook = ANY($2)")
            .bind(id.to_string())
            .bind(hooks)
            .fetch_all(db)
            .await
            .map_err(failed("read what hooks have applied"))?;
    rows.into_iter().map(|(hook, payload)| decode("applied", format_args!("{id}/{hook}"), &payload)).collect()
}

pub async fn put_applied(db: Db<'_>, id: EnvironmentId, applied: &AppliedHook) -> Result<()> {
    let payload = encode("applied", format_args!("{id}/{}", applied.hook), applied)?;
    sqlx::query(
        "INSERT INTO applied (environment, hook, payload) VALUES ($1, $2, $3)
         ON CONFLICT (environment, hook) DO UPDATE SET payload = excluded.payload",
    )
    .bind(id.to_string())
    .bind(applied.hook.to_string())
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write what a hook has applied"))?;
    Ok(())
}

pub async fn forget(db: Db<'_>, id: EnvironmentId) -> Result<()> {
    let id = id.to_string();
    sqlx::query("DELETE FROM generations WHERE environment = $1")
        .bind(&id)
        .execute(&mut *db)
        .await
        .map_err(failed("remove an environment's generations"))?;
    sqlx::query("DELETE FROM applied WHERE environment = $1")
        .bind(&id)
        .execute(&mut *db)
        .await
        .map_err(failed("remove what hooks have applied"))?;
    Ok(())
}
