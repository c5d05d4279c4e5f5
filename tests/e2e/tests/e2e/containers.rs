//! `--runtime podman` of the process executor: hooks in real containers of their image on this machine, killed, timed out,
//! and found again after the agent or a shim was killed. The engine's storage is the test's own.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tenantry_api_types::v1::SteerStep;
use tenantry_client::StepVerb;
use tenantry_e2e::{AgentSettings, Answer, Hook, Needs, Site, World, testbed, trial, within};
use tenantry_model::{AttemptState, FailureReason};

pub fn trials() -> Vec<Trial> {
    let missing = is_missing();
    vec![
        trial(Needs::Minutes, "hooks_in_containers_end_as_their_images_say", ends).with_ignored_flag(missing),
        trial(Needs::Minutes, "containers_are_found_again_after_agent_and_shim_were_killed", found_again)
            .with_ignored_flag(missing),
    ]
}

/// Without podman or its image nothing can run in a container.
pub fn is_missing() -> bool {
    testbed().is_none() || Command::new("podman").arg("--version").output().is_err()
}

/// A program on the PATH, or by its path.
fn found(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").context("no PATH")?;
    let places = std::env::split_paths(&path).map(|folder| folder.join(program));
    places.into_iter().find(|file| file.is_file()).with_context(|| format!("{program} is not on the PATH"))
}

/// A container engine with storage and settings of the test's own.
pub struct Podman {
    pub env: Vec<(&'static str, PathBuf)>,
}

impl Podman {
    pub fn with_image(world: &World) -> Result<Self> {
        Self::with_runtime(world, "runc")
    }

    /// The same with another program as its OCI runtime.
    pub fn with_runtime(world: &World, runtime: &str) -> Result<Self> {
        let folder = world.folder();
        // Limits that a machine without CAP_SYS_RESOURCE can set, and the test bed's runc.
        let settings = format!(
            "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n\
             [engine]\nruntime = \"used\"\n[engine.runtimes]\nused = [\"{}\"]\n",
            found(runtime)?.display()
        );
        let storage = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{0}/graph\"\nrunroot = \"{0}/run\"\n",
            folder.join("podman").display()
        );
        std::fs::write(folder.join("containers.conf"), settings)?;
        std::fs::write(folder.join("storage.conf"), storage)?;
        let podman = Self {
            env: vec![
                ("CONTAINERS_CONF", folder.join("containers.conf")),
                ("CONTAINERS_STORAGE_CONF", folder.join("storage.conf")),
            ],
        };
        let images = testbed().context("no test bed")?.with_file_name("images");
        podman.run(&["load", "--quiet", "-i", &images.join("tools.tar").display().to_string()])?;
        Ok(podman)
    }

    pub fn run(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new("podman");
        command.args(args).envs(self.env.iter().map(|(name, value)| (name, value)));
        Ok(Answer::of(&mut command)?.expect(0)?.out)
    }

    /// A site whose region `local` runs these hooks in containers.
    pub fn site(&self, world: &World, hooks: &[Hook]) -> Result<Site> {
        self.site_by(world, hooks, "podman", &[])
    }

    /// The same through another engine's program, with further variables.
    pub fn site_by(
        &self,
        world: &World,
        hooks: &[Hook],
        engine: &str,
        variables: &[(&str, &str)],
    ) -> Result<Site> {
        let templates = world.folder().join("templates");
        std::fs::create_dir_all(&templates)?;
        for hook in hooks {
            std::fs::write(templates.join(format!("{}.json", hook.name())), hook.manifest().to_string())?;
        }
        let mut settings = AgentSettings::process(&templates)
            .flag("runtime", engine)
            .flag("root", &world.folder().join("root").display().to_string());
        for (name, value) in &self.env {
            settings = settings.env(name, &value.display().to_string());
        }
        for (name, value) in variables {
            settings = settings.env(name, value);
        }
        let mut site = Site::start(world, &[])?;
        site.add_region("local", settings)?;
        let paths: Vec<String> = hooks.iter().map(Hook::path).collect();
        site.wait_for_hooks("local", &paths.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(site)
    }
}

fn ends(world: &World) -> Result<()> {
    let podman = Podman::with_image(world)?;
    let hook = |name: &str, script: &str| Hook::new("team", name).shell(script);
    let hooks = [
        // tb is in the image only.
        hook(
            "good",
            "tb output where=inside && grep -q acme $LIFECYCLE_TENANT_ENV_FILE && echo $WORD; id -u",
        )
        .container("env", json!([{"name": "WORD", "value": "from a container"}]))
        .pod("securityContext", json!({"runAsUser": 10001})),
        hook("bad", "echo so bad; exit 3"),
        hook("gentle", "trap 'echo told to end; exit 0' TERM; echo ready; while :; do sleep 0.1; done"),
        hook("stubborn", "trap '' TERM; echo ready; while :; do sleep 0.1; done"),
        hook("slow", "while :; do sleep 0.1; done").tenant("timeout", "3s"),
        hook("nowhere", "true").container("image", json!("local/nowhere:1")),
    ];
    let site = podman.site(world, &hooks)?;
    let id = site.provision("prod", "local")?;
    for name in ["gentle", "stubborn"] {
        let follow = |text: &str| text.contains("ready").then_some(());
        within(Duration::from_mins(1), format!("{name} in its container"), || {
            let answer = site.cli(&["op", "logs", &id.to_string(), &format!("team/{name}")])?;
            Ok(follow(&answer.out))
        })?;
        site.steer(id, name, StepVerb::Kill(SteerStep::default()), "seen enough")?;
    }
    for (name, state, reason, code) in [
        ("bad", AttemptState::Failed, FailureReason::HookFailed, Some(3)),
        ("gentle", AttemptState::Killed, FailureReason::Killed, Some(0)),
        ("stubborn", AttemptState::Killed, FailureReason::Killed, Some(137)),
        ("slow", AttemptState::Failed, FailureReason::Deadline, None),
        ("nowhere", AttemptState::Failed, FailureReason::CannotStart, None),
    ] {
        let attempt = site.wait_ended_attempt(id, name)?;
        let outcome = attempt.outcome.context("no outcome")?;
        ensure!(
            attempt.state == state && outcome.reason == Some(reason),
            "{name}: {:?} {outcome:?}",
            attempt.state
        );
        ensure!(code.is_none() || outcome.exit_code == code, "{name}: {outcome:?}");
    }
    let good = site.wait_ended_attempt(id, "good")?;
    let outcome = good.outcome.context("no outcome")?;
    ensure!(
        outcome.is_success() && outcome.outputs.get("where").is_some_and(|w| w == "inside"),
        "{outcome:?}"
    );
    let log = site.log_text(id, "good", 1)?;
    ensure!(log == "from a container\n10001\n", "{log}");
    ensure!(site.log_text(id, "gentle", 1)?.ends_with("told to end\n"));
    // The engine's own words.
    let log = site.log_text(id, "nowhere", 1)?;
    ensure!(log.contains("local/nowhere"), "{log}");
    site.cli(&["op", "cancel", &id.to_string(), "--reason", "seen enough"])?.expect(0)?;
    site.wait_done(id)?;
    ensure!(podman.run(&["ps", "--all", "--quiet"])?.is_empty(), "containers were left");
    site.finish()
}

fn found_again(world: &World) -> Result<()> {
    let podman = Podman::with_image(world)?;
    let hooks = ["agent", "shim"].map(|name| {
        let work =
            format!("echo at work >> /data/{name}; until test -e /data/go; do sleep 0.1; done; echo over");
        Hook::new("team", name)
            .shell(&work)
            .container("volumeMounts", json!([{"name": "data", "mountPath": "/data"}]))
            .pod("volumes", json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]))
    });
    let mut site = podman.site(world, &hooks)?;
    let id = site.provision("prod", "local")?;
    let data = world.folder().join("root/volumes/team/data");
    for name in ["agent", "shim"] {
        within(Duration::from_mins(1), format!("{name} at work"), || {
            Ok(data.join(name).exists().then_some(()))
        })?;
    }
    let shim = site.wait_for(id, "the shim's pid", |operation| {
        let step = operation.steps.iter().flatten().find(|step| step.hook.name.as_str() == "shim")?;
        let object = step.attempts.last()?.object.clone()?;
        object.split_whitespace().nth(1)?.parse().ok()
    })?;
    site.kill_agent("local")?;
    kill_process(Pid::from_raw(shim).context("a pid")?, Signal::KILL)?;
    site.start_agent("local")?;
    let names = podman.run(&["ps", "--format", "{{.Names}}"])?;
    ensure!(names.lines().count() == 2, "both containers go on: {names}");
    std::fs::write(data.join("go"), "")?;
    let operation = site.wait_succeeded(id)?;
    for step in operation.steps.iter().flatten() {
        ensure!(step.attempts.len() == 1, "{:?}", step.attempts);
        let runs = std::fs::read_to_string(data.join(step.hook.name.as_str()))?;
        ensure!(runs == "at work\n", "{} ran more than once: {runs}", step.hook);
    }
    // The one whose shim was killed has lost the rest of its log, not its exit code.
    ensure!(site.log_text(id, "agent", 1)? == "over\n");
    ensure!(podman.run(&["ps", "--all", "--quiet"])?.is_empty(), "containers were left");
    site.finish()
}
