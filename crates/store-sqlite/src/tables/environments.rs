//! Environments, their aliases, generations, and what hooks have applied.

use super::Db;
use crate::{
    codec::{decode, encode, from_position, page_size, paged, position, word},
    errors::{failed, taken},
    keys::{arms, keys},
};
use serde_json::Value;
use std::collections::BTreeSet;
use tenantry_model::{
    Alias, AppliedHook, Environment, EnvironmentId, EnvironmentName, EnvironmentState, HookRef, Page, Paged,
    TenantName,
};
pub use tenantry_store::narrow::environments::{conditions, list_for, scope_columns};
use tenantry_store::{EnvironmentFilter, Result, StoreError};

const TABLE: &str = "environments";

struct Row {
    id: String,
    payload: String,
    version: i64,
}

impl Row {
    fn environment(self) -> Result<Environment> {
        let environment = decode(TABLE, &self.id, &self.payload)?;
        Ok(Environment { version: from_position(self.version), ..environment })
    }
}

pub async fn get(db: Db<'_>, id: EnvironmentId) -> Result<Option<Environment>> {
    let id = id.to_string();
    sqlx::query_as!(
        Row,
        "SELECT id, payload, version FROM environments JOIN versions ON environment = id WHERE id = ?",
        id
    )
    .fetch_optional(db)
    .await
    .map_err(failed("read an environment"))?
    .map(Row::environment)
    .transpose()
}

pub async fn by_name(db: Db<'_>, tenant: &TenantName, name: &EnvironmentName) -> Result<Option<Environment>> {
    let (tenant, name) = (tenant.as_str(), name.as_str());
    sqlx::query_as!(
        Row,
        "SELECT id, payload, version FROM environments JOIN versions ON environment = id
         WHERE tenant = ? AND name = ? AND state <> 'purged'",
        tenant,
        name
    )
    .fetch_optional(db)
    .await
    .map_err(failed("read an environment by its name"))?
    .map(Row::environment)
    .transpose()
}

pub async fn by_alias(db: Db<'_>, alias: &Alias) -> Result<Option<Environment>> {
    let alias = alias.as_str();
    sqlx::query_as!(
        Row,
        "SELECT e.id, e.payload, v.version
         FROM aliases a JOIN environments e ON e.id = a.environment JOIN versions v ON v.environment = e.id
         WHERE a.alias = ?",
        alias
    )
    .fetch_optional(db)
    .await
    .map_err(failed("read an environment by its alias"))?
    .map(Row::environment)
    .transpose()
}

pub async fn list(db: Db<'_>, filter: &EnvironmentFilter, page: &Page) -> Result<Paged<Environment>> {
    let (size, limit) = page_size(page);
    let arms = arms(&conditions(filter), filter.scopes.as_deref(), scope_columns);
    let keys = keys(&mut *db, list_for(filter), &arms, page, limit).await?;
    let rows = sqlx::query_as!(
        Row,
        "SELECT e.id, e.payload, v.version
         FROM json_each(?) k JOIN environments e ON e.id = k.value JOIN versions v ON v.environment = e.id
         ORDER BY e.id",
        keys
    )
    .fetch_all(db)
    .await
    .map_err(failed("list environments"))?
    .into_iter()
    .map(|row| Ok((row.id.clone(), row.environment()?)))
    .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn put(db: Db<'_>, environment: &Environment) -> Result<()> {
    let id = environment.id.to_string();
    let purged = environment.state == EnvironmentState::Purged;
    let wanted: BTreeSet<&str> =
        if purged { BTreeSet::new() } else { environment.aliases.iter().map(Alias::as_str).collect() };
    let present = aliases(&mut *db, &id).await?;
    // All look-ups before the first write, so that a refusal leaves nothing half done in the caller's transaction;
    // nobody else writes between them and the writes.
    for alias in wanted.iter().filter(|alias| !present.contains(**alias)) {
        refuse_taken_alias(&mut *db, alias).await?;
    }
    let before = sqlx::query_scalar!("SELECT region FROM environments WHERE id = ?", id)
        .fetch_optional(&mut *db)
        .await
        .map_err(failed("read an environment"))?;
    put_row(&mut *db, &id, environment).await?;
    put_version(&mut *db, &id, environment.version).await?;
    if before.is_some_and(|region| region != environment.region.as_str()) {
        follow_region(&mut *db, &id, environment.region.as_str()).await?;
    }
    for alias in present.iter().filter(|alias| !wanted.contains(alias.as_str())) {
        sqlx::query!("DELETE FROM aliases WHERE alias = ?", alias)
            .execute(&mut *db)
            .await
            .map_err(failed("delete an alias"))?;
    }
    for alias in wanted.into_iter().filter(|alias| !present.contains(*alias)) {
        sqlx::query!("INSERT INTO aliases (alias, environment) VALUES (?, ?)", alias, id)
            .execute(&mut *db)
            .await
            .map_err(taken("write an alias", || format!("alias {alias}")))?;
    }
    Ok(())
}

async fn put_row(db: Db<'_>, id: &str, environment: &Environment) -> Result<()> {
    let (tenant, name) = (environment.tenant.as_str(), environment.name.as_str());
    let (region, state) = (environment.region.as_str(), word(&environment.state));
    let payload = encode(TABLE, id, environment)?;
    sqlx::query!(
        "INSERT INTO environments (id, tenant, name, region, state, payload) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET tenant = excluded.tenant, name = excluded.name, region = excluded.region,
             state = excluded.state, payload = excluded.payload",
        id,
        tenant,
        name,
        region,
        state,
        payload
    )
    .execute(db)
    .await
    .map_err(taken("write an environment", || format!("environment name {tenant}/{name}")))?;
    Ok(())
}

async fn put_version(db: Db<'_>, id: &str, version: u64) -> Result<()> {
    let version = position(version);
    sqlx::query!(
        "INSERT INTO versions (environment, version) VALUES (?, ?)
         ON CONFLICT (environment) DO UPDATE SET version = excluded.version",
        id,
        version
    )
    .execute(db)
    .await
    .map_err(failed("write an environment's version"))?;
    Ok(())
}

pub async fn raise_version(db: Db<'_>, environment: &Environment) -> Result<u64> {
    let raised = environment.version.saturating_add(1);
    put_version(db, &environment.id.to_string(), raised).await?;
    Ok(raised)
}

async fn aliases(db: Db<'_>, id: &str) -> Result<BTreeSet<String>> {
    sqlx::query_scalar!("SELECT alias FROM aliases WHERE environment = ?", id)
        .fetch_all(db)
        .await
        .map(|aliases| aliases.into_iter().collect())
        .map_err(failed("read aliases"))
}

async fn refuse_taken_alias(db: Db<'_>, alias: &str) -> Result<()> {
    let holder = sqlx::query_scalar!("SELECT environment FROM aliases WHERE alias = ?", alias)
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
    sqlx::query!("UPDATE operations SET region = ? WHERE environment = ?", region, id)
        .execute(&mut *db)
        .await
        .map_err(failed("move an environment's operations"))?;
    sqlx::query!("UPDATE approvals SET region = ? WHERE environment = ?", region, id)
        .execute(&mut *db)
        .await
        .map_err(failed("move an environment's approvals"))?;
    sqlx::query!("UPDATE attentions SET home = ? WHERE environment = ?", region, id)
        .execute(&mut *db)
        .await
        .map_err(failed("move an environment's attentions"))?;
    Ok(())
}

pub async fn generation(db: Db<'_>, id: EnvironmentId, generation: u64) -> Result<Option<Value>> {
    let id = id.to_string();
    let number = position(generation);
    sqlx::query_scalar!(
        "SELECT payload FROM generations WHERE environment = ? AND generation = ?",
        id,
        number
    )
    .fetch_optional(db)
    .await
    .map_err(failed("read a generation"))?
    .map(|payload| decode("generations", format_args!("{id}/{generation}"), &payload))
    .transpose()
}

pub async fn put_generation(db: Db<'_>, id: EnvironmentId, generation: u64, view: &Value) -> Result<()> {
    let id = id.to_string();
    let payload = encode("generations", format_args!("{id}/{generation}"), view)?;
    let generation = position(generation);
    sqlx::query!(
        "INSERT INTO generations (environment, generation, payload) VALUES (?, ?, ?)
         ON CONFLICT (environment, generation) DO UPDATE SET payload = excluded.payload",
        id,
        generation,
        payload
    )
    .execute(db)
    .await
    .map_err(failed("write a generation"))?;
    Ok(())
}

pub async fn applied(db: Db<'_>, id: EnvironmentId) -> Result<Vec<AppliedHook>> {
    let id = id.to_string();
    let rows = sqlx::query!("SELECT hook, payload FROM applied WHERE environment = ?", id)
        .fetch_all(db)
        .await
        .map_err(failed("read what hooks have applied"))?;
    let mut rows = rows
        .into_iter()
        .map(|row| decode("applied", format_args!("{id}/{}", row.hook), &row.payload))
        .collect::<Result<Vec<AppliedHook>>>()?;
    // By region, namespace, name: the text does not sort so ('-' comes before '/').
    rows.sort_by(|a, b| a.hook.cmp(&b.hook));
    Ok(rows)
}

pub async fn applied_hook(db: Db<'_>, id: EnvironmentId, hook: &HookRef) -> Result<Option<AppliedHook>> {
    let (id, hook) = (id.to_string(), hook.to_string());
    sqlx::query_scalar!("SELECT payload FROM applied WHERE environment = ? AND hook = ?", id, hook)
        .fetch_optional(db)
        .await
        .map_err(failed("read what a hook has applied"))?
        .map(|payload| decode("applied", format_args!("{id}/{hook}"), &payload))
        .transpose()
}

pub async fn put_applied(db: Db<'_>, id: EnvironmentId, applied: &AppliedHook) -> Result<()> {
    let id = id.to_string();
    let hook = applied.hook.to_string();
    let payload = encode("applied", format_args!("{id}/{hook}"), applied)?;
    sqlx::query!(
        "INSERT INTO applied (environment, hook, payload) VALUES (?, ?, ?)
         ON CONFLICT (environment, hook) DO UPDATE SET payload = excluded.payload",
        id,
        hook,
        payload
    )
    .execute(db)
    .await
    .map_err(failed("write what a hook has applied"))?;
    Ok(())
}

pub async fn forget(db: Db<'_>, id: EnvironmentId) -> Result<()> {
    let id = id.to_string();
    sqlx::query!("DELETE FROM generations WHERE environment = ?", id)
        .execute(&mut *db)
        .await
        .map_err(failed("remove an environment's generations"))?;
    sqlx::query!("DELETE FROM applied WHERE environment = ?", id)
        .execute(&mut *db)
        .await
        .map_err(failed("remove what hooks have applied"))?;
    Ok(())
}
