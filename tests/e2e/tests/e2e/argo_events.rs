//! Events that come too early, again, and after their operation: with a manager nothing runs twice, and each Workflow that
//! an event makes says what became of it.

use crate::argo_managed::{Managed, REGION, paused};
use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tenantry_e2e::argo::{ARGO, Argo, PARTS, bridges, requested, webhook_at};
use tenantry_e2e::{Hook, Needs, Proxy, World, eventually, trial};
use tenantry_model::{OperationId, OperationState};

pub fn trials() -> Vec<Trial> {
    vec![trial(
        Needs::OwnCluster(PARTS),
        "events_that_come_early_again_or_too_late_run_nothing_twice",
        disorder,
    )]
}

/// What asks for a Workflow of an operation.
fn event(id: OperationId, round: u32) -> Value {
    let mut event = requested("lifecycle.upsert", &id.to_string(), &json!({}));
    event["data"]["round"] = json!(round);
    event["data"]["region"] = json!(REGION);
    event
}

fn disorder(world: &World) -> Result<()> {
    let argo = Argo::install_for(world, REGION)?;
    let way = Proxy::start(argo.address)?;
    let managed = Managed::sending_to(&webhook_at(way.address), argo, &[], &[])?;
    let first = managed.team.hook("first").gated_witness("0");
    let second = managed.team.hook("second").gated_witness("0").after("first");
    let hooks = [&first, &second];
    managed.argo.apply(&hooks)?;

    let whole = early_and_again(&managed, &way, hooks)?;
    after_its_end(&managed, whole, hooks)?;
    world.close(&["first", "second"])?;
    let resumed = beside_its_successor(&managed, hooks)?;
    world.close(&["first", "second"])?;
    let cancelled = after_a_cancel(&managed, &first)?;
    world.open(&["first", "second"])?;

    for (id, times) in [(whole, [1, 1]), (resumed, [1, 1]), (cancelled, [1, 0])] {
        for (hook, times) in hooks.into_iter().zip(times) {
            let starts = world.witness().starts(id, hook.name())?;
            ensure!(starts == times, "{} of {id} ran {starts} times", hook.path());
        }
    }
    let mut wanted = [Managed::name(whole, 1), Managed::name(whole, 2), Managed::name(resumed, 1)].to_vec();
    wanted.extend([Managed::name(resumed, 2), Managed::name(cancelled, 1)]);
    wanted.sort();
    ensure!(managed.argo.workflows()? == wanted, "{:?}", managed.argo.workflows()?);
    ensure!(managed.argo.dead_letters()?.is_empty(), "{:?}", managed.argo.dead_letters()?);
    managed.site.finish()
}

/// The event of a further Workflow comes before the first one's, of which nobody has asked for more; then the first one's comes
/// four times more.
fn early_and_again(managed: &Managed<'_>, way: &Proxy, hooks: [&Hook; 2]) -> Result<OperationId> {
    let (world, site, argo) = (managed.world, &managed.site, &managed.argo);
    site.expect_log("the event for a Workflow was not taken");
    // What the manager sends reaches nobody, until the other event has made its Workflow.
    way.cut();
    let id = site.provision("whole", REGION)?;
    ensure!(argo.send(&event(id, 2))? == 200);
    eventually("the early Workflow", || Ok(argo.workflow(&Managed::name(id, 2)).ok()))?;
    ensure!(argo.workflows()? == [Managed::name(id, 2)], "{:?}", argo.workflows()?);
    way.mend();

    let early = argo.ended(&Managed::name(id, 2))?;
    ensure!(early["status"]["phase"] == "Failed", "{}", early["status"]);
    let logs = argo.argo(&["logs", &Managed::name(id, 2), "--no-color"])?;
    ensure!(
        logs.contains("404") && logs.contains("nobody has asked the manager for this Workflow"),
        "{logs}"
    );

    managed.wait_for_start(id, hooks[0], 1)?;
    let uid = argo.workflow(&Managed::name(id, 1))?["metadata"]["uid"].clone();
    for _ in 0..3 {
        ensure!(argo.send(&event(id, 1))? == 200);
    }
    ensure!(argo.send_binary(&event(id, 1))? == 200);
    world.open(&["first", "second"])?;
    site.wait_succeeded(id)?;
    let workflow = argo.succeeded(&Managed::name(id, 1))?;
    ensure!(workflow["metadata"]["uid"] == uid, "it was made anew");
    ensure!(bridges(&workflow).len() == 2, "{:?}", bridges(&workflow));
    world.witness().check(id, &[("first", &[]), ("second", &["first"])])?;
    Ok(id)
}

/// Somebody has removed the Workflow (or its time has come), and the bus brings its event once more.
fn after_its_end(managed: &Managed<'_>, id: OperationId, hooks: [&Hook; 2]) -> Result<()> {
    let name = Managed::name(id, 1);
    remove(managed, &name)?;
    ensure!(managed.argo.send(&event(id, 1))? == 200);
    let workflow = managed.argo.succeeded(&name)?;
    ensure!(bridges(&workflow).is_empty(), "{:?}", bridges(&workflow));
    let logs = managed.argo.argo(&["logs", &name, "--no-color"])?;
    ensure!(logs.contains("nothing is to be run"), "{logs}");
    for hook in hooks {
        ensure!(managed.world.witness().starts(id, hook.name())? == 1, "{} ran again", hook.path());
    }
    Ok(())
}

/// The first Workflow was deleted, the second one runs, and the first one's event comes again: both have bridges of the same
/// steps.
fn beside_its_successor(managed: &Managed<'_>, hooks: [&Hook; 2]) -> Result<OperationId> {
    let [first, second] = hooks;
    let id = managed.site.provision("resumed", REGION)?;
    let (old, new) = (Managed::name(id, 1), Managed::name(id, 2));
    managed.wait_for_start(id, first, 1)?;
    remove(managed, &old)?;
    paused(managed, id)?;
    managed.site.cli(&["op", "resume", &id.to_string()])?.expect(0)?;
    managed.wait_for_phase(&new, first, "Running")?;
    managed.site.wait_for(id, "the attempt to be found", |operation| {
        let mut attempts = operation.steps.iter().flatten().flat_map(|step| &step.attempts);
        attempts.all(|attempt| attempt.unknown_since.is_none()).then_some(())
    })?;

    ensure!(managed.argo.send(&event(id, 1))? == 200);
    // Its bridge has lost the step to the newer Workflow's, and the next level's waits like any other.
    managed.wait_for_phase(&old, first, "Succeeded")?;
    managed.wait_for_phase(&old, second, "Running")?;
    ensure!(managed.phase(&new, first) == "Running");
    ensure!(managed.world.witness().starts(id, second.name())? == 0, "a dependency was jumped");
    managed.world.open(&["first", "second"])?;
    managed.site.wait_succeeded(id)?;
    for name in [&old, &new] {
        managed.argo.succeeded(name)?;
    }
    managed.world.witness().check(id, &[("first", &[]), ("second", &["first"])])?;
    Ok(id)
}

/// An operation that was cancelled is not run by an old event, and the Workflow says why it fails.
fn after_a_cancel(managed: &Managed<'_>, first: &Hook) -> Result<OperationId> {
    let id = managed.site.provision("cancelled", REGION)?;
    let name = Managed::name(id, 1);
    managed.wait_for_start(id, first, 1)?;
    managed.site.cli(&["op", "cancel", &id.to_string(), "--reason", "not wanted"])?.expect(0)?;
    let ended = managed.site.wait_done(id)?;
    ensure!(ended.state == OperationState::Cancelled, "{ended:?}");
    managed.argo.ended(&name)?;
    remove(managed, &name)?;
    ensure!(managed.argo.send(&event(id, 1))? == 200);
    let workflow = managed.argo.ended(&name)?;
    ensure!(workflow["status"]["phase"] == "Failed", "{}", workflow["status"]);
    let logs = managed.argo.argo(&["logs", &name, "--no-color"])?;
    ensure!(logs.contains("the operation is over and has not succeeded"), "{logs}");
    Ok(id)
}

/// With its Pods: those of the next Workflow of this name have the same names.
fn remove(managed: &Managed<'_>, name: &str) -> Result<()> {
    let cluster = managed.world.cluster()?;
    cluster.kubectl(&["delete", "workflow", "-n", ARGO, name])?;
    let pods = format!("workflows.argoproj.io/workflow={name}");
    eventually(format!("the end of the Pods of {name}"), || {
        let left = cluster.kubectl(&["get", "pods", "-n", ARGO, "-l", &pods, "-o", "name"])?;
        Ok(left.trim().is_empty().then_some(()))
    })
}
