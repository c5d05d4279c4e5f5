//! The path over Argo Events and Argo Workflows without a manager: an event comes in, a Workflow finds the hooks and runs
//! each by a bridge.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;
use std::{fs::read_to_string, process::Command};
use tenantry_e2e::argo::{Argo, PARTS, base64, bridges, made_by_hand, requested};
use tenantry_e2e::{Answer, Needs, World, eventually, repository, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(Needs::OwnCluster(PARTS), "an_event_runs_the_teams_hooks_as_an_argo_workflow", talk),
        trial(Needs::Cluster, "the_manifests_of_the_argo_path_are_the_rendered_chart", rendered),
    ]
}

/// Who applies plain files installs what the chart installs; a value that Argo would choke on is refused.
fn rendered(world: &World) -> Result<()> {
    let (deploy, helm) = (repository().join("deploy/argo"), repository().join("testbed/bin/helm/helm"));
    let file = world.folder().join("manifests.yaml");
    Answer::of(Command::new(deploy.join("render.sh")).arg(&file).env("HELM", &helm))?.expect(0)?;
    let (now, committed) = (read_to_string(file)?, read_to_string(deploy.join("manifests.yaml"))?);
    ensure!(now == committed, "run deploy/argo/render.sh");
    let chart = deploy.join("chart");
    Answer::of(Command::new(&helm).arg("lint").arg("--strict").arg(&chart))?.expect(0)?;
    for (flag, value, words) in [
        ("--set-string", "sensor.retries.factor=2", "/sensor/retries/factor"),
        ("--set", "sensro.replicas=2", "'sensro' not allowed"),
        ("--set", "order=flat", "/order"),
    ] {
        let refused = Answer::of(Command::new(&helm).args(["template", "x", flag, value]).arg(&chart))?;
        ensure!(refused.code != Some(0) && refused.err.contains(words), "{value}: {}", refused.err);
    }
    Ok(())
}

fn id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn talk(world: &World) -> Result<()> {
    let argo = Argo::install(world)?;
    runs_in_order(&argo)?;
    fails_with_the_hooks_code(&argo)?;
    refuses(&argo)?;
    exact_graph(&argo)
}

/// Three teams, three levels; the event comes twice, and once more in the other form.
fn runs_in_order(argo: &Argo<'_>) -> Result<()> {
    let world = argo.world;
    let (identity, billing, crm) = (argo.team("identity")?, argo.team("billing")?, argo.team("crm")?);
    let realm = identity.hook("realm").witness(1, "0");
    let account = billing.hook("account").after(&realm.path()).witness(1, "0");
    let shell = "cat $LIFECYCLE_TENANT_ENV_FILE; exec tb witness /witness/records --name tenant --exit 0";
    let tenant = crm.hook("tenant").after(&account.path()).witness(0, "0").shell(shell);
    let gold = crm.hook("gold").tenant("selector", "tier=gold").witness(0, "0");
    argo.apply(&[&realm, &account, &tenant, &gold])?;

    let operation = id();
    let event = requested("lifecycle.upsert", &operation, &json!({"tier": "silver"}));
    ensure!(argo.send(&event)? == 200);
    ensure!(argo.send(&event)? == 200, "the same again");
    ensure!(argo.send_binary(&event)? == 200, "and in binary form");
    let name = format!("tenantry-{operation}");
    let workflow = argo.succeeded(&name)?;
    let jobs: Vec<String> = bridges(&workflow).into_iter().map(|(job, ..)| job).collect();
    ensure!(jobs == [account.path(), tenant.path(), realm.path()], "{jobs:?}");
    world
        .witness()
        .check(&operation, &[("realm", &[]), ("account", &["realm"]), ("tenant", &["account"])])?;
    for step in ["realm", "account", "tenant"] {
        ensure!(world.witness().starts(&operation, step)? == 1, "{step} ran twice");
    }
    ensure!(argo.workflows()? == [name.clone()], "one event, one Workflow");
    let title = &workflow["metadata"]["annotations"]["workflows.argoproj.io/title"];
    ensure!(title == "lifecycle.upsert of acme/prod", "{title}");
    let labels = &workflow["metadata"]["labels"];
    for (label, value) in
        [("operation-name", "lifecycle.upsert"), ("tenant", "acme"), ("environment", "prod")]
    {
        ensure!(labels[format!("tenantry.io/{label}")] == value, "{label}: {labels}");
    }
    let logs = argo.argo(&["logs", &name, "--no-color"])?;
    ensure!(logs.contains("greeting: '{{workflow.name}} {{=1+1}} ünï \"quoted\"'"), "{logs}");
    ensure!(argo.dead_letters()?.is_empty());
    argo.world.cluster()?.kubectl(&["delete", "jobs", "--all", "-n", &crm.namespace])?;
    argo.world.cluster()?.kubectl(&["delete", "jobs", "--all", "-n", &billing.namespace])?;
    argo.world.cluster()?.kubectl(&["delete", "jobs", "--all", "-n", &identity.namespace]).map(drop)
}

/// A hook that fails ends the Workflow with its exit code, and no later level begins.
fn fails_with_the_hooks_code(argo: &Argo<'_>) -> Result<()> {
    let team = argo.team("failing")?;
    let first = team.hook("first").shell("echo before the end; exit 3");
    let beside = team.hook("beside").witness(0, "0");
    // The code of a process that somebody killed: here it is the hook's word, and its bridge is not started again.
    let killed = team.hook("killed").shell("exit 137");
    let last = team.hook("last").after("first").witness(0, "0");
    argo.apply(&[&first, &beside, &killed, &last])?;
    let operation = id();
    ensure!(argo.send(&requested("lifecycle.upsert", &operation, &json!({})))? == 200);
    let name = format!("tenantry-{operation}");
    let workflow = argo.ended(&name)?;
    ensure!(workflow["status"]["phase"] == "Failed", "{}", workflow["status"]);
    let found = bridges(&workflow);
    let of = |path: &str| found.iter().find(|one| one.0 == path).cloned();
    for (hook, its_code) in [(&first, "3"), (&killed, "137")] {
        let (_, phase, code, reason) = of(&hook.path()).context("its bridge")?;
        let as_it_should =
            (phase.as_str(), code.as_str(), reason.as_str()) == ("Failed", its_code, "hook-failed");
        ensure!(as_it_should, "{found:?}");
        ensure!(found.iter().filter(|one| one.0 == hook.path()).count() == 1, "{found:?}");
    }
    let shown = workflow["status"]["nodes"].to_string();
    ensure!(shown.contains("(exit code 3): tenantry: hook-failed"), "{shown}");
    ensure!(of(&beside.path()).is_some_and(|one| one.1 == "Succeeded"), "{found:?}");
    ensure!(of(&last.path()).is_none(), "a dependency was jumped: {found:?}");
    ensure!(argo.world.witness().starts(&operation, "last")? == 0);
    let logs = argo.argo(&["logs", &name, "--no-color"])?;
    ensure!(logs.contains("before the end"), "{logs}");
    argo.world.cluster()?.kubectl(&["delete", "jobs", "--all", "-n", &team.namespace]).map(drop)
}

/// What asks for no operation is refused, or kept where somebody finds it; it starts nothing.
fn refuses(argo: &Argo<'_>) -> Result<()> {
    let before = argo.workflows()?;
    let event = requested("lifecycle.upsert", &id(), &json!({}));
    let json = ["Content-Type: application/json"];
    ensure!(argo.post("wrong", &json, &event.to_string())? == 401, "a wrong token");
    let large = json!({"specversion": "1.0", "padding": "x".repeat(2_000_000)});
    ensure!(argo.post_with_token(&json, &large.to_string())? >= 400, "2 MB");
    ensure!(argo.post_with_token(&json, "{")? >= 400, "no JSON");

    let form = ["Content-Type: application/x-www-form-urlencoded"];
    ensure!(argo.post_with_token(&form, "type=io.tenantry.operation.requested.v1&form=1")? == 200);
    let mut other = event.clone();
    other["type"] = json!("com.example.something.else");
    ensure!(argo.send(&other)? == 200);
    let mut without = event.clone();
    without["data"] = json!({"operation": "lifecycle.upsert", "marker": "no-environment"});
    ensure!(argo.send(&without)? == 200);
    ensure!(argo.send(&requested("{{workflow.name}}", &id(), &json!({})))? == 200);
    let letters = eventually("the dead letters", || {
        let letters = argo.dead_letters()?;
        Ok((letters.len() >= 4).then_some(letters))
    })?;
    ensure!(letters.len() == 4, "{letters:?}");
    for words in ["\"form\"", "com.example.something.else", "no-environment", "{{workflow.name}}"] {
        ensure!(letters.iter().any(|letter| letter.contains(words)), "{words} is not in {letters:?}");
    }
    ensure!(argo.workflows()? == before, "something was started");

    // An operation that nobody has a hook for, and one that is no name: the Workflow says so.
    for (operation, words) in [("lifecycle.nothing", "no hook is registered"), ("nonsense", "nonsense")] {
        let id = id();
        ensure!(argo.send(&requested(operation, &id, &json!({})))? == 200);
        let name = format!("tenantry-{id}");
        let workflow = argo.ended(&name)?;
        ensure!(workflow["status"]["phase"] == "Failed", "{}", workflow["status"]);
        let logs = argo.argo(&["logs", &name, "--no-color"])?;
        ensure!(logs.contains(words), "{words} is not in:\n{logs}");
    }
    Ok(())
}

/// The other template: discovery makes a second Workflow with the exact edges.
fn exact_graph(argo: &Argo<'_>) -> Result<()> {
    let team = argo.team("graph")?;
    // In levels `short` would wait for the whole first level, and so for `long`.
    let (long, quick) = (team.hook("long").gated_witness("0"), team.hook("quick").witness(0, "0"));
    let short = team.hook("short").after("quick").witness(0, "0");
    argo.apply(&[&long, &quick, &short])?;
    let operation = id();
    let mut event = requested("lifecycle.upsert", &operation, &json!({}));
    let environment = event["data"]["environment"].take();
    let name = format!("tenantry-{operation}");
    let parameters = [
        ("operation", "lifecycle.upsert"),
        ("operation-id", &operation),
        ("environment", &base64(&environment)),
    ];
    argo.cluster.apply(&[made_by_hand(&name, "tenantry-graph", &parameters)])?;
    eventually("the short branch to end while the long one runs", || {
        let runs = argo.world.witness().runs(&operation)?;
        Ok(runs.iter().any(|run| run.start.name == "short" && run.end.is_some()).then_some(()))
    })?;
    argo.world.open(&["long"])?;
    argo.succeeded(&name)?;
    let graph = argo.ended(&format!("{name}-graph"))?;
    ensure!(bridges(&graph).len() == 3, "{graph}");
    argo.world.witness().check(&operation, &[("long", &[]), ("quick", &[]), ("short", &["quick"])])
}
