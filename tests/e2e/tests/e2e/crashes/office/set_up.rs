//! Setting up: a region with its agent, a second person, what operations mean, tenants, and three environments.

use super::desk::{Desk, from};
use super::{REGION, TENANT, VARIABLE};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::collections::BTreeSet;
use tenantry_api_types::v1::{CreatedToken, PageQuery, RevokeToken};
use tenantry_client::Call;
use tenantry_e2e::{AgentSettings, Hook};
use tenantry_model::{
    EnvironmentId, EnvironmentState, GuardedVerb, OperationDefinition, OperationId, OperationState,
};

pub fn all(desk: &mut Desk, hooks: &[Hook], failpoints: &str) -> Result<()> {
    region(desk, hooks, failpoints)?;
    second_person(desk)?;
    schema(desk)?;
    definitions(desk)?;
    tenants(desk)?;
    let (prod, provisioned) = environment(desk, "prod")?;
    desk.prod = Some(prod);
    let (night, also) = environment(desk, "night")?;
    desk.night = Some(night);
    let (clock, too) = environment(desk, "clock")?;
    desk.clock = Some(clock);
    for id in [provisioned, also, too] {
        desk.until_ended(id, OperationState::Succeeded)?;
    }
    let etag = desk.ask(move |client| async move { client.environment(prod).await })?.etag;
    let body = from(json!({ "labels": {"tier": "gold"} }))?;
    let changed = desk.ask(move |client| async move {
        client.update_environment(prod, &body, &Call::if_match(etag)).await
    })?;
    desk.until_ended(changed.operation.context("an upsert")?.id, OperationState::Succeeded)
}

/// A region, and an agent that joins it: however often one of both ends meanwhile, with the one token.
fn region(desk: &mut Desk, hooks: &[Hook], failpoints: &str) -> Result<()> {
    let name = Desk::region()?;
    let body = from(json!({ "name": REGION }))?;
    desk.ask(move |client| async move { client.create_region(&body, &Call::default()).await })?;
    std::fs::create_dir_all(desk.folder.join("templates"))?;
    for hook in hooks {
        std::fs::write(desk.template(hook.name()), hook.manifest().to_string())?;
    }
    let settings = AgentSettings::process(&desk.folder.join("templates")).env(VARIABLE, failpoints);
    let token = secret(desk, |desk| {
        let name = name.clone();
        desk.try_to_ask(move |client| async move { client.create_join_token(&name, &Call::default()).await })
    })?;
    desk.site.join_region(REGION, settings, token.token)?;
    let paths: BTreeSet<String> = hooks.iter().map(Hook::path).collect();
    desk.until("the agent and its hooks", |desk| {
        let region = {
            let name = name.clone();
            desk.ask(move |client| async move { client.region(&name).await })?
        };
        let known = desk.ask(|client| async move { client.hooks(&from(json!({}))?).await })?.items;
        let ready = known.iter().filter(|hook| hook.state == tenantry_api_types::v1::HookState::Ready);
        let ready: BTreeSet<String> = ready.map(|hook| hook.hook.path().to_string()).collect();
        Ok((region.alive && region.inventory_complete && ready == paths).then_some(()))
    })
}

/// An answer that holds a secret cannot be given again: who did not hear it asks anew.
fn secret<T>(
    desk: &mut Desk,
    mut ask: impl FnMut(&mut Desk) -> Result<tenantry_client::Result<T>>,
) -> Result<T> {
    loop {
        match ask(desk)? {
            Err(error) if error.code() == Some("request-already-applied") => desk.unheard += 1,
            other => return Ok(other?),
        }
    }
}

fn second_person(desk: &mut Desk) -> Result<()> {
    let made: CreatedToken = secret(desk, |desk| {
        let body = from(json!({ "name": "second", "role": "admin", "scopes": ["all"] }))?;
        desk.try_to_ask(move |client| async move { client.create_token(&body, &Call::default()).await })
    })?;
    // One whose secret nobody heard is nobody's.
    let tokens = desk.ask(|client| async move { client.tokens(&PageQuery::default()).await })?.items;
    for lost in tokens.into_iter().filter(|token| token.name == "second" && token.id != made.token.id) {
        let body = RevokeToken { reason: Some("its secret was not heard".to_owned()) };
        desk.ask(move |client| async move { client.revoke_token(lost.id, &body, &Call::default()).await })?;
    }
    desk.second_person(&made.secret)
}

fn schema(desk: &mut Desk) -> Result<()> {
    let etag = desk.ask(|client| async move { client.platform_schema().await })?.etag;
    let schema = json!({ "type": "object" });
    desk.ask(move |client| async move { client.put_platform_schema(&schema, &Call::if_match(etag)).await })
        .map(drop)
}

fn definitions(desk: &mut Desk) -> Result<()> {
    let plain =
        |name: &str| -> Result<OperationDefinition> { Ok(OperationDefinition::undefined(name.parse()?)) };
    let mut work = plain("team.work")?;
    work.four_eyes = [GuardedVerb::Confirm].into();
    let mut night = plain("team.night")?;
    night.from_states = [EnvironmentState::Active].into();
    for mut definition in [work, night, plain("team.spare")?] {
        definition.built_in = false;
        desk.ask(move |client| async move { client.put_definition(&definition, &Call::default()).await })?;
    }
    let spare = "team.spare".parse()?;
    let etag = {
        let spare = std::clone::Clone::clone(&spare);
        desk.ask(move |client| async move { client.definition(&spare).await })?.etag
    };
    desk.ask(move |client| async move { client.delete_definition(&spare, &Call::if_match(etag)).await })
}

fn tenants(desk: &mut Desk) -> Result<()> {
    for name in [TENANT, "spare"] {
        let body = from(json!({ "name": name }))?;
        desk.ask(move |client| async move { client.create_tenant(&body, &Call::default()).await })?;
    }
    let name: tenantry_model::TenantName = "spare".parse()?;
    let etag = |desk: &mut Desk| -> Result<String> {
        let name = name.clone();
        Ok(desk.ask(move |client| async move { client.tenant(&name).await })?.etag)
    };
    let (call, tenant) = (Call::if_match(etag(desk)?), name.clone());
    let body = from(json!({ "displayName": "Not wanted" }))?;
    desk.ask(move |client| async move { client.update_tenant(&tenant, &body, &call).await })?;
    let (call, tenant) = (Call::if_match(etag(desk)?), name.clone());
    desk.ask(move |client| async move { client.delete_tenant(&tenant, &call).await })
}

/// Makes an environment; answers the operation that provisions it.
pub fn environment(desk: &mut Desk, name: &str) -> Result<(EnvironmentId, OperationId)> {
    let body = from(json!({ "tenant": TENANT, "name": name, "region": REGION }))?;
    let made =
        desk.ask(move |client| async move { client.create_environment(&body, &Call::default()).await })?;
    ensure!(made.environment.name.as_str() == name, "{made:?}");
    Ok((made.environment.id, made.operation.context("an upsert")?.id))
}
