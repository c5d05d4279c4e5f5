//! `--runtime docker` of the process executor: Docker's own program, against the service by which podman speaks Docker's API.
//! What a Docker daemon itself does is not seen by any test: none can run here.

use crate::containers::{Podman, is_missing};
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tenantry_api_types::v1::SteerStep;
use tenantry_client::StepVerb;
use tenantry_e2e::{Answer, Hook, Needs, World, trial, within};
use tenantry_model::{AttemptState, FailureReason};

pub fn trials() -> Vec<Trial> {
    let missing = is_missing() || Command::new("docker").arg("--version").output().is_err();
    vec![
        trial(Needs::Minutes, "hooks_in_containers_of_dockers_program_end_as_their_images_say", ends)
            .with_ignored_flag(missing),
    ]
}

/// Podman's service with Docker's API, until it is dropped.
struct Service(Child);

impl Service {
    fn start(podman: &Podman, socket: &Path) -> Result<Self> {
        let address = format!("unix://{}", socket.display());
        let child = Command::new("podman")
            .args(["system", "service", "--time", "0", &address])
            .envs(podman.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let service = Self(child);
        within(Duration::from_mins(1), "podman's service", || {
            let mut docker = Command::new("docker");
            Ok((Answer::of(docker.arg("version").env("DOCKER_HOST", &address))?.code == Some(0))
                .then_some(()))
        })?;
        Ok(service)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ends(world: &World) -> Result<()> {
    let podman = Podman::with_image(world)?;
    let socket = world.folder().join("docker.sock");
    let _service = Service::start(&podman, &socket)?;
    let address = format!("unix://{}", socket.display());
    let hook = |name: &str, script: &str| Hook::new("team", name).shell(script);
    let hooks = [
        hook(
            "good",
            "tb output where=inside && grep -q acme $LIFECYCLE_TENANT_ENV_FILE && echo from a container",
        ),
        hook("bad", "echo so bad; exit 3"),
        hook("gentle", "trap 'echo told to end; exit 0' TERM; echo ready; while :; do sleep 0.1; done"),
        hook("stubborn", "trap '' TERM; echo ready; while :; do sleep 0.1; done"),
        hook("nowhere", "true").container("image", serde_json::json!("local/nowhere:1")),
    ];
    let site = podman.site_by(world, &hooks, "docker", &[("DOCKER_HOST", &address)])?;
    let id = site.provision("prod", "local")?;
    for name in ["gentle", "stubborn"] {
        within(Duration::from_mins(1), format!("{name} in its container"), || {
            let answer = site.cli(&["op", "logs", &id.to_string(), &format!("team/{name}")])?;
            Ok(answer.out.contains("ready").then_some(()))
        })?;
        site.steer(id, name, StepVerb::Kill(SteerStep::default()), "seen enough")?;
    }
    for (name, state, reason, code) in [
        ("bad", AttemptState::Failed, FailureReason::HookFailed, Some(3)),
        ("gentle", AttemptState::Killed, FailureReason::Killed, Some(0)),
        ("stubborn", AttemptState::Killed, FailureReason::Killed, Some(137)),
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
    let good = site.wait_ended_attempt(id, "good")?.outcome.context("no outcome")?;
    ensure!(
        good.is_success() && good.outputs.get("where").is_some_and(|place| place == "inside"),
        "{good:?}"
    );
    ensure!(site.log_text(id, "good", 1)? == "from a container\n");
    ensure!(site.log_text(id, "gentle", 1)?.ends_with("told to end\n"));
    site.cli(&["op", "cancel", &id.to_string(), "--reason", "seen enough"])?.expect(0)?;
    site.wait_done(id)?;
    ensure!(podman.run(&["ps", "--all", "--quiet"])?.is_empty(), "containers were left");
    site.finish()
}
