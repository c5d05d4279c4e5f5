//! A region that has lost a version of a hook: nothing else may run in its place.

use crate::reasons::step;
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use tenantry_client::StepVerb;
use tenantry_e2e::{AgentSettings, Needs, Site, World, eventually, trial};
use tenantry_model::{AttemptState, FailureReason, StepState};

pub fn trials() -> Vec<Trial> {
    vec![trial(
        Needs::Cluster,
        "a_version_that_the_region_has_lost_is_named_and_nothing_runs_in_its_place",
        lost_version,
    )]
}

fn lost_version(world: &World) -> Result<()> {
    let cluster = world.cluster()?;
    let team = world.team("crm")?;
    let gate = team.hook("gate").witness(0, "0").shell("until [ -e /witness/go ]; do sleep 0.2; done");
    let planned = team.hook("planned").witness(0, "0").after("gate").tenant("retries", "2");
    cluster.apply(&[gate.manifest(), planned.manifest()])?;
    let mut site = Site::start(world, &[])?;
    let agent = AgentSettings::kubernetes(&cluster.kubeconfig, &[&team.namespace]);
    site.add_region("eu1", agent)?;
    site.wait_for_hooks("eu1", &[&gate.path(), &planned.path()])?;
    let id = site.provision("prod", "eu1")?;
    let frozen = site.wait_for(id, "the gate at work", |operation| {
        let running = step(operation, "gate").ok()?.attempts.first()?.state == AttemptState::Running;
        running.then(|| step(operation, "planned").map(|step| step.template_hash.clone()).ok())?
    })?;

    // The agent's folder loses its templates just when the team ships another version.
    site.kill_agent("eu1")?;
    std::fs::remove_dir_all(site.agent_folder("eu1").join("agent/templates"))?;
    cluster.apply(&[planned.clone().tenant("timeout", "1h").manifest()])?;
    site.start_agent("eu1")?;
    eventually("the new version's discovery", || {
        let hooks = site.call(site.client().hooks(&tenantry_api_types::v1::HooksQuery::default()))?.items;
        let hook = hooks.into_iter().find(|hook| hook.hook.name.as_str() == "planned");
        Ok(hook.and_then(|hook| hook.current).filter(|version| version.hash != frozen))
    })?;
    std::fs::write(world.folder().join("witness/go"), "")?;

    let attempt = site.wait_ended_attempt(id, "planned")?;
    let outcome = attempt.outcome.context("an outcome")?;
    ensure!(
        outcome.reason == Some(FailureReason::TemplateGone) && outcome.exit_code.is_none(),
        "{outcome:?}"
    );
    ensure!(outcome.message.contains(&frozen.0) && outcome.message.contains(&planned.path()), "{outcome:?}");
    let operation = site.operation(id)?;
    let step = step(&operation, "planned")?;
    ensure!(step.waiting && step.attempts.len() == 1, "no retry can help: {step:?}");
    ensure!(site.log_text(id, "planned", 1)?.is_empty());
    ensure!(world.witness().starts(id, "planned")? == 0, "another version ran in its place");

    site.steer(id, "planned", StepVerb::skip(), "the next operation runs the new version")?;
    let operation = site.wait_succeeded(id)?;
    ensure!(crate::reasons::step(&operation, "planned")?.state == StepState::Skipped);
    site.finish()
}
