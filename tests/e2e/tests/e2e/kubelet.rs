//! A kubelet that stops and comes back. While it is silent nobody can tell whether its containers run: they do, for
//! only the kubelet is frozen. The witness says how often each hook really ran.

use crate::reasons::step;
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;
use tenantry_api_types::v1::{AttentionQuery, Operation, Step};
use tenantry_client::{Call, StepVerb};
use tenantry_e2e::{AgentSettings, Cluster, Hook, Needs, Run, Site, Team, World, eventually, trial};
use tenantry_model::{AttemptState, AttentionKind, FailureReason, OperationId, StepState};

/// Two nodes, so that an attempt that is asked for has a place while the first one is silent. It is called silent after
/// 20 s; the eviction comes when the test asks for it, however slow the machine is.
const NODES: Needs = Needs::OwnCluster(&["--nodes", "2", "--pod-eviction", "6h"]);

pub fn trials() -> Vec<Trial> {
    vec![
        trial(NODES, "a_kubelet_that_is_back_before_the_eviction_changes_nothing", back_early),
        trial(NODES, "a_kubelet_that_is_back_after_the_eviction_tells_what_was_unknown", back_late),
    ]
}

/// Only the first node takes it.
fn pinned(cluster: &Cluster, hook: Hook) -> Result<Hook> {
    Ok(hook.pod("nodeSelector", json!({"kubernetes.io/hostname": first_node(cluster)?})))
}

/// The first node takes it as long as it is there, then the other.
fn prefers_first(cluster: &Cluster, hook: Hook) -> Result<Hook> {
    let term = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [first_node(cluster)?]});
    let preferred = json!([{"weight": 100, "preference": {"matchExpressions": [term]}}]);
    Ok(hook.pod(
        "affinity",
        json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}),
    ))
}

fn first_node(cluster: &Cluster) -> Result<String> {
    let nodes = cluster.get(&["nodes"])?;
    let mut names: Vec<&str> = nodes["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|node| node["metadata"]["name"].as_str())
        .collect();
    names.sort_unstable();
    Ok((*names.first().context("a node")?).to_owned())
}

/// The first attempt is at work for a long time, a second one is done at once.
fn long_once(team: &Team, name: &str) -> Hook {
    let script = format!(
        "[ $LIFECYCLE_ATTEMPT = 1 ] && sleep=6h || sleep=0s; \
         exec tb witness /witness/records --name {name} --sleep $sleep"
    );
    // The witness's volume, but another command.
    team.hook(name).witness(0, "0").shell(&script).pod("terminationGracePeriodSeconds", json!(120))
}

/// Starts the hooks as one operation and freezes the first node's kubelet when all of them are at work.
fn begin(world: &World, hooks: &[&Hook], namespace: &str) -> Result<(Site, OperationId)> {
    let cluster = world.cluster()?;
    cluster.apply(&hooks.iter().map(|hook| hook.manifest()).collect::<Vec<_>>())?;
    let mut site = Site::start(world, &[])?;
    let agent = AgentSettings::kubernetes(&cluster.kubeconfig, &[namespace])
        // What waits for the silent node is patient.
        .flag("unschedulable-tolerance", "5m")
        .flag("keep-failed", "0s");
    site.add_region("eu1", agent)?;
    let paths: Vec<String> = hooks.iter().map(|hook| hook.path()).collect();
    site.wait_for_hooks("eu1", &paths.iter().map(String::as_str).collect::<Vec<_>>())?;
    let name = "lifecycle.upsert".parse()?;
    let mut known = site.call(site.client().definition(&name))?;
    known.definition.unknown_deadline = jiff::SignedDuration::from_secs(10);
    site.call(site.client().put_definition(&known.definition, &Call::if_match(known.etag)))?;

    let id = site.provision("prod", "eu1")?;
    eventually("all hooks at work", || Ok((world.witness().runs(id)?.len() == hooks.len()).then_some(())))?;
    site.wait_for(id, "all attempts seen running", |operation| {
        let mut steps = operation.steps.iter().flatten();
        steps.all(|step| newest_is(step, AttemptState::Running)).then_some(())
    })?;
    cluster.steer("freeze", "kubelet")?;
    Ok((site, id))
}

fn newest_is(step: &Step, state: AttemptState) -> bool {
    step.attempts.last().is_some_and(|attempt| attempt.state == state)
}

fn runs_of(world: &World, id: OperationId, name: &str) -> Result<Vec<Run>> {
    Ok(world.witness().runs(id)?.into_iter().filter(|run| run.start.name == name).collect())
}

fn wait_unknown(site: &Site, id: OperationId, names: &[&str]) -> Result<()> {
    site.wait_for(id, "the attempts to be unknown", |operation| {
        let unknown = |name: &&str| {
            let first = step(operation, name).ok().and_then(|step| step.attempts.first());
            first.is_some_and(|attempt| attempt.unknown_since.is_some() && attempt.outcome.is_none())
        };
        names.iter().all(unknown).then_some(())
    })
}

fn wait_ended(world: &World, id: OperationId, names: &[&str]) -> Result<()> {
    eventually(format!("the end of {names:?}"), || {
        let runs = world.witness().runs(id)?;
        let ended = |name: &&str| runs.iter().any(|run| run.start.name == **name && run.end.is_some());
        Ok(names.iter().all(ended).then_some(()))
    })
}

fn back_early(world: &World) -> Result<()> {
    let cluster = world.cluster()?;
    let team = world.team("crm")?;
    let pod = pinned(cluster, team.hook("pod").gated_witness("0"))?;
    // With retries left: a silent node is no reason for one.
    let fails = pinned(cluster, team.hook("fails").gated_witness("first:3").tenant("retries", "1"))?;
    let job = pinned(cluster, team.hook("job").gated_witness("0").tenant("attempt-kind", "job"))?;
    let (site, id) = begin(world, &[&pod, &fails, &job], &team.namespace)?;
    wait_unknown(&site, id, &["pod", "fails", "job"])?;
    // One has ended when the kubelet is back, the others have not.
    world.open(&["fails"])?;
    wait_ended(world, id, &["fails"])?;
    cluster.steer("thaw", "kubelet")?;
    site.wait_for(id, "the attempts to be known again", |operation| {
        let known = |name| {
            let newest = step(operation, name).ok().and_then(|step| step.attempts.last());
            newest.is_some_and(|attempt| attempt.unknown_since.is_none())
        };
        (known("pod") && known("job")).then_some(())
    })?;
    world.open(&["pod", "job"])?;

    let operation = site.wait_succeeded(id)?;
    for name in ["pod", "job"] {
        let step = step(&operation, name)?;
        ensure!(step.attempts.len() == 1 && world.witness().starts(id, name)? == 1, "{step:?}");
        ensure!(step.attempts[0].unknown_since.is_none(), "{step:?}");
        ensure!(site.log_text(id, name, 1)?.contains("\"event\":\"end\""), "the log is whole");
    }
    let failed = step(&operation, "fails")?;
    let outcome = failed.attempts[0].outcome.as_ref().context("an outcome")?;
    ensure!(outcome.reason == Some(FailureReason::HookFailed) && outcome.exit_code == Some(3), "{outcome:?}");
    ensure!(failed.attempts.len() == 2, "{failed:?}");
    world.witness().check(id, &[("pod", &[]), ("fails", &[]), ("job", &[])])?;
    site.finish()
}

fn back_late(world: &World) -> Result<()> {
    let cluster = world.cluster()?;
    let team = world.team("crm")?;
    // Done while nobody can see it.
    let short = pinned(cluster, team.hook("short").gated_witness("0"))?;
    let job = pinned(cluster, team.hook("job").gated_witness("0").tenant("attempt-kind", "job"))?;
    // Still at work when the node is evicted.
    let long = prefers_first(cluster, long_once(&team, "long"))?;
    let retry = prefers_first(cluster, long_once(&team, "retry").tenant("on-lost", "retry"))?;
    let given_up = prefers_first(cluster, long_once(&team, "given-up"))?;
    let all = ["short", "job", "long", "retry", "given-up"];
    let (site, id) = begin(world, &[&short, &job, &long, &retry, &given_up], &team.namespace)?;
    let node = first_node(cluster)?;
    let placed = site.operation(id)?;
    for name in all {
        let attempt = &step(&placed, name)?.attempts[0];
        ensure!(
            attempt.node.as_deref() == Some(&node),
            "{name} is not on the node that falls silent: {attempt:?}"
        );
    }

    world.open(&["short", "job"])?;
    wait_ended(world, id, &["short", "job"])?;
    wait_unknown(&site, id, &["short", "job", "long", "given-up"])?;
    // A person is told, of each one that stays unknown.
    eventually("attention for what is unknown", || {
        let query = AttentionQuery { operation: Some(id), ..AttentionQuery::default() };
        let open = site.call(site.client().attention(&query))?.items;
        let told = |name: &&str| {
            open.iter().any(|item| {
                item.kind == AttentionKind::AttemptUnknown
                    && item.hook.as_ref().is_some_and(|hook| hook.name.as_str() == *name)
                    && item.message.contains(&node)
                    && item.remedy.contains("tenantry op declare-lost")
            })
        };
        Ok(["short", "job", "long", "given-up"].iter().all(told).then_some(()))
    })?;
    // Asked for by its author: another attempt, which may overlap the first and did.
    let overlapped = site.wait_for(id, "the attempt that on-lost: retry starts", |operation| {
        step(operation, "retry").ok().filter(|step| step.state == StepState::Succeeded).cloned()
    })?;
    says_that_it_may_overlap(world, id, &overlapped)?;
    // Nobody may start another one beside what may still run, and a person gets out by saying so.
    let refused =
        site.steer(id, "given-up", StepVerb::rerun(), "hurry").err().context("a rerun was not refused")?;
    ensure!(
        refused.to_string().starts_with("409") && refused.to_string().contains("declare it lost"),
        "{refused:#}"
    );
    let lost = ["op", "declare-lost", &id.to_string(), &given_up.path(), "--reason", "the node burns"];
    site.cli(&lost)?.expect(0)?;
    let step_lost = site.operation(id)?;
    let step_lost = step(&step_lost, "given-up")?;
    ensure!(step_lost.waiting && newest_is(step_lost, AttemptState::Lost), "{step_lost:?}");
    let lost_message = step_lost.attempts[0].outcome.as_ref().map(|outcome| outcome.message.clone());
    ensure!(lost_message.as_deref().is_some_and(|said| said.contains("the node burns")), "{lost_message:?}");
    site.steer(id, "given-up", StepVerb::rerun(), "on the other node")?;

    evict(world, &team.namespace, &node)?;
    let before = site.operation(id)?;
    for name in ["short", "job", "long"] {
        let step = step(&before, name)?;
        ensure!(
            step.attempts.len() == 1 && step.attempts[0].outcome.is_none(),
            "an eviction proves nothing: {step:?}"
        );
        ensure!(runs_of(world, id, name)?.len() == 1, "a second run that nobody asked for");
    }
    cluster.steer("thaw", "kubelet")?;

    let operation = site.wait_succeeded(id)?;
    truth_came_out(world, &site, &operation)
        .with_context(|| format!("{operation:#?}\n{:#?}", world.witness().runs(id)))?;
    site.finish()
}

fn says_that_it_may_overlap(world: &World, id: OperationId, step: &Step) -> Result<()> {
    let [first, second] = &step.attempts[..] else { anyhow::bail!("{step:?}") };
    let outcome = first.outcome.as_ref().context("an outcome")?;
    ensure!(first.state == AttemptState::Lost && outcome.reason == Some(FailureReason::Lost), "{first:?}");
    ensure!(outcome.message.contains("may overlap it (on-lost: retry)"), "{outcome:?}");
    ensure!(second.node != first.node, "{second:?}");
    let runs = runs_of(world, id, "retry")?;
    ensure!(runs.len() == 2 && runs[0].end.is_none() && runs[1].end.is_some(), "{runs:?}");
    Ok(())
}

/// Lets the eviction controller end all Pods of the node, and waits until it has asked for that.
fn evict(world: &World, namespace: &str, node: &str) -> Result<()> {
    // The taint that a silent node gets is tolerated for hours here; nothing tolerates this one.
    world.cluster()?.kubectl(&["taint", "node", node, "e2e=silent:NoExecute"])?;
    eventually("the eviction", || {
        let field = format!("spec.nodeName={node}");
        let pods = world.cluster()?.get(&["pods", "-n", namespace, "--field-selector", &field])?;
        let pods = pods["items"].as_array().cloned().unwrap_or_default();
        let all = pods.iter().all(|pod| pod["metadata"]["deletionTimestamp"].is_string());
        Ok((!pods.is_empty() && all).then_some(()))
    })
}

fn truth_came_out(world: &World, site: &Site, operation: &Operation) -> Result<()> {
    let id = operation.id;
    for name in ["short", "job"] {
        let step = step(operation, name)?;
        ensure!(step.attempts.len() == 1 && newest_is(step, AttemptState::Succeeded), "{step:?}");
        let runs = runs_of(world, id, name)?;
        ensure!(runs.len() == 1 && runs[0].end.as_ref().is_some_and(|end| end.exit == Some(0)), "{runs:?}");
    }
    // Known to be over, as the node's fault: only then another attempt.
    let long = step(operation, "long")?;
    ensure!(long.attempts.len() == 2, "{long:?}");
    let outcome = long.attempts[0].outcome.as_ref().context("an outcome")?;
    ensure!(outcome.reason == Some(FailureReason::Evicted), "{outcome:?}");
    let runs = runs_of(world, id, "long")?;
    ensure!(runs.len() == 2, "{runs:?}");
    let over = runs[0].end.as_ref().context("the first run said no end")?;
    ensure!(over.event == "term" && over.at <= runs[1].start.at, "two attempts overlap: {runs:?}");
    for name in ["retry", "given-up"] {
        let step = step(operation, name)?;
        ensure!(step.attempts.len() == 2 && runs_of(world, id, name)?.len() == 2, "{step:?}");
        let late = site.wait_for(id, "what the lost attempt came to", |operation| {
            crate::reasons::step(operation, name).ok()?.attempts.first()?.late_outcome.clone()
        })?;
        ensure!(late.reason == Some(FailureReason::Evicted), "history only: {late:?}");
        ensure!(site.log_text(id, name, 1)?.contains("\"event\":\"start\""), "the lost attempt's log");
    }
    Ok(())
}
