//! A kubelet that falls silent and comes back: unknown, then known; no second run unless somebody asks for one.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use std::time::Duration;
use tenantry_client::StepVerb;
use tenantry_e2e::{AgentSettings, Needs, Site, World, trial, within};
use tenantry_model::{FailureReason, OperationId};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            Needs::OwnCluster(&["--node-monitor-grace-period", "8s", "--pod-eviction", "600s"]),
            "a_kubelet_that_comes_back_before_the_eviction_tells_what_happened",
            |world| silent_kubelet(world, false),
        ),
        trial(
            Needs::OwnCluster(&["--node-monitor-grace-period", "8s", "--pod-eviction", "3s"]),
            "a_kubelet_that_comes_back_after_the_eviction_tells_what_happened",
            |world| silent_kubelet(world, true),
        ),
        trial(
            Needs::OwnCluster(&["--node-monitor-grace-period", "8s", "--pod-eviction", "3s"]),
            "an_attempt_on_a_silent_node_is_declared_lost_and_run_again_only_by_a_person",
            declared_lost,
        ),
    ]
}

fn start(world: &World, seconds: u32) -> Result<(Site, OperationId, String)> {
    let cluster = world.cluster()?;
    let team = world.team("team")?;
    let hooks = [team.hook("works").witness(seconds, "0"), team.hook("next").witness(0, "0").after("works")];
    cluster.apply(&hooks.each_ref().map(|hook| hook.manifest()))?;
    let mut site = Site::start(world, &[])?;
    site.add_region("eu1", AgentSettings::kubernetes(&cluster.kubeconfig, &[&team.namespace]))?;
    site.wait_for_hooks("eu1", &[&hooks[0].path(), &hooks[1].path()])?;
    let id = site.provision("prod", "eu1")?;
    let object = site.wait_for(id, "a running attempt", |operation| {
        let mut steps = operation.steps.iter().flatten();
        let attempt = steps.find(|step| step.hook.name.as_str() == "works")?.attempts.first()?;
        attempt.started_at.and(attempt.object.clone())
    })?;
    let pod = object.rsplit('/').next().unwrap_or_default().to_owned();
    cluster.steer("freeze", "kubelet")?;
    Ok((site, id, format!("{}/{pod}", team.namespace)))
}

fn wait_unknown(site: &Site, id: OperationId) -> Result<()> {
    site.wait_for(id, "the attempt to be unknown", |operation| {
        let steps = operation.steps.iter().flatten();
        steps.flat_map(|step| &step.attempts).any(|attempt| attempt.unknown_since.is_some()).then_some(())
    })
}

fn wait_evicted(world: &World, pod: &str) -> Result<()> {
    let Some((namespace, name)) = pod.split_once('/') else { anyhow::bail!("{pod}") };
    within(Duration::from_secs(90), "the eviction", || {
        let pod = world.cluster()?.get(&["pod", "-n", namespace, name])?;
        Ok(pod["metadata"]["deletionTimestamp"].is_string().then_some(()))
    })
}

/// The hook ends while its kubelet says nothing.
fn silent_kubelet(world: &World, evicted: bool) -> Result<()> {
    let (site, id, pod) = start(world, 12)?;
    within(Duration::from_secs(60), "the end of the hook", || {
        Ok(world.witness().runs(id)?.iter().any(|run| run.end.is_some()).then_some(()))
    })?;
    if evicted {
        wait_evicted(world, &pod)?;
    }
    wait_unknown(&site, id)?;
    ensure!(world.witness().runs(id)?.len() == 1, "something ran in doubt");
    world.cluster()?.steer("thaw", "kubelet")?;
    site.wait_succeeded(id)?;
    world.witness().check(id, &[("works", &[]), ("next", &["works"])])?;
    ensure!(world.witness().starts(id, "works")? == 1, "a second run that nobody asked for");
    site.finish()
}

/// The hook works on, on a node that nobody hears of.
fn declared_lost(world: &World) -> Result<()> {
    let (site, id, pod) = start(world, 600)?;
    wait_evicted(world, &pod)?;
    wait_unknown(&site, id)?;
    ensure!(world.witness().runs(id)?.len() == 1, "a second run that nobody asked for");
    site.steer(id, "works", StepVerb::DeclareLost, "the machine burnt")?;
    let attempt = site.wait_ended_attempt(id, "works")?;
    let reason = attempt.outcome.as_ref().and_then(|outcome| outcome.reason);
    ensure!(reason == Some(FailureReason::Lost), "{attempt:?}");
    ensure!(world.witness().runs(id)?.len() == 1, "a second run that nobody asked for");
    site.steer(id, "works", StepVerb::Skip, "done elsewhere")?;
    world.cluster()?.steer("thaw", "kubelet")?;
    site.wait_succeeded(id)?;
    ensure!(world.witness().starts(id, "works")? == 1 && world.witness().starts(id, "next")? == 1);
    site.finish()
}
