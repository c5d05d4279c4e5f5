//! Workflows of which nobody is left to speak: their Pods have no place, they are suspended, deleted or broken between two
//! levels. The manager notices each by its silence alone; each goes on, and no hook runs twice. The first notice is the
//! manager's end: the next one notices the others, and asks again for what the first one had written down.

use crate::argo_crashes::plan;
use crate::argo_managed::{Managed, REGION};
use crate::crashes::{VARIABLE, points};
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tenantry_api_types::v1::{AttentionQuery, Operation};
use tenantry_e2e::argo::{ARGO, PARTS, bridges};
use tenantry_e2e::{Hook, Needs, World, eventually, trial};
use tenantry_model::{AttentionKind, OperationId, StepState};

pub fn trials() -> Vec<Trial> {
    vec![trial(
        Needs::OwnCluster(PARTS),
        "workflows_that_nobody_is_left_to_speak_for_are_noticed_and_go_on",
        silent,
    )]
}

/// What happens to each Workflow, side by side, since each has to be waited for as long.
const CASES: [&str; 4] = ["place", "suspended", "deleted", "broken"];

/// One case: two hooks of its own, one after the other, and its operation.
struct Case {
    name: &'static str,
    first: Hook,
    second: Hook,
    id: OperationId,
}

impl Case {
    fn new(managed: &Managed<'_>, name: &'static str) -> Result<Self> {
        let only = format!("case={name}");
        let hook = |order: &str| {
            managed.team.hook(&format!("{name}-{order}")).tenant("selector", &only).gated_witness("0")
        };
        let first = hook("first");
        let second = hook("second").after(first.name());
        managed.argo.apply(&[&first, &second])?;
        Ok(Self { name, first, second, id: OperationId(uuid::Uuid::nil()) })
    }

    fn workflow(&self, round: u32) -> String {
        Managed::name(self.id, round)
    }
}

fn silent(world: &World) -> Result<()> {
    let folder = world.folder().join("failpoints");
    plan(&folder, points::SILENT)?;
    let failpoints = folder.display().to_string();
    let mut managed = Managed::with(world, &["--workflow-silent", "1m"], &[(VARIABLE, &failpoints)])?;
    let cluster = world.cluster()?;
    // All hooks before any operation: each discovery finds the same ones.
    let mut cases = CASES.into_iter().map(|name| Case::new(&managed, name)).collect::<Result<Vec<_>>>()?;
    for case in &mut cases {
        let accepted = managed.site.create_environment(case.name, REGION, json!({"case": case.name}))?;
        case.id = accepted.operation.context("an operation")?.id;
    }
    for case in &cases {
        managed.wait_for_start(case.id, &case.first, 1)?;
        managed.wait_for_phase(&case.workflow(1), &case.first, "Running")?;
    }
    let [place, suspended, deleted, broken] = &cases[..] else { anyhow::bail!("four cases") };

    for case in [suspended, deleted] {
        patch(&managed, &case.workflow(1), "merge", &json!({"spec": {"suspend": true}}))?;
    }
    break_bridges(&managed, &broken.workflow(1))?;
    for case in [suspended, deleted, broken] {
        world.open(&[case.first.name()])?;
        managed.wait_for_state(case.id, &case.first, StepState::Succeeded)?;
        managed.wait_for_phase(&case.workflow(1), &case.first, "Succeeded")?;
    }
    let failed = managed.argo.ended(&broken.workflow(1))?;
    ensure!(failed["status"]["phase"] == "Failed", "{}", failed["status"]);
    for case in [suspended, deleted] {
        let workflow = managed.argo.workflow(&case.workflow(1))?;
        ensure!(bridges(&workflow).len() == 1, "the next level has begun: {:?}", bridges(&workflow));
    }
    let uid = uid(&managed, deleted)?;
    cluster.kubectl(&["delete", "workflow", "-n", ARGO, &deleted.workflow(1)])?;
    // Its bridge is lost, and no node takes the next one.
    let nodes = cluster.get(&["nodes"])?;
    let node = nodes["items"][0]["metadata"]["name"].as_str().context("a node")?.to_owned();
    cluster.kubectl(&["cordon", &node])?;
    let pods = format!("workflows.argoproj.io/workflow={}", place.workflow(1));
    cluster.kubectl(&["delete", "pods", "-n", ARGO, "-l", &pods, "--force", "--grace-period=0"])?;

    managed.ended_at(&folder, points::SILENT)?;
    for case in &cases {
        eventually(format!("attention about the Workflow that is {}", case.name), || {
            Ok(missing(&managed, case)?.then_some(()))
        })?;
        managed.site.wait_for(case.id, "the attempt to be unknown", |operation| {
            is_unknown(operation).then_some(())
        })?;
    }
    cluster.kubectl(&["uncordon", &node])?;
    goes_on(&managed, &cases)?;

    ensure!(self::uid(&managed, deleted)? != uid, "it was not made anew");
    let mut wanted: Vec<String> = cases.iter().map(|case| case.workflow(1)).collect();
    wanted.push(broken.workflow(2));
    wanted.sort();
    ensure!(managed.argo.workflows()? == wanted, "{:?}", managed.argo.workflows()?);
    managed.site.finish()
}

/// Each as a person would let it, or by itself.
fn goes_on(managed: &Managed<'_>, cases: &[Case]) -> Result<()> {
    let world = managed.world;
    for case in cases {
        let id = case.id.to_string();
        match case.name {
            "suspended" => {
                patch(managed, &case.workflow(1), "merge", &json!({"spec": {"suspend": null}}))?;
            }
            "broken" => {
                let reason = "its bridges cannot begin";
                managed.site.cli(&["op", "pause", &id, "--reason", reason])?.expect(0)?;
                managed.site.cli(&["op", "resume", &id])?.expect(0)?;
            }
            // The event was sent again already, and the other one has a place now.
            _ => {}
        }
    }
    for case in cases {
        if case.name == "place" {
            managed.site.wait_for(case.id, "the attempt to be found", |operation| {
                (!is_unknown(operation)).then_some(())
            })?;
            world.open(&[case.first.name()])?;
        }
        managed.wait_for_start(case.id, &case.second, 1)?;
        world.open(&[case.second.name()])?;
        managed.site.wait_succeeded(case.id)?;
        ensure!(!missing(managed, case)?, "attention about {} stays", case.name);
        world
            .witness()
            .check(case.id, &[(case.first.name(), &[]), (case.second.name(), &[case.first.name()])])?;
        for hook in [&case.first, &case.second] {
            ensure!(world.witness().starts(case.id, hook.name())? == 1, "{} ran twice", hook.path());
        }
        managed.argo.succeeded(&case.workflow(if case.name == "broken" { 2 } else { 1 }))?;
    }
    Ok(())
}

fn missing(managed: &Managed<'_>, case: &Case) -> Result<bool> {
    let of_it = AttentionQuery { operation: Some(case.id), ..AttentionQuery::default() };
    let open = managed.site.call(managed.site.client().attention(&of_it))?.items;
    Ok(open.iter().any(|one| one.kind == AttentionKind::WorkflowMissing))
}

fn is_unknown(operation: &Operation) -> bool {
    let mut attempts = operation.steps.iter().flatten().flat_map(|step| &step.attempts);
    attempts.any(|attempt| attempt.unknown_since.is_some())
}

fn uid(managed: &Managed<'_>, case: &Case) -> Result<Value> {
    Ok(managed.argo.workflow(&case.workflow(1))?["metadata"]["uid"].clone())
}

fn patch(managed: &Managed<'_>, workflow: &str, kind: &str, patch: &Value) -> Result<()> {
    let kind = format!("--type={kind}");
    let patch = patch.to_string();
    managed
        .world
        .cluster()?
        .kubectl(&["patch", "workflow", "-n", ARGO, workflow, &kind, "-p", &patch])
        .map(drop)
}

/// Somebody edits the running Workflow: a flag that no bridge knows. The one that runs is not touched by it.
fn break_bridges(managed: &Managed<'_>, name: &str) -> Result<()> {
    let workflow = managed.argo.workflow(name)?;
    let templates = workflow["status"]["storedWorkflowTemplateSpec"]["templates"].as_array();
    let at = templates.and_then(|all| all.iter().position(|one| one["name"] == "bridge"));
    let at = at.with_context(|| format!("no template of bridges: {}", workflow["status"]))?;
    let path = format!("/status/storedWorkflowTemplateSpec/templates/{at}/container/args/-");
    let add = json!([{"op": "add", "path": path, "value": "--no-such-flag"}]);
    patch(managed, name, "json", &add)
}
