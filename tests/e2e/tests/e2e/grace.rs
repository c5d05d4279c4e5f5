//! `tenantry op cancel` while steps run: each hook is told to end (SIGTERM) and has the grace of its own template
//! (`terminationGracePeriodSeconds`) before it is made to (SIGKILL). As a process, in a container, as Pod and as Job.

use crate::containers::{Podman, is_missing};
use crate::place::{Place, REGION, Setup, on_each};
use crate::reasons::step;
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;
use std::path::{Path, PathBuf};
use tenantry_e2e::{AgentSettings, Hook, Needs, Site, World, eventually, trial};
use tenantry_model::{AttemptState, FailureReason, KillCause, OperationId, OperationState};

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial(Needs::Minutes, "a_cancel_leaves_processes_their_grace", processes),
        trial(Needs::Minutes, "a_cancel_leaves_containers_their_grace", containers)
            .with_ignored_flag(is_missing()),
    ];
    trials.extend(on_each("a_cancel_leaves_pods_and_jobs_their_grace", cluster));
    trials
}

/// Far longer than the test takes.
const LONG: u32 = 3600;
/// Long enough to see that SIGTERM came first.
const SHORT: u32 = 2;

/// Cleans up when it is told to end, for as long as the test wants, and leaves with 0. `folder`: where it leaves its marks.
fn gentle(hook: Hook, folder: &str) -> Hook {
    let mark = format!("{folder}/{}", hook.name());
    hook.shell(&format!(
        "trap 'echo told >> {mark}; until [ -e {folder}/go ]; do sleep 0.1; done; echo cleaned >> {mark}; exit 0' TERM; \
         echo up >> {mark}; while :; do sleep 0.1; done"
    ))
    .pod("terminationGracePeriodSeconds", json!(LONG))
}

/// Notes that it was told to end, and goes on.
fn stubborn(hook: Hook, folder: &str) -> Hook {
    let mark = format!("{folder}/{}", hook.name());
    hook.shell(&format!("trap 'echo told >> {mark}' TERM; echo up >> {mark}; while :; do sleep 0.1; done"))
        .pod("terminationGracePeriodSeconds", json!(SHORT))
}

fn processes(world: &World) -> Result<()> {
    let marks = world.folder().join("marks");
    std::fs::create_dir_all(&marks)?;
    let folder = marks.display().to_string();
    let hooks =
        [gentle(Hook::new("team", "gentle"), &folder), stubborn(Hook::new("team", "stubborn"), &folder)];
    let templates = world.folder().join("templates");
    std::fs::create_dir_all(&templates)?;
    for hook in &hooks {
        std::fs::write(templates.join(format!("{}.json", hook.name())), hook.manifest().to_string())?;
    }
    let mut site = Site::start(world, &[])?;
    site.add_region("local", AgentSettings::process(&templates))?;
    wait_for_hooks(&site, "local", &hooks)?;
    cancelled(site, "local", &hooks, &marks, || Ok(true))
}

fn containers(world: &World) -> Result<()> {
    let podman = Podman::with_image(world)?;
    let in_claim = |name: &str| {
        Hook::new("team", name)
            .container("volumeMounts", json!([{"name": "data", "mountPath": "/data"}]))
            .pod("volumes", json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]))
    };
    let hooks = [gentle(in_claim("gentle"), "/data"), stubborn(in_claim("stubborn"), "/data")];
    let site = podman.site(world, &hooks)?;
    // The engine notes a start a moment after the container's first word; until then it cannot pass a signal on.
    let noted =
        || Ok(podman.run(&["ps", "--filter", "status=running", "--quiet"])?.lines().count() == hooks.len());
    cancelled(site, "local", &hooks, &world.folder().join("root/volumes/team/data"), noted)?;
    ensure!(podman.run(&["ps", "--all", "--quiet"])?.is_empty(), "containers were left");
    Ok(())
}

fn cluster(world: &World, place: Place) -> Result<()> {
    let team = world.team("crm")?;
    let in_claim = |name: &str| {
        team.hook(name)
            .container("volumeMounts", json!([{"name": "witness", "mountPath": "/witness"}]))
            .pod("volumes", json!([{"name": "witness", "persistentVolumeClaim": {"claimName": "witness"}}]))
    };
    let as_job = |hook: Hook| hook.tenant("attempt-kind", "job");
    let hooks = [
        gentle(in_claim("gentle"), "/witness"),
        stubborn(in_claim("stubborn"), "/witness"),
        gentle(as_job(in_claim("gentle-job")), "/witness"),
        stubborn(as_job(in_claim("stubborn-job")), "/witness"),
    ];
    let cluster = world.cluster()?;
    cluster.apply(&hooks.iter().map(Hook::manifest).collect::<Vec<_>>())?;
    let site = Setup::new(place, &[&team.namespace]).start(world)?;
    wait_for_hooks(&site, REGION, &hooks)?;
    cancelled(site, REGION, &hooks, &world.folder().join("witness"), || Ok(true))
}

fn wait_for_hooks(site: &Site, region: &str, hooks: &[Hook]) -> Result<()> {
    let paths: Vec<String> = hooks.iter().map(Hook::path).collect();
    site.wait_for_hooks(region, &paths.iter().map(String::as_str).collect::<Vec<_>>())
}

fn cancelled(
    site: Site,
    region: &str,
    hooks: &[Hook],
    marks: &Path,
    can_be_told: impl Fn() -> Result<bool>,
) -> Result<()> {
    let id = site.provision("prod", region)?;
    for hook in hooks {
        marked(&mark_of(marks, hook), "up\n")?;
    }
    site.wait_for(id, "all hooks seen running", |operation| {
        let mut steps = operation.steps.iter().flatten();
        let runs = |attempt: &tenantry_api_types::v1::Attempt| attempt.state == AttemptState::Running;
        steps.all(|step| step.attempts.last().is_some_and(runs)).then_some(())
    })?;
    eventually("hooks that can be told", || Ok(can_be_told()?.then_some(())))?;
    site.cli(&["op", "cancel", &id.to_string(), "--reason", "the night is over"])?.expect(0)?;
    for hook in hooks {
        marked(&mark_of(marks, hook), "up\ntold\n")?;
    }
    let (gentle, stubborn): (Vec<&Hook>, Vec<&Hook>) =
        hooks.iter().partition(|hook| hook.name().starts_with("gentle"));
    for hook in stubborn {
        ended(&site, id, hook, 137)?;
    }
    // Their grace is long, and it is theirs: the others' end changes nothing.
    let operation = site.operation(id)?;
    ensure!(operation.state == OperationState::Cancelling, "{:?}", operation.state);
    for hook in &gentle {
        let attempt = step(&operation, hook.name())?.attempts.last().context("an attempt")?;
        ensure!(attempt.outcome.is_none(), "{attempt:?}");
        ensure!(std::fs::read_to_string(mark_of(marks, hook))? == "up\ntold\n");
    }
    std::fs::write(marks.join("go"), "")?;
    for hook in gentle {
        ended(&site, id, hook, 0)?;
        marked(&mark_of(marks, hook), "up\ntold\ncleaned\n")?;
    }
    let operation = site.wait_done(id)?;
    ensure!(operation.state == OperationState::Cancelled, "{:?}", operation.state);
    site.finish()
}

fn mark_of(marks: &Path, hook: &Hook) -> PathBuf {
    marks.join(hook.name())
}

fn marked(file: &Path, text: &str) -> Result<()> {
    eventually(format!("{text:?} in {}", file.display()), || {
        Ok((std::fs::read_to_string(file).unwrap_or_default() == text).then_some(()))
    })
}

fn ended(site: &Site, id: OperationId, hook: &Hook, code: i32) -> Result<()> {
    let attempt = site.wait_for(id, &format!("the end of {}", hook.name()), |operation| {
        let attempt = step(operation, hook.name()).ok()?.attempts.last()?;
        attempt.outcome.is_some().then(|| attempt.clone())
    })?;
    let outcome = attempt.outcome.as_ref().context("an outcome")?;
    ensure!(
        attempt.state == AttemptState::Killed
            && outcome.reason == Some(FailureReason::Killed)
            && outcome.exit_code == Some(code)
            && attempt.kill.as_ref().is_some_and(|kill| kill.cause == KillCause::Cancel),
        "{}: {attempt:?}",
        hook.name()
    );
    Ok(())
}
