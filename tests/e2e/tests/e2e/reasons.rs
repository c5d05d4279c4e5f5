//! Every reason for which an attempt can fail on one node: what tenantry says of it, what it does then, and that the
//! log stays. All hooks are steps of one operation, so that the whole takes as long as the slowest.

use crate::place::{OVER_ARGO, Place, Setup};
use crate::reasons_cases::{Blow, Case, Kind, Teams, Then, all, all_over_argo, gate, go_file, node_label};
use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use tenantry_api_types::v1::{Attempt, AttentionQuery, Operation, Step};
use tenantry_client::StepVerb;
use tenantry_e2e::{Hook, Needs, Site, World, eventually, trial, within};
use tenantry_model::{
    AttemptId, AttemptState, AttentionKind, FailureReason, HookRef, KillCause, OperationId, StepState,
};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(Needs::Cluster, "every_reason_of_a_pod_is_named_and_its_log_stays", |world| {
            every_reason(world, Place::Agent, Kind::Pod)
        }),
        trial(Needs::Cluster, "every_reason_of_a_job_is_named_and_its_log_stays", |world| {
            every_reason(world, Place::Agent, Kind::Job)
        }),
        trial(Needs::Argo, format!("every_reason_is_named_and_its_log_stays{OVER_ARGO}"), |world| {
            every_reason(world, Place::Argo, Kind::Pod)
        }),
    ]
}

/// Some attempts end only after tolerances, housekeeping of the kubelet and backoffs, all on a busy machine.
const ALL_SETTLED: Duration = Duration::from_mins(15);

/// A step by its hook's name.
pub fn step<'a>(operation: &'a Operation, name: &str) -> Result<&'a Step> {
    let found = operation.steps.iter().flatten().find(|step| step.hook.name.as_str() == name);
    found.with_context(|| format!("no step {name}"))
}

fn every_reason(world: &World, place: Place, kind: Kind) -> Result<()> {
    let cluster = world.cluster()?;
    let teams = Teams { crm: world.team("crm")?, full: world.team("full")?, tag: world.tag.clone() };
    allow_nothing(world, &teams.full.namespace)?;
    let cases = match place {
        Place::Agent => all(&teams, kind),
        Place::Argo => all_over_argo(&teams),
    };
    let gate = gate(&teams);
    let hooks: Vec<&Hook> = cases.iter().map(|case| &case.hook).chain([&gate]).collect();
    cluster.apply(&hooks.iter().map(|hook| hook.manifest()).collect::<Vec<_>>())?;

    let site = Setup::new(place, &[&teams.crm.namespace, &teams.full.namespace])
        .tolerance("image-pull", "3s")
        .tolerance("unschedulable", "5s")
        .tolerance("cannot-start", "3s")
        // A slow sandbox is not ended by it: no event says that it fails.
        .tolerance("preparing", "20s")
        .agent("keep-failed", "0s")
        // One level would wait for ever for the steps of the one before that wait for a person.
        .exact()
        .start(world)?;
    // Of what is evicted or forced away; it is said in the log as well.
    site.expect_log("the log cannot be read to its end");
    let paths: Vec<String> = hooks.iter().map(|hook| hook.path()).collect();
    site.wait_for_hooks("eu1", &paths.iter().map(String::as_str).collect::<Vec<_>>())?;

    let id = site.provision("prod", "eu1")?;
    planned(&site, id)?;
    let gone = cases.iter().find(|case| case.reason == FailureReason::TemplateGone);
    if let Some(case) = gone {
        cluster.kubectl(&["delete", "job", "-n", &teams.crm.namespace, case.hook.name()])?;
    }
    let squatter = squat(world, id, &teams, kind)?;
    let first_of_nowhere = "the first attempt that no node takes";
    site.wait_for(id, first_of_nowhere, |operation| {
        step(operation, "nowhere").ok()?.attempts.first()?.outcome.clone()
    })?;
    let label = node_label(&teams.tag);
    cluster.kubectl(&["label", "node", "--all", &format!("{label}=yes")])?;
    for case in cases.iter().filter(|case| case.blow != Blow::None) {
        strike(world, &site, id, case)?;
    }

    let operation = settled(&site, id)?;
    cluster.kubectl(&["label", "node", "--all", &format!("{label}-")])?;
    if place == Place::Argo {
        delete_what_failed(world, id, &teams.crm.namespace)?;
    }
    nothing_of_ours_is_left(world, &teams.crm.namespace, &squatter)?;
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| Some(format!("{}: {:#}", case.hook.path(), check(&site, &operation, case).err()?)))
        .collect();
    ensure!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    attention(&site, &operation, &cases)?;

    if let Some(Case { hook, .. }) = gone {
        cluster.apply(&[hook.manifest()])?;
        site.steer(id, hook.name(), StepVerb::rerun(), "it is back")?;
        site.wait_for(id, "the step whose template is back", |operation| {
            (step(operation, hook.name()).ok()?.state == StepState::Succeeded).then_some(())
        })?;
    }

    // Nothing moves while steps wait, and a person can always get out.
    site.cli(&["op", "cancel", &id.to_string(), "--reason", "seen enough"])?.expect(0)?;
    site.wait_done(id)?;
    site.finish()
}

/// A quota that allows neither Pods nor (counted) Jobs.
fn allow_nothing(world: &World, namespace: &str) -> Result<()> {
    let cluster = world.cluster()?;
    cluster.apply(&[json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "nothing", "namespace": namespace},
        "spec": {"hard": {"pods": "0"}}
    })])?;
    eventually("the quota to be counted", || {
        let quota = cluster.get(&["resourcequota", "nothing", "-n", namespace])?;
        Ok(quota["status"]["used"]["pods"].as_str().map(drop))
    })
}

fn planned(site: &Site, id: OperationId) -> Result<()> {
    site.wait_for(id, "the plan", |operation| {
        operation.steps.as_ref().filter(|steps| !steps.is_empty()).map(drop)
    })
}

/// Somebody else makes an object of the name that the first attempt of `taken` will have; then that step may go on.
fn squat(world: &World, id: OperationId, teams: &Teams, kind: Kind) -> Result<String> {
    let step =
        HookRef { region: "eu1".parse()?, namespace: teams.crm.namespace.parse()?, name: "taken".parse()? };
    let name = tenantry_hook::attempt_name(&AttemptId { operation: id, step, number: 1 });
    let pod = json!({
        "restartPolicy": "Never",
        "containers": [{
            "name": "own", "image": "local/tools:1", "imagePullPolicy": "Never", "command": ["tb", "sleep", "600s"]
        }]
    });
    let metadata = json!({"name": name, "namespace": teams.crm.namespace});
    let object = match kind {
        Kind::Pod => json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}),
        Kind::Job => json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": {"spec": pod}}
        }),
    };
    world.cluster()?.apply(&[object])?;
    std::fs::write(world.folder().join("witness/go"), "")?;
    Ok(name)
}

/// Ends the attempt as the case says, once its hook is at work.
fn strike(world: &World, site: &Site, id: OperationId, case: &Case) -> Result<()> {
    let name = case.hook.name();
    if case.blow == Blow::LetGo {
        return let_go(world, site, id, case);
    }
    let up = world.folder().join(format!("witness/up-{name}"));
    eventually(format!("hook {name} at work"), || Ok(up.exists().then_some(())))?;
    let object = site.wait_for(id, "the attempt to be seen running", |operation| {
        let attempt = step(operation, name).ok()?.attempts.first()?;
        attempt.object.clone().filter(|_| attempt.state == AttemptState::Running)
    })?;
    let (kind, path) = object.split_once(' ').context("a kind and a name")?;
    let (namespace, object) = path.split_once('/').context("a namespace and a name")?;
    let cluster = world.cluster()?;
    let in_namespace = ["-n", namespace, "--wait=false"];
    match case.blow {
        Blow::None | Blow::LetGo => bail!("nothing to do"),
        Blow::Kill => {
            site.cli(&["op", "kill", &id.to_string(), &case.hook.path(), "--reason", "it hangs"])?
                .expect(0)?;
        }
        Blow::Delete => drop(cluster.kubectl(&[&["delete", kind, object], &in_namespace[..]].concat())?),
        Blow::Force => {
            let force = ["delete", kind, object, "--force", "--grace-period=0"];
            cluster.kubectl(&[&force[..], &in_namespace].concat())?;
        }
        Blow::DeletePod => {
            let of = format!("batch.kubernetes.io/job-name={object}");
            cluster.kubectl(&[&["delete", "pod", "-l", &of], &in_namespace[..]].concat())?;
        }
    }
    Ok(())
}

/// One attempt after the other, each once it is seen running.
fn let_go(world: &World, site: &Site, id: OperationId, case: &Case) -> Result<()> {
    let name = case.hook.name();
    for number in 1..=case.fails {
        site.wait_for(id, &format!("attempt {number} of {name} to be seen running"), |operation| {
            let attempt = step(operation, name).ok()?.attempts.get(number - 1)?;
            (attempt.state == AttemptState::Running).then_some(())
        })?;
        std::fs::write(world.folder().join("witness").join(go_file(name, &number.to_string())), "")?;
    }
    Ok(())
}

/// Every step succeeded or waits for a decision.
fn settled(site: &Site, id: OperationId) -> Result<Operation> {
    let mut last = None;
    within(ALL_SETTLED, "every step's end", || {
        let operation = site.operation(id)?;
        let open: Vec<String> = operation
            .steps
            .iter()
            .flatten()
            .filter(|step| !step.waiting && !step.state.is_done())
            .map(|step| format!("{} {:?} {:?}", step.hook, step.state, step.attempts.last()))
            .collect();
        let found = open.is_empty().then_some(operation);
        last = Some(open);
        Ok(found)
    })
    .with_context(|| format!("still open: {last:#?}"))
}

/// Bridges leave what failed until its step is settled; nothing holds it, and whoever wants to deletes it.
fn delete_what_failed(world: &World, id: OperationId, namespace: &str) -> Result<()> {
    let of = format!("tenantry.io/operation={id}");
    world.cluster()?.kubectl(&["delete", "pods,jobs", "-n", namespace, "-l", &of, "--timeout=2m"]).map(drop)
}

/// Logs and outcomes are read after this: no object of an attempt is there any more, and the squatter is as it was.
fn nothing_of_ours_is_left(world: &World, namespace: &str, squatter: &str) -> Result<()> {
    let cluster = world.cluster()?;
    let mut left = String::new();
    eventually("the end of the attempts' objects", || {
        left = cluster.kubectl(&[
            "get",
            "pods,jobs",
            "-n",
            namespace,
            "-l",
            "tenantry.io/attempt",
            "-o",
            "yaml",
        ])?;
        Ok((!left.contains("uid:")).then_some(()))
    })
    .with_context(|| format!("left: {left}"))?;
    let other = cluster.kubectl(&["get", "pods,jobs", "-n", namespace, "-o", "name"])?;
    ensure!(
        other.lines().any(|line| line.ends_with(&format!("/{squatter}"))),
        "somebody else's object is gone: {other}"
    );
    Ok(())
}

fn check(site: &Site, operation: &Operation, case: &Case) -> Result<()> {
    let name = case.hook.name();
    let step = step(operation, name)?;
    // A retry that comes before its cause is mended fails as well.
    let fails = if case.or_more { step.attempts.len().saturating_sub(1) } else { case.fails };
    let (failed, rest) = step.attempts.split_at_checked(fails.max(case.fails)).with_context(|| {
        format!("{} of {} attempts: {:?}", step.attempts.len(), case.fails, step.attempts)
    })?;
    let mut wrong = Vec::new();
    for attempt in failed {
        wrong.extend(complaints(attempt, case));
        let log = site.log_text(operation.id, name, attempt.number)?;
        let wanted = case.log.replace('#', &attempt.number.to_string());
        // What is missing is said.
        let read = log.split("[tenantry: ").next().unwrap_or_default();
        if log != wanted && !(case.torn && wanted.starts_with(read)) {
            wrong.push(format!("attempt {}: log {log:?} instead of {wanted:?}", attempt.number));
        }
    }
    match case.then {
        Then::Waits => {
            if !(step.waiting && step.state == StepState::Failed && rest.is_empty()) {
                wrong.push(format!("does not wait: {:?} {rest:?}", step.state));
            }
        }
        Then::Succeeds => {
            if !(step.state == StepState::Succeeded && !step.waiting && rest.len() == 1) {
                wrong.push(format!("was not retried with success: {:?} {rest:?}", step.state));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n  "));
    Ok(())
}

fn reason_of(attempt: &Attempt) -> Option<FailureReason> {
    attempt.outcome.as_ref().and_then(|outcome| outcome.reason)
}

fn complaints(attempt: &Attempt, case: &Case) -> Vec<String> {
    let Some(outcome) = &attempt.outcome else { return vec![format!("no outcome: {attempt:?}")] };
    let state =
        if case.reason == FailureReason::Killed { AttemptState::Killed } else { AttemptState::Failed };
    let mut wrong = Vec::new();
    if attempt.state != state
        || outcome.reason != Some(case.reason)
        || !case.exits.contains(&outcome.exit_code)
    {
        wrong.push(format!(
            "{state:?} {:?} {:?} wanted, {:?} {outcome:?} seen",
            case.reason, case.exits, attempt.state
        ));
    }
    for part in case.says.iter().filter(|part| !outcome.message.contains(part.as_str())) {
        wrong.push(format!("{part:?} is not in {outcome:?}"));
    }
    let killed_for = attempt.kill.as_ref().map(|kill| kill.cause);
    // A deadline is kept by the cluster, the agent and the manager: any of them may be the first.
    let deadline = case.reason == FailureReason::Deadline && killed_for != Some(KillCause::Operator);
    if !deadline && killed_for != (case.blow == Blow::Kill).then_some(KillCause::Operator) {
        wrong.push(format!("kill: {:?}", attempt.kill));
    }
    wrong
}

/// One item for each step that waits, which says why and how to get out.
fn attention(site: &Site, operation: &Operation, cases: &[Case]) -> Result<()> {
    let query = AttentionQuery { operation: Some(operation.id), ..AttentionQuery::default() };
    let open = site.call(site.client().attention(&query))?.items;
    let waiting: BTreeSet<&str> =
        cases.iter().filter(|case| case.then == Then::Waits).map(|case| case.hook.name()).collect();
    let raised: BTreeSet<&str> =
        open.iter().filter_map(|item| Some(item.hook.as_ref()?.name.as_str())).collect();
    ensure!(
        raised == waiting && open.len() == waiting.len(),
        "raised for {raised:?}, waiting are {waiting:?}"
    );
    for case in cases.iter().filter(|case| case.then == Then::Waits) {
        let item = open
            .iter()
            .find(|item| item.hook.as_ref().is_some_and(|hook| hook.name.as_str() == case.hook.name()));
        let item = item.context("an item")?;
        let last = step(operation, case.hook.name())?.attempts.last().and_then(reason_of);
        let word = serde_json::to_value(last)?;
        let word = word.as_str().unwrap_or_default();
        ensure!(item.kind == AttentionKind::StepWaiting && item.message.contains(word), "{item:?}");
        ensure!(item.remedy.contains(&format!("tenantry op rerun {}", operation.id)), "{item:?}");
    }
    Ok(())
}
