//! Every failure reason that one node can produce, for Pods and for Jobs, as the API tells it. All hooks of one kind are
//! steps of one operation.
//!
//! Not produced here: `lost` (an operator's word, see `nodes`), `template-gone` (the agent keeps what it needs).

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use serde_json::json;
use tenantry_api_types::v1::{CancelOperation, Operation};
use tenantry_client::{Call, StepVerb};
use tenantry_e2e::{AgentSettings, Hook, Needs, Site, Team, World, trial};
use tenantry_hook::attempt_name;
use tenantry_model::{AttemptId, AttemptState, FailureReason as R, OperationId, OperationState};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(Needs::Cluster, "every_failure_of_a_pod_has_its_reason", |world| reasons(world, "pod")),
        trial(Needs::Cluster, "every_failure_of_a_job_has_its_reason", |world| reasons(world, "job")),
    ]
}

fn hooks(team: &Team, poor: &Team, kind: &str) -> Vec<(Hook, R)> {
    let hook = |name: &str| team.hook(name).tenant("attempt-kind", kind);
    let sleeper = |name: &str| hook(name).shell("echo at work; exec sleep 600");
    let mut hooks = vec![
        (hook("code").shell("echo why; exit 42"), R::HookFailed),
        (hook("output").shell(r#"printf '{"n":1}' > "$LIFECYCLE_OUTPUT_FILE""#), R::BadOutput),
        (
            hook("memory")
                .command(&["tb", "eat", "200Mi", "--hold", "60s"])
                .container("resources", json!({"limits": {"memory": "24Mi"}})),
            R::OutOfMemory,
        ),
        (
            hook("pull")
                .container("image", json!("127.0.0.1:5999/none:1"))
                .container("imagePullPolicy", json!("Always")),
            R::ImagePull,
        ),
        (hook("never").container("image", json!("local/none:1")), R::ImagePull),
        (hook("nowhere").pod("nodeSelector", json!({"e2e/place": "nowhere"})), R::Unschedulable),
        (
            hook("storage")
                .command(&["tb", "fill", "/tmp/fill", "40Mi", "--hold", "300s"])
                .container("resources", json!({"limits": {"ephemeral-storage": "4Mi"}})),
            R::Evicted,
        ),
        (sleeper("late").tenant("timeout", "3s"), R::Deadline),
        (sleeper("killed"), R::Killed),
        (sleeper("by-hand"), R::Deleted),
        (hook("gate").shell("sleep 6"), R::HookFailed),
        (hook("taken").after("gate"), R::NameCollision),
        (
            hook("secret").container(
                "env",
                json!([{"name": "X", "valueFrom": {"secretKeyRef": {"name": "nobody-made-it", "key": "k"}}}]),
            ),
            R::CannotStart,
        ),
        (hook("command").command(&["/no/such/program"]), R::CannotStart),
        (poor.hook("quota").tenant("attempt-kind", kind), R::Rejected),
    ];
    if kind == "pod" {
        // The API server takes the Job, and its controller cannot make the Pod: known after five minutes only.
        hooks.push((hook("account").pod("serviceAccountName", json!("nobody")), R::Rejected));
    }
    hooks
}

fn reasons(world: &World, kind: &str) -> Result<()> {
    let cluster = world.cluster()?;
    let (team, poor) = (world.team("team")?, world.team("poor")?);
    // One Job: the template itself.
    cluster.apply(&[json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "nothing", "namespace": poor.namespace},
        "spec": {"hard": {"pods": "0", "count/jobs.batch": "1"}}
    })])?;
    let hooks = hooks(&team, &poor, kind);
    cluster.apply(&hooks.iter().map(|(hook, _)| hook.manifest()).collect::<Vec<_>>())?;
    let mut site = Site::start(world, &[])?;
    let mut agent = AgentSettings::kubernetes(&cluster.kubeconfig, &[&team.namespace, &poor.namespace]);
    for tolerance in ["image-pull", "unschedulable", "cannot-start"] {
        agent = agent.flag(&format!("{tolerance}-tolerance"), "8s");
    }
    site.add_region("eu1", agent)?;
    let paths: Vec<String> = hooks.iter().map(|(hook, _)| hook.path()).collect();
    site.wait_for_hooks("eu1", &paths.iter().map(String::as_str).collect::<Vec<_>>())?;

    let id = site.provision("prod", "eu1")?;
    somebody_else_takes_the_name(world, &site, id, &team, kind)?;
    running(&site, id, "killed")?;
    site.steer(id, "killed", StepVerb::Kill, "wrong tenant")?;
    let object = running(&site, id, "by-hand")?;
    cluster.kubectl(&["delete", kind, "-n", &team.namespace, "--wait=false", &object])?;

    let wanted = |name: &str| hooks.iter().find(|(hook, _)| hook.path().ends_with(&format!("/{name}")));
    let done = site.wait_for(id, "the end of every first attempt", |operation| {
        let steps = operation.steps.as_ref()?;
        let over = |step: &tenantry_api_types::v1::Step| {
            step.attempts.first().is_some_and(|attempt| attempt.outcome.is_some())
        };
        steps.iter().all(over).then(|| operation.clone())
    })?;
    let mut wrong = Vec::new();
    for step in done.steps.iter().flatten() {
        let outcome = step.attempts[0].outcome.clone().context("an outcome")?;
        let (_, reason) = wanted(step.hook.name.as_str()).context("a step of ours")?;
        let right = match step.hook.name.as_str() {
            "gate" => outcome.is_success(),
            _ => {
                outcome.reason == Some(*reason)
                    && (!outcome.message.is_empty() || outcome.exit_code.is_some())
            }
        };
        if !right {
            wrong.push(format!("{} should be {reason:?}: {outcome:?}", step.hook));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    details(&site, &done)?;

    let body = CancelOperation { reason: "seen enough".to_owned(), expected_state: None };
    site.call(site.client().cancel(id, &body, &Call::default()))?;
    let ended = site.wait_done(id)?;
    ensure!(ended.state == OperationState::Cancelled, "{:?}", ended.state);
    site.finish()
}

/// What the words beside the reason must say.
fn details(site: &Site, operation: &Operation) -> Result<()> {
    let first = |name: &str| {
        let mut steps = operation.steps.iter().flatten();
        steps.find(|step| step.hook.name.as_str() == name).map(|step| &step.attempts[0])
    };
    let code = first("code").and_then(|attempt| attempt.outcome.as_ref()).context("code")?;
    ensure!(code.exit_code == Some(42), "{code:?}");
    ensure!(site.log_text(operation.id, "code", 1)? == "why\n");
    ensure!(
        site.log_text(operation.id, "by-hand", 1)?.starts_with("at work"),
        "the log of what was deleted is lost"
    );
    let killed = first("killed").context("killed")?;
    ensure!(killed.state == AttemptState::Killed, "{killed:?}");
    let by = killed.kill.as_ref().context("by whom")?;
    ensure!(by.reason == "wrong tenant" && !by.by.name.is_empty(), "{by:?}");
    for (name, text) in [
        ("pull", "127.0.0.1:5999/none:1"),
        ("secret", "nobody-made-it"),
        ("quota", "quota"),
        ("account", "nobody"),
    ] {
        let Some(outcome) = first(name).and_then(|attempt| attempt.outcome.as_ref()) else { continue };
        ensure!(outcome.message.contains(text), "{name} does not say {text}: {outcome:?}");
    }
    Ok(())
}

/// Makes the object that the attempt of `taken` will be called by, while its gate still runs.
fn somebody_else_takes_the_name(
    world: &World,
    site: &Site,
    id: OperationId,
    team: &Team,
    kind: &str,
) -> Result<()> {
    let operation = site.wait_for(id, "the plan", |operation| {
        operation.steps.as_ref().filter(|steps| !steps.is_empty()).map(|_| operation.clone())
    })?;
    let mut steps = operation.steps.iter().flatten();
    let step = steps.find(|step| step.hook.name.as_str() == "taken").context("taken")?;
    ensure!(step.attempt == 0, "the gate was too fast: {step:?}");
    let name = attempt_name(&AttemptId { operation: id, step: step.hook.clone(), number: 1 });
    let pod = json!({
        "restartPolicy": "Never",
        "containers": [{"name": "x", "image": "local/tools:1", "imagePullPolicy": "Never", "command": ["sleep", "600"]}]
    });
    let metadata = json!({"name": name, "namespace": team.namespace});
    let object = match kind {
        "pod" => json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}),
        "job" => json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata,
                        "spec": {"suspend": true, "template": {"spec": pod}}}),
        other => bail!("{other}"),
    };

    world.cluster()?.apply(&[object])
}

/// Waits until the first attempt of a step runs; answers its object's name.
fn running(site: &Site, id: OperationId, name: &str) -> Result<String> {
    site.wait_for(id, "a running attempt", |operation| {
        let mut steps = operation.steps.iter().flatten();
        let attempt = steps.find(|step| step.hook.name.as_str() == name)?.attempts.first()?;
        let object = attempt.object.as_deref().filter(|_| attempt.state == AttemptState::Running)?;
        object.rsplit('/').next().map(str::to_owned)
    })
}
