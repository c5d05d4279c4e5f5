//! Hooks in containers whose engine went down, or was told to end, between the start of the hook and the engine's own note of
//! it; and before that. The engine's OCI runtime is held there by a file.

use crate::containers::{Podman, is_missing};
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tenantry_api_types::v1::{Attempt, SteerStep};
use tenantry_client::StepVerb;
use tenantry_e2e::{Hook, Needs, Site, World, eventually, trial, within};
use tenantry_model::{AttemptState, FailureReason, OperationId};

pub fn trials() -> Vec<Trial> {
    let test = |name, test: fn(&World) -> Result<()>| {
        trial(Needs::Minutes, name, test).with_ignored_flag(is_missing())
    };
    vec![
        test("a_kill_before_the_engine_notes_the_start_reaches_the_hook", told_to_end),
        test("a_kill_before_the_hooks_first_word_means_that_it_never_speaks", before_its_first_word),
        test("a_crash_before_the_engine_notes_the_start_is_never_told_as_never_started", crashed),
        test("a_container_whose_monitor_was_killed_is_lost_and_not_waited_for", monitor_killed),
    ]
}

/// Far longer than the test takes.
const LONG: u32 = 3600;

struct Place {
    podman: Podman,
    site: Site,
    /// Where the runtime looks for holds and says where it is.
    holds: PathBuf,
    data: PathBuf,
}

impl Place {
    /// One hook: it says that it is at work, and works until it is told to end, or until the test says so.
    fn new(world: &World) -> Result<Self> {
        let holds = world.folder().join("holds");
        std::fs::create_dir_all(&holds)?;
        let script = world.folder().join("held-runc");
        let text = format!(
            r#"#!/bin/sh
held() {{ while [ -e {0}/hold-$1 ]; do : > {0}/at-$1; sleep 0.05; done; }}
case " $* " in
*" start "*)
  held before
  runc "$@"; code=$?
  echo $code > {0}/started
  held after
  exit $code;;
esac
exec runc "$@"
"#,
            holds.display()
        );
        std::fs::write(&script, text)?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
        let podman = Podman::with_runtime(world, &script.display().to_string())?;
        let hook = Hook::new("team", "work")
            .shell(
                "trap 'echo told >> /data/said; exit 7' TERM; echo at work >> /data/said; \
                 until test -e /data/go; do sleep 0.1; done",
            )
            .container("volumeMounts", json!([{"name": "data", "mountPath": "/data"}]))
            .pod("volumes", json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]))
            .pod("terminationGracePeriodSeconds", json!(LONG));
        let site = podman.site(world, &[hook])?;
        let data = world.folder().join("root/volumes/team/data");
        Ok(Self { podman, site, holds, data })
    }

    fn hold(&self, place: &str) -> Result<()> {
        Ok(std::fs::write(self.holds.join(format!("hold-{place}")), "")?)
    }

    fn let_go(&self, place: &str) -> Result<()> {
        Ok(std::fs::remove_file(self.holds.join(format!("hold-{place}")))?)
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.data.join("said")).unwrap_or_default()
    }

    fn kill(&self, id: OperationId) -> Result<()> {
        self.site.steer(id, "work", StepVerb::Kill(SteerStep::default()), "seen enough").map(drop)
    }

    /// The shim's pid.
    fn shim(&self, id: OperationId) -> Result<i32> {
        self.site.wait_for(id, "the shim's pid", |operation| {
            let attempt = operation.steps.iter().flatten().next()?.attempts.last()?;
            attempt.object.clone()?.split_whitespace().nth(1)?.parse().ok()
        })
    }

    /// How the attempt ended; then the operation is ended too, and nothing may be left.
    fn end(self, id: OperationId) -> Result<Attempt> {
        let attempt = self.site.wait_ended_attempt(id, "work")?;
        self.site.cli(&["op", "cancel", &id.to_string(), "--reason", "seen enough"])?.expect(0)?;
        let ended = self.site.wait_done(id)?;
        ensure!(ended.steps.iter().flatten().all(|step| step.attempts.len() == 1), "{ended:?}");
        ensure!(self.podman.run(&["ps", "--all", "--quiet"])?.is_empty(), "containers were left");
        self.site.finish()?;
        Ok(attempt)
    }
}

fn appears(file: &Path) -> Result<()> {
    within(Duration::from_mins(1), file.display().to_string(), || Ok(file.exists().then_some(())))
}

fn is(attempt: &Attempt, state: AttemptState, reason: FailureReason) -> Result<()> {
    let outcome = attempt.outcome.as_ref().context("no outcome")?;
    ensure!(attempt.state == state && outcome.reason == Some(reason), "{:?} {outcome:?}", attempt.state);
    Ok(())
}

fn told_to_end(world: &World) -> Result<()> {
    let place = Place::new(world)?;
    place.hold("after")?;
    let id = place.site.provision("prod", "local")?;
    appears(&place.data.join("said"))?;
    place.kill(id)?;
    // The engine's program is gone by that, and knows nothing of a start: the hook has to be told all the same.
    eventually("the hook to be told", || Ok(place.said().ends_with("told\n").then_some(())))?;
    place.let_go("after")?;
    let said = place.said();
    ensure!(said == "at work\ntold\n", "{said}");
    is(&place.end(id)?, AttemptState::Killed, FailureReason::Killed)
}

fn before_its_first_word(world: &World) -> Result<()> {
    let place = Place::new(world)?;
    place.hold("before")?;
    let runtime = world.folder().join("held-runc").display().to_string();
    let id = place.site.provision("prod", "local")?;
    appears(&place.holds.join("at-before"))?;
    place.kill(id)?;
    let attempt = place.site.wait_ended_attempt(id, "work")?;
    is(&attempt, AttemptState::Killed, FailureReason::Killed)?;
    // Told as over: what was on its way must not begin any more.
    place.let_go("before")?;
    eventually("the end of the runtime", || Ok((!runs(&runtime)?).then_some(())))?;
    let started = std::fs::read_to_string(place.holds.join("started")).unwrap_or_default();
    ensure!(started.trim() != "0", "it was started after its end had been told");
    let said = place.said();
    ensure!(said.is_empty(), "{said}");
    place.end(id).map(drop)
}

fn crashed(world: &World) -> Result<()> {
    let mut place = Place::new(world)?;
    place.hold("after")?;
    let id = place.site.provision("prod", "local")?;
    appears(&place.data.join("said"))?;
    let shim = place.shim(id)?;
    place.site.kill_agent("local")?;
    let engine = children(shim)?;
    ensure!(engine.len() == 1, "the engine's program: {engine:?}");
    for pid in std::iter::once(shim).chain(engine) {
        kill_process(Pid::from_raw(pid).context("a pid")?, Signal::KILL)?;
    }
    place.let_go("after")?;
    place.site.start_agent("local")?;
    // The hook goes on, and while it does nothing else may begin.
    place.site.wait_for(id, "the attempt to be unknown", |operation| {
        let attempt = operation.steps.iter().flatten().next()?.attempts.last()?;
        attempt.unknown_since.map(drop)
    })?;
    std::fs::write(place.data.join("go"), "")?;
    let attempt = place.site.wait_ended_attempt(id, "work")?;
    is(&attempt, AttemptState::Failed, FailureReason::Lost)?;
    let said = place.said();
    ensure!(said == "at work\n", "{said}");
    place.end(id).map(drop)
}

fn monitor_killed(world: &World) -> Result<()> {
    let place = Place::new(world)?;
    let id = place.site.provision("prod", "local")?;
    appears(&place.data.join("said"))?;
    let format = "{{.State.Pid}} {{.State.ConmonPid}}";
    let pids = eventually("the engine's note", || {
        let name = place.podman.run(&["ps", "--filter", "status=running", "--format", "{{.Names}}"])?;
        let Some(name) = name.lines().next() else { return Ok(None) };
        let text = place.podman.run(&["inspect", "--format", format, name])?;
        let pids: Vec<i32> = text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        Ok((pids.len() == 2 && pids.iter().all(|pid| *pid > 1)).then_some(pids))
    })?;
    // The monitor first: it would note the end.
    for pid in pids.into_iter().rev() {
        kill_process(Pid::from_raw(pid).context("a pid")?, Signal::KILL)?;
    }
    is(&place.end(id)?, AttemptState::Failed, FailureReason::Lost)
}

/// Whether a process has this in its command line.
fn runs(program: &str) -> Result<bool> {
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&words).contains(program) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The processes that this one has started.
fn children(parent: i32) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        if after_name.split_whitespace().nth(1).and_then(|text| text.parse().ok()) == Some(parent) {
            found.push(pid);
        }
    }
    Ok(found)
}
