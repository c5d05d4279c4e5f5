//! Verbs that need a second person: rejected, approved, too late; and purges, before and after they need one.

use super::desk::{Desk, from};
use super::{TENANT, set_up};
use anyhow::{Context, Result, bail};
use serde_json::json;
use tenantry_api_types::v1::ApprovalsQuery;
use tenantry_client::{Call, OperationVerb, Purge, Steered, StepVerb};
use tenantry_model::{
    ApprovalId, ApprovalState, EnvironmentId, GuardedVerb, OperationId, OperationName, OperationState,
};

pub fn all(desk: &mut Desk) -> Result<()> {
    let prod = desk.prod()?;
    let id = killed(desk)?;
    let asked = confirm(desk, id)?;
    let body = from(json!({ "reason": "look again" }))?;
    desk.ask_as_second(move |client| async move { client.reject(asked, &body, &Call::default()).await })?;
    let asked = confirm(desk, id)?;
    let body = from(json!({ "reason": "seen" }))?;
    desk.ask_as_second(move |client| async move { client.approve(asked, &body, &Call::default()).await })?;
    desk.until_ended(id, OperationState::Succeeded)?;

    // Nobody decides, and then there is nothing left to decide.
    let id = killed(desk)?;
    let asked = confirm(desk, id)?;
    desk.steer_operation(id, OperationVerb::Cancel(from(json!({ "reason": "not today" }))?))?;
    desk.until_ended(id, OperationState::Cancelled)?;
    desk.until("the end of the approval", |desk| {
        let query = ApprovalsQuery { environment: Some(prod), decided: true, ..ApprovalsQuery::default() };
        let all = desk.ask(move |client| async move { client.approvals(&query).await })?.items;
        let it = all.iter().find(|approval| approval.id == asked).context("the approval")?;
        Ok((it.state == ApprovalState::Expired).then_some(()))
    })?;

    let alone = decommissioned(desk, "alone")?;
    if let Purge::Pending(approval) = purge(desk, alone, "alone")? {
        bail!("nobody wanted a second person: {approval:?}");
    }
    let both = decommissioned(desk, "both")?;
    super::schedules::of_what_is_no_more(desk, both)?;
    guard_purges(desk)?;
    let Purge::Pending(approval) = purge(desk, both, "both")? else {
        bail!("purged without a second person")
    };
    let (id, body) = (approval.id, from(json!({ "reason": "the contract has ended" }))?);
    desk.ask_as_second(move |client| async move { client.approve(id, &body, &Call::default()).await })
        .map(drop)
}

/// An operation whose first step waits, since its attempt was killed.
fn killed(desk: &mut Desk) -> Result<OperationId> {
    let prod = desk.prod()?;
    let id = desk.run(prod, "team.work")?;
    desk.until_running(id, "slow", 1)?;
    desk.steer(id, "slow", StepVerb::Kill(from(json!({}))?))?;
    desk.until_waiting(id, "slow")?;
    Ok(id)
}

fn confirm(desk: &mut Desk, id: OperationId) -> Result<ApprovalId> {
    match desk.steer(id, "slow", StepVerb::Confirm(from(json!({}))?))? {
        Steered::Pending(approval) => Ok(approval.id),
        other => bail!("confirmed without a second person: {other:?}"),
    }
}

fn decommissioned(desk: &mut Desk, name: &str) -> Result<EnvironmentId> {
    let (environment, provisioned) = set_up::environment(desk, name)?;
    desk.until_ended(provisioned, OperationState::Succeeded)?;
    let body = from(json!({ "reason": "the contract has ended" }))?;
    let ending = desk
        .ask(move |client| async move { client.decommission(environment, &body, &Call::default()).await })?;
    desk.until_ended(ending.operation.context("an operation")?.id, OperationState::Succeeded)?;
    Ok(environment)
}

fn purge(desk: &mut Desk, environment: EnvironmentId, name: &str) -> Result<Purge> {
    let etag = desk.ask(move |client| async move { client.environment(environment).await })?.etag;
    let body = from(json!({ "name": name, "reason": "nothing may stay", "beforeRetentionEnds": true }))?;
    desk.ask(move |client| async move { client.purge(environment, &body, &Call::if_match(etag)).await })
        .with_context(|| format!("purge {TENANT}/{name}"))
}

/// From now on a purge needs a second person.
fn guard_purges(desk: &mut Desk) -> Result<()> {
    let name: OperationName = "lifecycle.decommission".parse()?;
    let present = desk.ask(move |client| async move { client.definition(&name).await })?;
    let mut definition = present.definition;
    definition.built_in = false;
    definition.four_eyes = [GuardedVerb::Purge].into();
    let call = Call::if_match(present.etag);
    desk.ask(move |client| async move { client.put_definition(&definition, &call).await }).map(drop)
}
