//! Templates that Argo CD (or somebody else) labels, replaces and removes.

use crate::place::{Place, REGION, Setup, on_each};
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use tenantry_api_types::v1::{HookState, HooksQuery};
use tenantry_e2e::{Hook, Needs, Site, Team, World, eventually, trial};

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    trials.extend(on_each("what_argo_cd_writes_on_a_template_does_not_reach_the_copy", tracking));
    trials.extend(on_each("a_template_replaced_in_the_middle_of_a_run_does_no_harm", replaced));
    // A region of Argo keeps no versions: what it says then is among the reasons (reasons.rs).
    let gone = "a_template_gone_in_the_middle_of_a_run_still_runs_in_it";
    trials.push(trial(Needs::Cluster, gone, gone_in_the_middle));
    trials.extend(on_each("a_template_that_vanishes_for_good_is_named_until_it_is_retired", vanished));
    trials
}

fn start(world: &World, place: Place, team: &Team, hooks: &[Hook], manager: &[&str]) -> Result<Site> {
    world.cluster()?.apply(&hooks.iter().map(Hook::manifest).collect::<Vec<_>>())?;
    let setup = Setup::new(place, &[&team.namespace]).manager(manager);
    let site = setup.keep_succeeded().tracking_label("acme.example/app").start(world)?;
    let paths: Vec<String> = hooks.iter().map(Hook::path).collect();
    site.wait_for_hooks(REGION, &paths.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(site)
}

fn tracking(world: &World, place: Place) -> Result<()> {
    let team = world.team("team")?;
    let hook = |kind: &str| {
        team.hook(&format!("as-{kind}"))
            .tenant("attempt-kind", kind)
            .label("app.kubernetes.io/instance", "crm")
            .label("acme.example/app", "crm")
            .label("team", "kept")
            .annotation("argocd.argoproj.io/tracking-id", "crm:batch/Job:crm/x")
            .annotation("argocd.argoproj.io/sync-options", "Force=true,Replace=true")
            .annotation("acme.example/note", "kept")
    };
    let site = start(world, place, &team, &[hook("pod"), hook("job")], &[])?;
    let id = site.provision("prod", REGION)?;
    site.wait_succeeded(id)?;
    let selector = format!("tenantry.io/operation={id}");
    let made = world.cluster()?.get(&["pods,jobs", "-n", &team.namespace, "-l", &selector])?;
    let items = made["items"].as_array().context("a list")?;
    ensure!(items.len() == 3, "a Pod, a Job and its Pod: {made}");
    for item in items {
        let metadata = item["metadata"].to_string();
        for text in
            ["argocd", "app.kubernetes.io/instance", "acme.example/app", "tenant.lifecycle", "last-applied"]
        {
            ensure!(!metadata.contains(text), "{text} reached {metadata}");
        }
        let owners = item["metadata"]["ownerReferences"].to_string();
        ensure!(
            !owners.contains("\"as-pod\"") && !owners.contains("\"as-job\""),
            "the template owns {metadata}"
        );
        if item["kind"] == "Pod" {
            ensure!(item["metadata"]["labels"]["team"] == "kept", "{metadata}");
            ensure!(item["metadata"]["annotations"]["acme.example/note"] == "kept", "{metadata}");
        }
    }
    site.finish()
}

fn two(team: &Team) -> [Hook; 2] {
    [team.hook("first").gated_witness("0"), team.hook("second").witness(0, "0").after("first")]
}

/// A region of Argo looks at templates when an operation is planned, and when a step starts.
fn wait_for_state(site: &Site, place: Place, name: &str, state: HookState) -> Result<()> {
    if place == Place::Argo {
        return Ok(());
    }
    eventually(format!("hook {name} to be {state:?}"), || {
        let hooks = site.call(site.client().hooks(&HooksQuery::default()))?.items;
        let is = |hook: &tenantry_api_types::v1::Hook| hook.hook.name.as_str() == name && hook.state == state;
        Ok(hooks.iter().any(is).then_some(()))
    })
}

fn delete(world: &World, team: &Team, names: &[&str]) -> Result<()> {
    let args = [&["delete", "job", "-n", &team.namespace, "--cascade=background"], names].concat();
    world.cluster()?.kubectl(&args).map(drop)
}

fn replaced(world: &World, place: Place) -> Result<()> {
    let team = world.team("team")?;
    let hooks = two(&team);
    let site = start(world, place, &team, &hooks, &[])?;
    let id = site.provision("prod", REGION)?;
    eventually("the begin of the first", || Ok((world.witness().starts(id, "first")? > 0).then_some(())))?;
    delete(world, &team, &["first", "second"])?;
    wait_for_state(&site, place, "second", HookState::Absent)?;
    world.cluster()?.apply(&hooks.each_ref().map(Hook::manifest))?;
    wait_for_state(&site, place, "second", HookState::Ready)?;
    world.open(&["first"])?;
    site.wait_succeeded(id)?;
    world.witness().check(id, &[("first", &[]), ("second", &["first"])])?;
    ensure!(world.witness().starts(id, "first")? == 1);
    site.finish()
}

fn gone_in_the_middle(world: &World) -> Result<()> {
    let team = world.team("team")?;
    let site = start(world, Place::Agent, &team, &two(&team), &[])?;
    let id = site.provision("prod", REGION)?;
    eventually("the begin of the first", || Ok((world.witness().starts(id, "first")? > 0).then_some(())))?;
    delete(world, &team, &["first", "second"])?;
    wait_for_state(&site, Place::Agent, "second", HookState::Absent)?;
    ensure!(world.witness().starts(id, "second")? == 0, "began before its target ended");
    world.open(&["first"])?;
    site.wait_succeeded(id)?;
    world.witness().check(id, &[("first", &[]), ("second", &["first"])])?;
    site.finish()
}

fn vanished(world: &World, place: Place) -> Result<()> {
    let team = world.team("team")?;
    let hooks = [team.hook("stays").witness(0, "0"), team.hook("goes").witness(0, "0")];
    let site = start(world, place, &team, &hooks, &["--absent-grace", "2s"])?;
    let id = site.provision("prod", REGION)?;
    site.wait_succeeded(id)?;
    delete(world, &team, &["goes"])?;
    wait_for_state(&site, place, "goes", HookState::Absent)?;

    let refused = site.cli(&["env", "reconcile", "acme/prod", "--wait", "-o", "json"])?.expect(1)?;
    let refused: serde_json::Value = serde_json::from_str(&refused.out)?;
    let operation = &refused["operation"];
    ensure!(operation["problem"] == "plan-hook-absent", "{operation}");
    ensure!(
        operation["note"].as_str().is_some_and(|note| note.contains(&format!("{}/goes", team.namespace))),
        "{operation}"
    );
    let refused_id = operation["id"].as_str().context("an id")?.to_owned();
    ensure!(world.witness().starts(&refused_id, "stays")? == 0, "a refused plan ran");

    site.cli(&["hook", "retire", &format!("eu1/{}/goes", team.namespace), "--reason", "moved to billing"])?
        .expect(0)?;
    let passed = site.cli(&["env", "reconcile", "acme/prod", "--wait", "-o", "json"])?.expect(0)?;
    let passed: serde_json::Value = serde_json::from_str(&passed.out)?;
    let id = passed["operation"]["id"].as_str().context("an id")?;
    world.witness().check(id, &[("stays", &[])])?;
    site.finish()
}
