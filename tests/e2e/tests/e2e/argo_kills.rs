//! Fifty operations are asked for while all that carries them is killed in turn: Argo Events, its bus, Argo Workflows, the
//! API server, the manager, the bridges. Each of them ends, and no hook ran twice.

use crate::argo_managed::{Managed, REGION};
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tenantry_e2e::argo::{ARGO, PARTS};
use tenantry_e2e::{Hook, Needs, World, eventually, trial};
use tenantry_model::OperationId;

pub fn trials() -> Vec<Trial> {
    vec![trial(Needs::OwnCluster(PARTS), "fifty_operations_outlive_whatever_carries_them", fifty)]
}

const OPERATIONS: usize = 50;
/// Every so many operations have a hook that is at work until the test lets it go.
const HELD: usize = 10;

/// When an API server that has just started refuses what it asks, it ends itself, or stays and writes the same words into its log for
/// ever. As installed it is a Pod, which its probe ends and the kubelet starts again.
const CONTROLLER: &str = "workflow-controller";

/// What happens right before so many operations are asked for.
const FAULTS: &[(usize, Fault)] = &[
    (4, Fault::KillPod("sensor-name=tenantry-operations")),
    (9, Fault::Kill("nats")),
    (12, Fault::Start("nats")),
    (16, Fault::KillPod("eventsource-name=tenantry-operations")),
    (20, Fault::Kill(CONTROLLER)),
    (26, Fault::Start(CONTROLLER)),
    (28, Fault::Kill("apiserver")),
    (29, Fault::Start("apiserver")),
    (29, Fault::AsTheKubeletWould(CONTROLLER)),
    (30, Fault::Manager),
    (34, Fault::Evict("sensor-name=tenantry-operations")),
    (38, Fault::KillPod("sensor-name=tenantry-operations")),
    (42, Fault::Kill("nats")),
    (43, Fault::Start("nats")),
    (46, Fault::Manager),
];

#[derive(Clone, Copy)]
enum Fault {
    /// SIGKILL to the first process of each Pod with this label; the API server is told nothing.
    KillPod(&'static str),
    /// The Pods with this label are evicted, as when a node is drained.
    Evict(&'static str),
    /// SIGKILL to a process of the test bed.
    Kill(&'static str),
    Start(&'static str),
    /// The end of a process of the test bed, if it has not ended, and its next life.
    AsTheKubeletWould(&'static str),
    /// SIGKILL to the manager, and its next life.
    Manager,
}

impl Fault {
    fn happen(self, managed: &mut Managed<'_>) -> Result<()> {
        let cluster = managed.world.cluster()?;
        match self {
            Self::KillPod(label) => {
                for pod in pods(managed, &["-l", label])? {
                    // It may be gone, or not begun, by now: then something else ends it.
                    drop(cluster.steer("kill", &format!("pod/{ARGO}/{}", name(&pod))));
                }
                Ok(())
            }
            Self::Evict(label) => {
                pods(managed, &["-l", label])?.iter().try_for_each(|pod| evict(managed, name(pod)))
            }
            Self::Kill(part) => cluster.steer("kill", part),
            Self::Start(part) => {
                cluster.steer("start", part)?;
                // The next faults ask it for Pods.
                cluster.wait_for_api()
            }
            Self::AsTheKubeletWould(part) => {
                // It may have ended itself.
                drop(cluster.steer("kill", part));
                cluster.steer("start", part)
            }
            Self::Manager => {
                managed.site.kill_manager()?;
                managed.site.start_manager()
            }
        }
    }
}

fn fifty(world: &World) -> Result<()> {
    let mut managed = Managed::new(world)?;
    let first = managed.team.hook("first").witness(0, "0");
    let held = managed.team.hook("held").after("first").tenant("selector", "tier=gold").gated_witness("0");
    managed.argo.apply(&[&first, &held])?;
    managed.site.expect_log("the event for a Workflow was not taken");

    let mut asked: Vec<(OperationId, bool)> = Vec::new();
    for number in 0..OPERATIONS {
        for (_, fault) in FAULTS.iter().filter(|(at, _)| *at == number) {
            fault.happen(&mut managed)?;
        }
        let gold = number % HELD == 0;
        let labels = json!({"tier": if gold { "gold" } else { "silver" }});
        let accepted = managed.site.create_environment(&format!("prod-{number}"), REGION, labels)?;
        asked.push((accepted.operation.context("an operation")?.id, gold));
    }
    bridges_are_lost(&managed, &held, &asked)?;
    world.open(&["held"])?;

    for (id, gold) in &asked {
        managed.site.wait_succeeded(*id)?;
        let order: &[(&str, &[&str])] =
            if *gold { &[("first", &[]), ("held", &["first"])] } else { &[("first", &[])] };
        world.witness().check(id, order)?;
        for (step, _) in order {
            ensure!(world.witness().starts(id, step)? == 1, "{step} of {id} ran twice");
        }
        managed.argo.succeeded(&Managed::name(*id, 1))?;
    }
    ensure!(managed.argo.workflows()?.len() == OPERATIONS, "{:?}", managed.argo.workflows()?);
    ensure!(managed.argo.dead_letters()?.is_empty(), "{:?}", managed.argo.dead_letters()?);
    managed.site.finish()
}

/// Bridges whose hooks are at work are evicted, removed by force, and killed, by turns. The hooks go on, and other bridges find
/// them.
fn bridges_are_lost(managed: &Managed<'_>, held: &Hook, asked: &[(OperationId, bool)]) -> Result<()> {
    let gold: Vec<OperationId> = asked.iter().filter(|(_, gold)| *gold).map(|(id, _)| *id).collect();
    for id in &gold {
        managed.wait_for_start(*id, held, 1)?;
    }
    let mut lost = Vec::new();
    for (number, id) in gold.iter().enumerate() {
        let bridge = bridge_of(managed, *id, held)?.with_context(|| format!("a bridge of {id}"))?;
        let (pod, uid) = (name(&bridge).to_owned(), uid(&bridge));
        match number % 3 {
            0 => evict(managed, &pod)?,
            1 => {
                let force = ["delete", "pod", "-n", ARGO, &pod, "--force", "--grace-period=0"];
                managed.world.cluster()?.kubectl(&force)?;
            }
            _ => managed.world.cluster()?.steer("kill", &format!("pod/{ARGO}/{pod}/main"))?,
        }
        lost.push((*id, uid));
    }
    for (id, uid_before) in lost {
        eventually(format!("another bridge of {id}"), || {
            let bridge = bridge_of(managed, id, held)?;
            Ok(bridge.filter(|bridge| uid(bridge) != uid_before).map(drop))
        })?;
    }
    Ok(())
}

/// The running Pod of the bridge of a step.
fn bridge_of(managed: &Managed<'_>, id: OperationId, hook: &Hook) -> Result<Option<Value>> {
    let workflow = format!("workflows.argoproj.io/workflow={}", Managed::name(id, 1));
    let job = format!("--job={}", hook.path());
    let found = pods(managed, &["-l", &workflow, "--field-selector", "status.phase=Running"])?;
    Ok(found.into_iter().find(|pod| {
        let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
        let mut args = containers.filter_map(|container| container["args"].as_array()).flatten();
        pod["metadata"]["deletionTimestamp"].is_null() && args.any(|arg| arg == job.as_str())
    }))
}

fn pods(managed: &Managed<'_>, flags: &[&str]) -> Result<Vec<Value>> {
    let mut list = managed.world.cluster()?.get(&[&["pods", "-n", ARGO], flags].concat())?;
    match list["items"].take() {
        Value::Array(items) => Ok(items),
        other => anyhow::bail!("not a list: {other}"),
    }
}

fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap_or_default()
}

fn uid(pod: &Value) -> String {
    pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

fn evict(managed: &Managed<'_>, pod: &str) -> Result<()> {
    let body =
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": ARGO}});
    let path = format!("/api/v1/namespaces/{ARGO}/pods/{pod}/eviction");
    managed.world.cluster()?.kubectl_with(&["create", "--raw", &path, "-f", "-"], &body.to_string()).map(drop)
}
