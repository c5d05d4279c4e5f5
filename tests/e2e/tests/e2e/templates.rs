//! Templates that Argo CD (or somebody else) labels, replaces and removes.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use tenantry_api_types::v1::{HookState, HooksQuery};
use tenantry_e2e::{AgentSettings, Hook, Needs, Site, Team, World, eventually, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(Needs::Cluster, "what_argo_cd_writes_on_a_template_does_not_reach_the_copy", tracking),
        trial(Needs::Cluster, "a_template_replaced_in_the_middle_of_a_run_does_no_harm", replaced),
        trial(Needs::Cluster, "a_template_gone_in_the_middle_of_a_run_still_runs_in_it", gone_in_the_middle),
        trial(Needs::Cluster, "a_template_that_vanishes_for_good_is_named_until_it_is_retired", vanished),
    ]
}

fn start(world: &World, team: &Team, hooks: &[Hook], manager: &[&str]) -> Result<Site> {
    world.cluster()?.apply(&hooks.iter().map(Hook::manifest).collect::<Vec<_>>())?;
    let mut site = Site::start(world, manager)?;
    let agent = AgentSettings::kubernetes(&world.cluster()?.kubeconfig, &[&team.namespace]);
    site.add_region("eu1", agent.flag("keep-succeeded", "1h").flag("tracking-labels", "acme.example/app"))?;
    let paths: Vec<String> = hooks.iter().map(Hook::path).collect();
    site.wait_for_hooks("eu1", &paths.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(site)
}

fn tracking(world: &World) -> Result<()> {
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
    let site = start(world, &team, &[hook("pod"), hook("job")], &[])?;
    let id = site.provision("prod", "eu1")?;
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

fn wait_for_state(site: &Site, name: &str, state: HookState) -> Result<()> {
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

fn replaced(world: &World) -> Result<()> {
    let team = world.team("team")?;
    let hooks = two(&team);
    let site = start(world, &team, &hooks, &[])?;
    let id = site.provision("prod", "eu1")?;
    eventually("the begin of the first", || Ok((world.witness().starts(id, "first")? > 0).then_some(())))?;
    delete(world, &team, &["first", "second"])?;
    wait_for_state(&site, "second", HookState::Absent)?;
    world.cluster()?.apply(&hooks.each_ref().map(Hook::manifest))?;
    wait_for_state(&site, "second", HookState::Ready)?;
    world.open(&["first"])?;
    site.wait_succeeded(id)?;
    world.witness().check(id, &[("first", &[]), ("second", &["first"])])?;
    ensure!(world.witness().starts(id, "first")? == 1);
    site.finish()
}

fn gone_in_the_middle(world: &World) -> Result<()> {
    let team = world.team("team")?;
    let site = start(world, &team, &two(&team), &[])?;
    let id = site.provision("prod", "eu1")?;
    eventually("the begin of the first", || Ok((world.witness().starts(id, "first")? > 0).then_some(())))?;
    delete(world, &team, &["first", "second"])?;
    wait_for_state(&site, "second", HookState::Absent)?;
    ensure!(world.witness().starts(id, "second")? == 0, "began before its target ended");
    world.open(&["first"])?;
    site.wait_succeeded(id)?;
    world.witness().check(id, &[("first", &[]), ("second", &["first"])])?;
    site.finish()
}

fn vanished(world: &World) -> Result<()> {
    let team = world.team("team")?;
    let hooks = [team.hook("stays").witness(0, "0"), team.hook("goes").witness(0, "0")];
    let site = start(world, &team, &hooks, &["--absent-grace", "2s"])?;
    let id = site.provision("prod", "eu1")?;
    site.wait_succeeded(id)?;
    delete(world, &team, &["goes"])?;
    wait_for_state(&site, "goes", HookState::Absent)?;

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
