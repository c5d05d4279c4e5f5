//! What no Workflow could be made of is not gone: it is kept until it is sent again.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tenantry_e2e::argo::{ARGO, Argo, PARTS, requested};
use tenantry_e2e::{Needs, World, eventually, trial};

pub fn trials() -> Vec<Trial> {
    vec![trial(
        Needs::OwnCluster(PARTS),
        "an_event_that_no_workflow_could_be_made_of_is_kept_and_sent_again",
        kept,
    )]
}

fn kept(world: &World) -> Result<()> {
    let argo = Argo::install_with(world, "eu1", &["sensor.retries.steps=2"])?;
    let hook = argo.team("crm")?.hook("only").witness(0, "0");
    argo.apply(&[&hook])?;
    let rights = argo.cluster.get(&["role", "-n", ARGO, "tenantry-sensor"])?["rules"].clone();
    let mut fewer = rights.clone();
    fewer[0]["verbs"] = json!(["get"]);
    give(&argo, &fewer)?;

    let operation = uuid::Uuid::now_v7().to_string();
    let mut event = requested("lifecycle.upsert", &operation, &json!({}));
    event["data"]["priority"] = json!(5);
    ensure!(argo.send(&event)? == 200);
    let letter = eventually("the dead letter", || Ok(argo.dead_letters()?.into_iter().next()))?;
    ensure!(argo.workflows()?.is_empty(), "{:?}", argo.workflows()?);
    ensure!(serde_json::from_str::<Value>(&letter)? == event, "{letter}");
    let told = ["get", "configmaps", "-n", ARGO, "-l", "tenantry.io/dead-letter=requested", "-o", "name"];
    ensure!(argo.cluster.kubectl(&told)?.lines().count() == 1, "{}", argo.cluster.kubectl(&told)?);

    give(&argo, &rights)?;
    // Of what is no number Argo could read no Workflow.
    event["data"]["priority"] = json!("high");
    for body in [&event.to_string(), &letter] {
        ensure!(argo.post_with_token(&["Content-Type: application/cloudevents+json"], body)? == 200);
    }
    let name = format!("tenantry-{operation}");
    let workflow = argo.succeeded(&name)?;
    ensure!(workflow["spec"]["priority"] == 5, "{}", workflow["spec"]["priority"]);
    world.witness().check(&operation, &[("only", &[])])?;
    let refused = ["get", "configmaps", "-n", ARGO, "-l", "tenantry.io/dead-letter=refused", "-o", "name"];
    eventually("what is refused to be kept", || {
        Ok((argo.cluster.kubectl(&refused)?.lines().count() == 1).then_some(()))
    })?;
    // Whoever asks again has Argo look at it again.
    ensure!(argo.post_with_token(&["Content-Type: application/cloudevents+json"], &letter)? == 200);
    let mark = |workflow: &Value| workflow["metadata"]["annotations"]["tenantry.io/event"].clone();
    let before = mark(&workflow);
    ensure!(before.as_str().is_some_and(|id| !id.is_empty()), "{before}");
    eventually("a change of the Workflow", || {
        let now = argo.workflow(&name)?;
        ensure!(now["metadata"]["uid"] == workflow["metadata"]["uid"], "it was made anew");
        Ok((mark(&now) != before).then_some(()))
    })
}

/// What the Sensor may do.
fn give(argo: &Argo<'_>, rules: &Value) -> Result<()> {
    let patch = json!([{"op": "replace", "path": "/rules", "value": rules}]).to_string();
    argo.cluster
        .kubectl(&["patch", "role", "-n", ARGO, "tenantry-sensor", "--type=json", "-p", &patch])
        .map(drop)
}
