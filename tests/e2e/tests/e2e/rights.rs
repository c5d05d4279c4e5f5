//! The shipped manifests for an agent that searches the whole cluster, exactly as they are: enough, and no more.

use crate::reasons::step;
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tenantry_client::StepVerb;
use tenantry_e2e::{AgentSettings, Answer, Cluster, Needs, Site, Team, World, eventually, repository, trial};
use tenantry_model::{FailureReason, StepState};

pub fn trials() -> Vec<Trial> {
    // Of its own: in a shared one the agent would find the hooks of all other tests.
    vec![trial(
        Needs::OwnCluster(&["--nodes", "2", "--pod-eviction", "6h"]),
        "the_shipped_rights_for_a_whole_cluster_are_enough_and_no_more",
        whole_cluster,
    )]
}

/// A kubeconfig with a token of the shipped service account.
pub fn agent_kubeconfig(world: &World) -> Result<PathBuf> {
    let cluster = world.cluster()?;
    let token = cluster.kubectl(&["create", "token", "agent", "-n", "tenantry-agent", "--duration=1h"])?;
    let admin: Value = serde_json::from_str(&cluster.kubectl(&["config", "view", "--raw", "-o", "json"])?)?;
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "agent",
        "clusters": [{"name": "c", "cluster": admin["clusters"][0]["cluster"]}],
        "users": [{"name": "agent", "user": {"token": token.trim()}}],
        "contexts": [{"name": "agent", "context": {"cluster": "c", "user": "agent"}}]
    });
    let path = world.folder().join("agent.kubeconfig");
    std::fs::write(&path, kubeconfig.to_string())?;
    Ok(path)
}

fn whole_cluster(world: &World) -> Result<()> {
    let (cluster, deploy) = (world.cluster()?, repository().join("deploy/agent"));
    let (crm, billing) = (world.team_named("crm")?, world.team_named("billing")?);
    let files = ["namespace.yaml", "discovery-cluster.yaml", "nodes.yaml", "network.yaml"];
    let files = files.map(|file| deploy.join(file));
    cluster.apply_files(&files.each_ref().map(PathBuf::as_path))?;
    // Accepted as it is; nothing in the test bed enforces it (docs/testing.md).
    let policy = cluster.get(&["networkpolicy", "agent", "-n", "tenantry-agent"])?;
    ensure!(policy["spec"]["policyTypes"] == json!(["Ingress", "Egress"]), "{policy}");
    the_agent_itself(world, &deploy.join("agent.yaml"))?;
    let consent = |team: &Team| {
        let file = deploy.join("team.yaml").display().to_string();
        cluster.kubectl(&["apply", "-n", &team.namespace, "-f", &file]).map(drop)
    };
    consent(&crm)?;
    let open = crm.hook("open").witness(0, "0");
    let stuck = crm.hook("stuck").shell("exec tb sleep $([ $LIFECYCLE_ATTEMPT = 1 ] && echo 6h || echo 0)");
    let closed = billing.hook("closed").witness(0, "0");
    cluster.apply(&[open.manifest(), stuck.manifest(), closed.manifest()])?;

    let kubeconfig = agent_kubeconfig(world)?;
    let mut site = Site::start(world, &[])?;
    // A log on a node that is gone cannot be read to its end.
    site.expect_log("the log cannot be read to its end");
    site.expect_log("the log's end did not come in time");
    // Of the team that has not let it in yet.
    site.expect_log("the watch of the attempts broke");
    site.add_region("eu1", AgentSettings::kubernetes(&kubeconfig, &[]))?;
    // Found everywhere, also where no team has let it in.
    site.wait_for_hooks("eu1", &[&open.path(), &stuck.path(), &closed.path()])?;
    let id = site.provision("prod", "eu1")?;
    let refused = site.wait_ended_attempt(id, "closed")?.outcome.context("an outcome")?;
    ensure!(refused.reason == Some(FailureReason::Rejected), "{refused:?}");
    ensure!(refused.message.contains("forbidden") && refused.message.contains("billing"), "{refused:?}");
    consent(&billing)?;
    site.steer(id, "closed", StepVerb::rerun(), "the team has let it in")?;
    site.wait_for(id, "the steps of both teams", |operation| {
        let done = |name| step(operation, name).is_ok_and(|step| step.state == StepState::Succeeded);
        (done("open") && done("closed")).then_some(())
    })?;

    out_of_service(world, &site, id)?;
    site.wait_succeeded(id)?;
    nothing_else(cluster, &kubeconfig)?;
    site.finish()
}

/// The API server takes the shipped Deployment, and the namespace's policy its Pod; here the agents are programs of the
/// test.
fn the_agent_itself(world: &World, file: &Path) -> Result<()> {
    let cluster = world.cluster()?;
    let dry_run = |file: &Path| {
        let file = file.display().to_string();
        cluster.kubectl(&["create", "--dry-run=server", "-o", "json", "-f", &file])
    };
    let answer = dry_run(file)?;
    // One document after the other, not a list.
    let made: Vec<Value> =
        serde_json::Deserializer::from_str(&answer).into_iter().collect::<Result<_, _>>()?;
    let deployment = made.iter().find(|made| made["kind"] == "Deployment").context("a Deployment")?;
    let template = &deployment["spec"]["template"];
    // Under `restricted` a Deployment only warns; its Pod is what would be refused.
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
        "metadata": {"name": "agent", "namespace": "tenantry-agent", "labels": template["metadata"]["labels"]},
    });
    let path = world.folder().join("agent-pod.json");
    std::fs::write(&path, pod.to_string())?;
    dry_run(&path).map(drop)
}

/// `nodes.yaml` is for this: a person vouches that nothing runs on a node, and the attempt on it is over.
fn out_of_service(world: &World, site: &Site, id: tenantry_model::OperationId) -> Result<()> {
    let cluster = world.cluster()?;
    let node = site.wait_for(id, "the hook on its node", |operation| {
        step(operation, "stuck").ok()?.attempts.first()?.node.clone()
    })?;
    let kubelet = if node.ends_with("-2") { "kubelet-2" } else { "kubelet" };
    cluster.steer("freeze", kubelet)?;
    site.wait_for(id, "the attempt to be unknown", |operation| {
        let attempt = step(operation, "stuck").ok()?.attempts.first()?;
        attempt.unknown_since.map(drop)
    })?;
    cluster.kubectl(&["taint", "node", &node, "node.kubernetes.io/out-of-service=shutdown:NoExecute"])?;
    let over = site.wait_for(id, "the attempt to be over", |operation| {
        step(operation, "stuck").ok()?.attempts.first()?.outcome.clone()
    })?;
    ensure!(over.reason == Some(FailureReason::Evicted), "{over:?}");
    Ok(())
}

/// What the manifests do not name is forbidden, in their own words.
fn nothing_else(cluster: &Cluster, kubeconfig: &std::path::Path) -> Result<()> {
    let kubeconfig = kubeconfig.display().to_string();
    for args in [
        &["get", "secrets", "-A"][..],
        &["get", "secrets", "-n", "crm"],
        &["get", "nodes"],
        &["label", "node", "--all", "x=y"],
        &["get", "pods", "-A"],
        &["delete", "job", "closed", "-n", "tenantry-agent"],
        &["create", "job", "x", "--image=x", "-n", "default"],
        &["get", "configmaps", "-n", "default"],
        &["create", "rolebinding", "x", "--clusterrole=admin", "--serviceaccount=crm:default", "-n", "crm"],
        &["get", "clusterroles"],
        &["create", "token", "default", "-n", "crm"],
        &["get", "namespaces"],
    ] {
        let full = [&["--kubeconfig", &kubeconfig], args].concat();
        let answer: Answer = cluster.try_kubectl(&full)?;
        let said = answer.err.to_lowercase();
        ensure!(answer.code == Some(1) && said.contains("forbidden"), "{args:?}: {answer:?}");
    }
    eventually("what it may do", || {
        Ok(cluster.kubectl(&["--kubeconfig", &kubeconfig, "get", "jobs", "-A"]).ok())
    })
    .map(drop)
}
