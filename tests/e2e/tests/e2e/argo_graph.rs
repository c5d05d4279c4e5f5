//! `order: graph` with a manager: the exact edges in a Workflow of their own, which is steered, ended and gone on with like one of
//! levels. The manager's events are binary ones here.

use crate::argo_managed::{Managed, REGION, paused};
use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use tenantry_e2e::argo::{Argo, PARTS};
use tenantry_e2e::{Needs, World, trial};
use tenantry_model::{OperationId, StepState};

pub fn trials() -> Vec<Trial> {
    vec![trial(Needs::OwnCluster(PARTS), "a_workflow_with_the_exact_edges_is_steered_while_it_runs", exact)]
}

const PRIORITY: i32 = -7;

fn exact(world: &World) -> Result<()> {
    let argo = Argo::install_with(world, REGION, &["order=graph", "workflow.priority=3"])?.binary();
    let webhook = argo.webhook().to_owned();
    let managed = Managed::sending_to(&webhook, argo, &[], &[])?;
    let team = &managed.team;
    let slow = team.hook("slow").gated_witness("0");
    let quick = team.hook("quick").witness(0, "0");
    // Of the second level, and does not wait for all of the first.
    let next = team.hook("next").witness(0, "first:3").after("quick");
    let held = team.hook("held").witness(0, "0").after("next");
    let last = team.hook("last").gated_witness("0").after("slow,held");
    managed.argo.apply(&[&slow, &quick, &next, &held, &last])?;
    prioritise(&managed)?;

    let id = managed.site.provision("prod", REGION)?;
    let first = graph(id, 1);
    managed.wait_for_start(id, &slow, 1)?;
    managed.op("hold", id, &held, &["--reason", "not yet"])?;
    managed.wait_for_state(id, &next, StepState::Failed)?;
    managed.wait_for_phase(&first, &next, "Running")?;
    managed.op("rerun", id, &next, &[])?;
    managed.wait_for_phase(&first, &next, "Succeeded")?;
    ensure!(managed.phase(&first, &slow) == "Running", "{}", managed.phase(&first, &slow));
    managed.wait_for_phase(&first, &held, "Running")?;
    ensure!(world.witness().starts(id, "held")? == 0, "it was held");
    marked(&managed, id)?;

    // What Argo counts as finished runs again in a graph of its own, beside what still runs.
    managed.op("rerun", id, &quick, &[])?;
    managed.wait_for_start(id, &quick, 2)?;
    managed.wait_for_phase(&graph(id, 2), &quick, "Succeeded")?;
    managed.op("confirm", id, &next, &["--reason", "what it made stands"])?;
    managed.op("release", id, &held, &[])?;
    managed.wait_for_state(id, &held, StepState::Succeeded)?;
    world.open(&["slow"])?;
    managed.wait_for_start(id, &last, 1)?;
    // The newer graph has the step; the older one's bridge of it only waits.
    managed.wait_for_phase(&graph(id, 2), &last, "Running")?;
    managed.argo.argo(&["terminate", &graph(id, 2)])?;
    paused(&managed, id)?;
    managed.site.cli(&["op", "resume", &id.to_string()])?.expect(0)?;
    managed.wait_for_phase(&graph(id, 3), &last, "Running")?;
    world.open(&["last"])?;
    managed.site.wait_succeeded(id)?;
    for name in [Managed::name(id, 3), graph(id, 3)] {
        managed.argo.succeeded(&name)?;
    }
    for (hook, times) in [(&slow, 1), (&quick, 2), (&next, 2), (&held, 1), (&last, 1)] {
        ensure!(world.witness().starts(id, hook.name())? == times, "{}", hook.path());
    }
    ensure!(managed.argo.dead_letters()?.is_empty(), "{:?}", managed.argo.dead_letters()?);
    managed.site.finish()
}

fn graph(id: OperationId, round: u32) -> String {
    format!("{}-graph", Managed::name(id, round))
}

/// Gives what the environment will run a priority of its own, as an administrator does.
fn prioritise(managed: &Managed<'_>) -> Result<()> {
    let shown = managed.site.cli(&["definition", "get", "lifecycle.upsert", "-o", "json"])?.expect(0)?.out;
    let shown: Value = serde_json::from_str(&shown)?;
    let mut definition = shown["definition"].clone();
    definition["priority"] = PRIORITY.into();
    let file = managed.world.folder().join("upsert.json");
    std::fs::write(&file, definition.to_string())?;
    managed.site.cli(&["definition", "apply", "-f", &file.display().to_string()])?.expect(0).map(drop)
}

/// Both Workflows have the operation's priority, and are found and left for the operation by the same marks.
fn marked(managed: &Managed<'_>, id: OperationId) -> Result<()> {
    let link = format!("({}/v1/operations/{id}): `tenantry op get {id}`", managed.site.url());
    for name in [Managed::name(id, 1), graph(id, 1)] {
        let workflow = managed.argo.workflow(&name)?;
        ensure!(workflow["spec"]["priority"] == PRIORITY, "{name}: {}", workflow["spec"]["priority"]);
        let back = &workflow["metadata"]["annotations"]["workflows.argoproj.io/description"];
        ensure!(back.as_str().is_some_and(|back| back.ends_with(&link)), "{name}: {back}");
    }
    let labels =
        "tenantry.io/tenant=acme,tenantry.io/environment=prod,tenantry.io/operation-name=lifecycle.upsert";
    let found = managed.argo.argo(&["list", "-l", labels, "-o", "name"])?;
    let mut found: Vec<&str> = found.split_whitespace().collect();
    found.sort_unstable();
    ensure!(found == [Managed::name(id, 1), graph(id, 1)], "{found:?}");
    Ok(())
}
