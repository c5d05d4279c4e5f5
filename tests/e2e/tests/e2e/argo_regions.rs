//! Two regions of Argo, each in a cluster of its own, are sent the same events: only the one that an event names acts, and
//! what comes past its Sensor all the same is refused by discovery and by bridges.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::sync::Arc;
use tenantry_e2e::argo::{Argo, PARTS, base64, bridges, made_by_hand, requested};
use tenantry_e2e::{Cluster, Needs, World, trial};

pub fn trials() -> Vec<Trial> {
    vec![trial(
        Needs::OwnCluster(PARTS),
        "of_two_clusters_that_get_the_same_event_only_the_region_that_it_names_acts",
        regions,
    )]
}

/// A hook of each region, which says where it runs.
const HOOKS: [&str; 2] = ["in-eu1", "in-us1"];

fn id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn regions(world: &World) -> Result<()> {
    let other = Arc::new(Cluster::up(&format!("p{}", world.tag), PARTS)?);
    let (eu, us) = (Argo::install_for(world, "eu1")?, Argo::install_in(world, other, "us1")?);
    for (argo, name) in [(&eu, HOOKS[0]), (&us, HOOKS[1])] {
        let team = argo.team("crm")?;
        argo.apply(&[&team.hook(name).witness(0, "0")])?;
    }
    // The environment of all of them lives in eu1.
    let (first, second, third) = (id(), id(), id());
    let of_eu = requested("lifecycle.upsert", &first, &json!({}));
    // As a manager says it, whose environments have hooks in more regions than their own.
    let mut of_us = requested("lifecycle.upsert", &second, &json!({}));
    of_us["data"]["region"] = json!("us1");
    let mut of_none = requested("lifecycle.upsert", &third, &json!({}));
    of_none["data"]["region"] = json!("ap1");
    // To each the foreign ones before its own: when that has run, the others were judged.
    for event in [&of_none, &of_us, &of_eu] {
        ensure!(eu.send(event)? == 200);
    }
    for event in [&of_none, &of_eu, &of_us] {
        ensure!(us.send_binary(event)? == 200);
    }
    let own = [(&eu, &first, HOOKS[0]), (&us, &second, HOOKS[1])];
    for (argo, operation, hook) in own {
        let name = format!("tenantry-{operation}");
        argo.succeeded(&name)?;
        ensure!(argo.workflows()? == [name], "{:?}", argo.workflows()?);
        world.witness().check(operation, &[(hook, &[])])?;
    }
    ensure!(world.witness().runs(&third)?.is_empty());

    past_the_sensor(&us, &of_eu)?;
    for (argo, operation, hook) in own {
        ensure!(world.witness().starts(operation, hook)? == 1, "{hook} ran again");
        // Another region's events are no dead letters: its own Sensor takes them.
        ensure!(argo.dead_letters()?.is_empty(), "{:?}", argo.dead_letters()?);
    }
    Ok(())
}

/// Workflows of us1 for what eu1 was asked: by the environment alone, by the event's word, and a bridge by itself.
fn past_the_sensor(us: &Argo<'_>, event: &Value) -> Result<()> {
    let environment = &event["data"]["environment"];
    let mut here = environment.clone();
    here["metadata"]["region"] = json!("us1");
    for (environment, region) in [(environment, ""), (&here, "eu1")] {
        for template in ["tenantry-operation", "tenantry-graph"] {
            let operation = id();
            let name = format!("tenantry-{operation}");
            refused(us, &name, &by_hand(&name, template, &operation, environment, region))?;
            ensure!(us.world.witness().runs(&operation)?.is_empty(), "it ran");
        }
    }
    let operation = id();
    let name = format!("tenantry-{operation}");
    let mut bridge = by_hand(&name, "tenantry-operation", &operation, environment, "eu1");
    bridge["spec"]["entrypoint"] = json!("bridge");
    let job = format!("crm-{}/{}", us.world.tag, HOOKS[1]);
    if let Some(parameters) = bridge["spec"]["arguments"]["parameters"].as_array_mut() {
        parameters.push(json!({"name": "job", "value": job}));
    }
    let workflow = refused(us, &name, &bridge)?;
    let found = bridges(&workflow);
    ensure!(found == [(job, "Failed".to_owned(), "125".to_owned(), "wrong-region".to_owned())], "{found:?}");
    ensure!(us.world.witness().runs(&operation)?.is_empty(), "it ran");
    Ok(())
}

fn by_hand(name: &str, template: &str, operation: &str, environment: &Value, region: &str) -> Value {
    let environment = base64(environment);
    let parameters = [
        ("operation", "lifecycle.upsert"),
        ("operation-id", operation),
        ("environment", &environment),
        ("region", region),
    ];
    made_by_hand(name, template, &parameters)
}

fn refused(argo: &Argo<'_>, name: &str, workflow: &Value) -> Result<Value> {
    argo.cluster.apply(std::slice::from_ref(workflow))?;
    let workflow = argo.ended(name)?;
    ensure!(workflow["status"]["phase"] == "Failed", "{}", workflow["status"]);
    let logs = argo.argo(&["logs", name, "--no-color"])?;
    ensure!(logs.contains("this is region us1, and region eu1 was asked"), "{logs}");
    Ok(workflow)
}
