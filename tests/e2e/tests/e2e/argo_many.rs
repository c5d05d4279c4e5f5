//! Three hundred hooks in four levels, by `withParam`, on one node with as many places as Kubernetes gives it by default: fewer
//! than the first level has hooks. Bridges take no place that the hooks need which they wait for, levels are kept, and the
//! Workflow stays small enough for Argo without a database.

use crate::argo_managed::{Managed, REGION};
use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tenantry_e2e::argo::{ARGO, Argo, requested};
use tenantry_e2e::{Hook, Needs, Team, World, trial, within};

/// 110 is the kubelet's own default.
const PARTS: &[&str] = &["--with", "argo-workflows,argo-events", "--max-pods", "110"];
/// Hooks of each level.
const LEVELS: [usize; 4] = [150, 75, 50, 25];
/// `workflow.parallelism` of the chart.
const AT_ONCE: i64 = 50;
/// What a test that fails waits for a Workflow of so many Pods.
const PATIENCE: Duration = Duration::from_mins(20);
/// What etcd takes. Above 1 MiB Argo compresses the nodes, and wants a database if that does not help (`MAX_WORKFLOW_SIZE`).
const MOST_BYTES: usize = 1536 * 1024;
/// Names the variable that has these run: six hundred Pods on two cores take longer than all other tests of a path.
pub const LARGE: &str = "TENANTRY_LARGE";

pub fn trials() -> Vec<Trial> {
    let wanted = std::env::var_os(LARGE).is_some();
    let trials = vec![
        trial(
            Needs::OwnCluster(PARTS),
            "three_hundred_hooks_in_four_levels_run_once_each_and_leave_each_other_their_places",
            alone,
        ),
        trial(
            Needs::OwnCluster(PARTS),
            "three_hundred_hooks_in_four_levels_run_with_a_manager_and_leave_each_other_their_places",
            managed,
        ),
    ];
    trials.into_iter().map(|trial| if wanted { trial } else { trial.with_ignored_flag(true) }).collect()
}

fn name(level: usize, n: usize) -> String {
    format!("l{level}-{n:03}")
}

/// Each hook waits for two of the level before.
fn hooks(team: &Team) -> Vec<Hook> {
    let of = |level: usize, n: usize| {
        let hook = team.hook(&name(level, n)).witness(0, "0");
        match level.checked_sub(1) {
            None => hook,
            Some(before) => {
                let wide = LEVELS[before];
                hook.after(&format!("{},{}", name(before, n), name(before, wide - 1 - n)))
            }
        }
    };
    (0..LEVELS.len())
        .flat_map(|level| (0..LEVELS[level]).map(move |n| (level, n)))
        .map(|(level, n)| of(level, n))
        .collect()
}

fn alone(world: &World) -> Result<()> {
    let argo = Argo::install(world)?;
    let hooks = hooks(&argo.team("many")?);
    argo.apply(&hooks.iter().collect::<Vec<_>>())?;
    let operation = uuid::Uuid::now_v7().to_string();
    ensure!(argo.send(&requested("lifecycle.upsert", &operation, &json!({})))? == 200);
    let workflow = ended(&argo, &format!("tenantry-{operation}"))?;
    ran(world, &operation)?;
    fits(&argo, &workflow)?;
    ensure!(argo.dead_letters()?.is_empty(), "{:?}", argo.dead_letters()?);
    Ok(())
}

fn managed(world: &World) -> Result<()> {
    let managed = Managed::new(world)?;
    let hooks = hooks(&managed.team);
    managed.argo.apply(&hooks.iter().collect::<Vec<_>>())?;
    let id = managed.site.provision("prod", REGION)?;
    let workflow = ended(&managed.argo, &Managed::name(id, 1))?;
    managed.site.wait_succeeded(id)?;
    ran(world, &id.to_string())?;
    fits(&managed.argo, &workflow)?;
    ensure!(managed.argo.workflows()?.len() == 1, "{:?}", managed.argo.workflows()?);
    managed.site.finish()
}

/// Waits for the Workflow's success; answers it as it is stored.
fn ended(argo: &Argo<'_>, name: &str) -> Result<Value> {
    let begun = Instant::now();
    let mut seen = String::new();
    within(PATIENCE, format!("the end of the Workflow {name}"), || {
        let phase =
            ["get", "workflow", "-n", ARGO, name, "-o", "jsonpath={.status.phase} {.status.progress}"];
        // It may not be there yet.
        seen = argo.cluster.kubectl(&phase).unwrap_or_default();
        Ok(["Succeeded", "Failed", "Error"].iter().any(|end| seen.starts_with(end)).then_some(()))
    })
    .with_context(|| seen.clone())?;
    println!("{name}: {seen} after {} s", begun.elapsed().as_secs());
    let workflow = argo.workflow(name)?;
    ensure!(workflow["status"]["phase"] == "Succeeded", "{}", workflow["status"]["message"]);
    Ok(workflow)
}

/// Each hook ran once, and no level began before the one before had ended.
fn ran(world: &World, operation: &str) -> Result<()> {
    let runs = world.witness().runs(operation)?;
    let count: usize = LEVELS.iter().sum();
    ensure!(runs.len() == count, "{} runs of {count} hooks", runs.len());
    let mut before: Option<Timestamp> = None;
    for (level, wide) in LEVELS.into_iter().enumerate() {
        let mut last = Timestamp::MIN;
        for n in 0..wide {
            let name = name(level, n);
            let mut own = runs.iter().filter(|run| run.start.name == name);
            let run = own.next().with_context(|| format!("{name} never ran"))?;
            ensure!(own.next().is_none(), "{name} ran twice");
            let end = run.end.as_ref().with_context(|| format!("{name} has no end"))?;
            ensure!(before.is_none_or(|before| before <= run.start.at), "{name} began before its level");
            last = last.max(end.at);
        }
        before = Some(last);
    }
    Ok(())
}

/// What the Workflow's status says: it is whole without a database, and there were never more bridges than places for them.
fn fits(argo: &Argo<'_>, workflow: &Value) -> Result<()> {
    let (size, status) = (workflow.to_string().len(), &workflow["status"]);
    let compressed = status["compressedNodes"].as_str().map(str::len);
    ensure!(size < MOST_BYTES, "{size} bytes");
    ensure!(status["offloadNodeStatusVersion"].is_null(), "its nodes are in a database");
    // It is near the size above which Argo compresses them; its command line shows them in both cases.
    let name = workflow["metadata"]["name"].as_str().context("a name")?;
    let whole: Value = serde_json::from_str(&argo.argo(&["get", name, "-o", "json"])?)?;
    let nodes = whole["status"]["nodes"].as_object().context("nodes")?;
    println!("{} nodes, {size} bytes, {compressed:?} of them compressed nodes", nodes.len());
    let mut changes: Vec<(Timestamp, i64)> = Vec::new();
    for node in nodes.values().filter(|node| node["type"] == "Pod" && node["templateName"] == "bridge") {
        for (field, change) in [("startedAt", 1), ("finishedAt", -1)] {
            let at = node[field].as_str().with_context(|| format!("no {field}: {node}"))?;
            changes.push((at.parse()?, change));
        }
    }
    // Ends first: what Argo writes has whole seconds.
    changes.sort_unstable();
    let mut now = 0;
    let at_once = changes.iter().map(|(_, change)| {
        now += change;
        now
    });
    let most = at_once.max().unwrap_or_default();
    println!("{most} bridges at once");
    ensure!((AT_ONCE / 2 + 1..=AT_ONCE).contains(&most), "{most} bridges at once");
    Ok(())
}
