//! Verbs that end what runs, and hands on the Workflow itself, in a region of Argo: what Argo shows at each point, and that the
//! truth about a step is the manager's.

use crate::argo_managed::{Managed, REGION};
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tenantry_e2e::argo::{ARGO, PARTS, bridges};
use tenantry_e2e::{Hook, Needs, World, eventually, trial};
use tenantry_model::{OperationId, OperationState, StepState};

pub fn trials() -> Vec<Trial> {
    vec![trial(
        Needs::OwnCluster(PARTS),
        "kills_stops_reruns_cancels_and_edits_reach_a_running_workflow",
        verbs,
    )]
}

/// `top` before `mid` before `low`, and `side` beside `top`.
struct Graph {
    top: Hook,
    side: Hook,
    mid: Hook,
    low: Hook,
}

const GATES: [&str; 4] = ["top", "side", "mid", "low"];

fn verbs(world: &World) -> Result<()> {
    let managed = Managed::new(world)?;
    let hook = |name: &str| managed.team.hook(name).gated_witness("0");
    let graph = Graph {
        top: hook("top"),
        side: hook("side"),
        mid: hook("mid").after("top"),
        low: hook("low").after("mid"),
    };
    managed.argo.apply(&[&graph.top, &graph.side, &graph.mid, &graph.low])?;

    let steered = steered(&managed, &graph)?;
    world.close(&GATES)?;
    let edited = edited(&managed, &graph)?;
    world.close(&GATES)?;
    let cancelled = cancelled(&managed, &graph)?;

    for (id, times) in [(steered, [3, 2, 2, 1]), (edited, [1; 4]), (cancelled, [1, 1, 0, 0])] {
        for (name, times) in GATES.into_iter().zip(times) {
            let starts = world.witness().starts(id, name)?;
            ensure!(starts == times, "{name} of {id} ran {starts} times");
        }
    }
    let mut wanted = vec![Managed::name(steered, 1), Managed::name(steered, 2)];
    wanted.extend([Managed::name(edited, 1), Managed::name(cancelled, 1)]);
    wanted.sort();
    ensure!(managed.argo.workflows()? == wanted, "{:?}", managed.argo.workflows()?);
    managed.site.finish()
}

/// Killed and run again, stopped and released, run again with all that came after it.
fn steered(managed: &Managed<'_>, graph: &Graph) -> Result<OperationId> {
    let Graph { top, side, mid, low } = graph;
    let (world, id) = (managed.world, managed.site.provision("steered", REGION)?);
    let (first, second) = (Managed::name(id, 1), Managed::name(id, 2));
    for hook in [top, side] {
        managed.wait_for_start(id, hook, 1)?;
        managed.wait_for_phase(&first, hook, "Running")?;
    }
    managed.op("kill", id, side, &["--reason", "it hangs"])?;
    managed.wait_for_state(id, side, StepState::Failed)?;
    ensure!(managed.phase(&first, side) == "Running", "its bridge waits for a person");
    managed.op("rerun", id, side, &[])?;
    managed.wait_for_start(id, side, 2)?;
    world.open(&["side"])?;
    managed.wait_for_phase(&first, side, "Succeeded")?;

    managed.op("stop", id, top, &["--reason", "what it needs is being repaired"])?;
    over(managed, id, top, 1)?;
    ensure!(managed.phase(&first, top) == "Running", "its bridge waits for the release");
    ensure!(world.witness().starts(id, "top")? == 1, "it was to be held");
    managed.op("release", id, top, &[])?;
    managed.wait_for_start(id, top, 2)?;
    world.open(&["top"])?;
    managed.wait_for_phase(&first, top, "Succeeded")?;
    managed.wait_for_start(id, mid, 1)?;
    managed.wait_for_phase(&first, mid, "Running")?;

    // `top` is over for Argo, `mid` runs: it is ended first, and its bridge waits until the next Workflow's takes the step.
    world.close(&["top"])?;
    managed.op("rerun", id, top, &["--with-successors", "--reason", "what it made was wrong"])?;
    over(managed, id, mid, 1)?;
    managed.wait_for_start(id, top, 3)?;
    managed.wait_for_phase(&second, top, "Running")?;
    ensure!(managed.phase(&first, mid) == "Running");
    ensure!(world.witness().starts(id, "mid")? == 1, "it began before what it waits for");
    world.open(&["top"])?;
    managed.wait_for_start(id, mid, 2)?;
    managed.wait_for_phase(&second, top, "Succeeded")?;
    managed.wait_for_phase(&second, mid, "Running")?;
    managed.wait_for_phase(&first, mid, "Succeeded")?;
    world.open(&["mid", "low"])?;
    managed.site.wait_succeeded(id)?;
    for name in [&first, &second] {
        managed.argo.succeeded(name)?;
    }
    managed.wait_for_phase(&second, low, "Succeeded")?;
    order(managed, id)?;
    Ok(id)
}

/// Label, parallelism, and the status of a node whose hook is at work: Argo begins the next level, and nothing of it runs.
fn edited(managed: &Managed<'_>, graph: &Graph) -> Result<OperationId> {
    let Graph { top, side, mid, .. } = graph;
    let (world, id) = (managed.world, managed.site.provision("edited", REGION)?);
    let name = Managed::name(id, 1);
    for hook in [top, side] {
        managed.wait_for_start(id, hook, 1)?;
        managed.wait_for_phase(&name, hook, "Running")?;
    }
    let hand = json!({"metadata": {"labels": {"edited-by": "hand"}}, "spec": {"parallelism": 2}});
    patch(managed, &name, &hand)?;
    world.open(&["side"])?;
    managed.wait_for_phase(&name, side, "Succeeded")?;
    let nodes = nodes_of(managed, &name, top)?;
    let nodes: serde_json::Map<String, Value> =
        nodes.into_iter().map(|node| (node, json!({"phase": "Succeeded"}))).collect();
    patch(managed, &name, &json!({"status": {"nodes": nodes}}))?;

    managed.wait_for_phase(&name, mid, "Running")?;
    let waits = format!("{} waits for other steps", mid.path());
    eventually("the bridge of the next level to say what it waits for", || {
        let logs = managed.argo.argo(&["logs", &name, "--no-color"])?;
        Ok(logs.contains(&waits).then_some(()))
    })?;
    ensure!(world.witness().starts(id, "mid")? == 0, "it believed Argo");
    world.open(&["top", "mid", "low"])?;
    managed.site.wait_succeeded(id)?;
    let workflow = managed.argo.succeeded(&name)?;
    ensure!(workflow["metadata"]["labels"]["edited-by"] == "hand");
    order(managed, id)?;
    Ok(id)
}

/// What runs is ended, what has not begun never does, and Argo shows the Workflow as failed with the reason.
fn cancelled(managed: &Managed<'_>, graph: &Graph) -> Result<OperationId> {
    let Graph { top, side, .. } = graph;
    let id = managed.site.provision("cancelled", REGION)?;
    let name = Managed::name(id, 1);
    for hook in [top, side] {
        managed.wait_for_start(id, hook, 1)?;
    }
    managed.site.cli(&["op", "cancel", &id.to_string(), "--reason", "not wanted"])?.expect(0)?;
    let operation = managed.site.wait_done(id)?;
    ensure!(operation.state == OperationState::Cancelled, "{operation:?}");
    let workflow = managed.argo.ended(&name)?;
    ensure!(workflow["status"]["phase"] == "Failed", "{}", workflow["status"]);
    let mut found = bridges(&workflow);
    found.sort();
    let seen: Vec<_> =
        found.iter().map(|(job, phase, _, reason)| (job.as_str(), &**phase, &**reason)).collect();
    let (side, top) = (side.path(), top.path());
    ensure!(seen == [(&*side, "Failed", "killed"), (&*top, "Failed", "killed")], "{found:?}");
    // What ran is let go of: nothing of the operation is left in the team's namespace but what has ended.
    let label = format!("tenantry.io/operation={id}");
    eventually("the end of the attempts", || {
        let pods = managed.world.cluster()?.get(&["pods", "-n", &managed.team.namespace, "-l", &label])?;
        let held =
            |pod: &Value| !pod["metadata"]["finalizers"].is_null() || pod["status"]["phase"] == "Running";
        let pods = pods["items"].as_array().context("a list")?;
        Ok((!pods.iter().any(held)).then_some(()))
    })?;
    Ok(id)
}

/// Attempt `number` of the step has ended because somebody asked for it.
fn over(managed: &Managed<'_>, id: OperationId, hook: &Hook, number: u32) -> Result<()> {
    managed.site.wait_for(id, &format!("the end of attempt {number} of {}", hook.path()), |operation| {
        let mut steps = operation.steps.iter().flatten();
        let step = steps.find(|step| step.hook.path().to_string() == hook.path())?;
        let attempt = step.attempts.iter().find(|attempt| attempt.number == number)?;
        attempt.outcome.as_ref().map(drop)
    })
}

fn order(managed: &Managed<'_>, id: OperationId) -> Result<()> {
    let order: &[(&str, &[&str])] = &[("top", &[]), ("side", &[]), ("mid", &["top"]), ("low", &["mid"])];
    let runs = managed.world.witness().runs(id)?;
    for (name, after) in order {
        let newest =
            runs.iter().rfind(|run| run.start.name == *name).with_context(|| format!("no {name}"))?;
        for target in *after {
            let done = runs.iter().filter(|run| run.start.name == *target && run.start.at <= newest.start.at);
            let done = done
                .filter_map(|run| run.end.as_ref())
                .any(|end| end.exit == Some(0) && end.at <= newest.start.at);
            ensure!(done, "{name} began before {target} had ended: {runs:?}");
        }
    }
    Ok(())
}

/// The nodes that Argo has for the bridge of a hook: the Pod's, and the one that starts it again.
fn nodes_of(managed: &Managed<'_>, workflow: &str, hook: &Hook) -> Result<Vec<String>> {
    let workflow = managed.argo.workflow(workflow)?;
    let nodes = workflow["status"]["nodes"].as_object().context("nodes")?;
    let job = |node: &Value| {
        let parameters = node["inputs"]["parameters"].as_array();
        node["templateName"] == "bridge"
            && parameters.is_some_and(|all| all.iter().any(|one| one["value"] == hook.path().as_str()))
    };
    let found: Vec<String> = nodes.iter().filter(|(_, node)| job(node)).map(|(id, _)| id.clone()).collect();
    ensure!(!found.is_empty(), "no node of {}", hook.path());
    Ok(found)
}

fn patch(managed: &Managed<'_>, workflow: &str, patch: &Value) -> Result<()> {
    let patch = patch.to_string();
    let args = ["patch", "workflow", "-n", ARGO, workflow, "--type=merge", "-p", &patch];
    managed.world.cluster()?.kubectl(&args).map(drop)
}
