//! The path over Argo Events and Argo Workflows with a manager: Argo's graph shows what runs, and the operator steers it.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use tenantry_e2e::argo::{ARGO, Argo, PARTS, bridges};
use tenantry_e2e::{Hook, Needs, Site, Team, World, eventually, trial};
use tenantry_model::{OperationId, OperationState, StepState};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            Needs::OwnCluster(PARTS),
            "an_operation_runs_as_a_workflow_and_is_steered_while_it_runs",
            steered,
        ),
        trial(Needs::OwnCluster(PARTS), "a_workflow_that_somebody_ends_pauses_its_operation", ended),
    ]
}

pub const REGION: &str = "eu1";

/// Argo in the cluster, and a manager that the cluster's Pods reach, without an agent.
pub struct Managed<'a> {
    pub world: &'a World,
    pub argo: Argo<'a>,
    pub site: Site,
    pub team: Team,
}

impl<'a> Managed<'a> {
    pub fn new(world: &'a World) -> Result<Self> {
        Self::with(world, &[], &[])
    }

    /// With these flags of the manager, and variables of all of its lives.
    pub fn with(world: &'a World, flags: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        let argo = Argo::install_for(world, REGION)?;
        let webhook = argo.webhook().to_owned();
        Self::sending_to(&webhook, argo, flags, variables)
    }

    /// The same; the manager's events go to this URL.
    pub fn sending_to(
        webhook: &str,
        argo: Argo<'a>,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let world = argo.world;
        let site = argo.manager(REGION, webhook, flags, variables)?;
        let team = argo.team("crm")?;
        Ok(Self { world, argo, site, team })
    }

    pub fn name(id: OperationId, round: u32) -> String {
        if round == 1 { format!("tenantry-{id}") } else { format!("tenantry-{id}-{round}") }
    }

    /// `tenantry op VERB`, as an operator.
    pub fn op(&self, verb: &str, id: OperationId, hook: &Hook, flags: &[&str]) -> Result<()> {
        let (id, path) = (id.to_string(), hook.path());
        self.site.cli(&[&["op", verb, &id, &path], flags].concat())?.expect(0).map(drop)
    }

    pub fn wait_for_state(&self, id: OperationId, hook: &Hook, state: StepState) -> Result<()> {
        self.site.wait_for(id, &format!("{} to be {state:?}", hook.path()), |operation| {
            let mut steps = operation.steps.iter().flatten();
            let step = steps.find(|step| step.hook.path().to_string() == hook.path())?;
            (step.state == state).then_some(())
        })
    }

    /// The phase of the node of a step's bridge, once it has one.
    pub fn phase(&self, workflow: &str, hook: &Hook) -> String {
        // It may not be there yet.
        let Ok(workflow) = self.argo.workflow(workflow) else { return String::new() };
        let nodes = bridges(&workflow);
        nodes.into_iter().find(|node| node.0 == hook.path()).map(|node| node.1).unwrap_or_default()
    }

    pub fn wait_for_phase(&self, workflow: &str, hook: &Hook, phase: &str) -> Result<()> {
        eventually(format!("Argo to show {} as {phase}", hook.path()), || {
            Ok((self.phase(workflow, hook) == phase).then_some(()))
        })
    }

    pub fn wait_for_start(&self, id: OperationId, hook: &Hook, times: usize) -> Result<()> {
        eventually(format!("{} to begin", hook.path()), || {
            Ok((self.world.witness().starts(id, hook.name())? == times).then_some(()))
        })
    }
}

fn steered(world: &World) -> Result<()> {
    let managed = Managed::new(world)?;
    let team = &managed.team;
    let realm = team.hook("realm").gated_witness("0");
    let held = team.hook("held").witness(0, "0").after("realm");
    let flaky = team.hook("flaky").witness(0, "first:3").after("realm");
    let wrong = team.hook("wrong").witness(0, "4");
    let manual = team.hook("manual").witness(0, "5");
    let last = team.hook("last").gated_witness("0").after("held,flaky,wrong,manual");
    managed.argo.apply(&[&realm, &held, &flaky, &wrong, &manual, &last])?;
    let id = managed.site.provision("prod", REGION)?;
    let first = Managed::name(id, 1);

    managed.wait_for_start(id, &realm, 1)?;
    managed.op("hold", id, &held, &["--reason", "not yet"])?;
    world.open(&["realm"])?;
    managed.wait_for_state(id, &realm, StepState::Succeeded)?;
    // What fails waits for a person, and Argo shows it as running.
    for hook in [&wrong, &manual] {
        managed.wait_for_state(id, hook, StepState::Failed)?;
        managed.wait_for_phase(&first, hook, "Running")?;
    }
    managed.op("skip", id, &wrong, &["--reason", "not wanted here"])?;
    managed.wait_for_phase(&first, &wrong, "Succeeded")?;
    managed.op("confirm", id, &manual, &["--reason", "done by hand"])?;
    managed.wait_for_phase(&first, &manual, "Succeeded")?;
    managed.wait_for_state(id, &flaky, StepState::Failed)?;
    managed.wait_for_phase(&first, &flaky, "Running")?;
    managed.op("rerun", id, &flaky, &[])?;
    managed.wait_for_state(id, &flaky, StepState::Succeeded)?;
    managed.wait_for_phase(&first, &flaky, "Succeeded")?;

    ensure!(world.witness().starts(id, "held")? == 0, "it was held");
    managed.wait_for_phase(&first, &held, "Running")?;
    managed.op("release", id, &held, &[])?;
    managed.wait_for_phase(&first, &held, "Succeeded")?;
    managed.wait_for_start(id, &last, 1)?;

    // What Argo counts as finished runs again in a Workflow of its own.
    managed.op("rerun", id, &realm, &[])?;
    let second = Managed::name(id, 2);
    managed.wait_for_phase(&second, &realm, "Running")?;
    managed.wait_for_start(id, &realm, 2)?;
    managed.wait_for_phase(&second, &realm, "Succeeded")?;
    for hook in [&held, &flaky] {
        managed.op("confirm", id, hook, &["--reason", "what it made stands"])?;
    }
    // It ran all the while, with what the realm's first run had made.
    world.open(&["last"])?;
    managed.wait_for_state(id, &last, StepState::Succeeded)?;
    managed.op("confirm", id, &last, &["--reason", "it needs nothing of the realm"])?;
    let operation = managed.site.wait_succeeded(id)?;
    ensure!(operation.region.as_ref().is_some_and(|region| region.as_str() == REGION));
    for name in [&first, &second] {
        managed.argo.succeeded(name)?;
    }
    ensure!(managed.argo.workflows()? == [first.clone(), second], "no other Workflow");
    let shown = managed.argo.workflow(&first)?;
    let back = &shown["metadata"]["annotations"]["workflows.argoproj.io/description"];
    let link = format!("({}/v1/operations/{id}): `tenantry op get {id}`", managed.site.url());
    ensure!(back.as_str().is_some_and(|back| back.ends_with(&link)), "{back}");
    for (hook, times) in [(&realm, 2), (&held, 1), (&flaky, 2), (&wrong, 1), (&manual, 1), (&last, 1)] {
        ensure!(world.witness().starts(id, hook.name())? == times, "{}", hook.path());
    }
    // Each attempt's log is in both places.
    for (number, code) in [(1, "\"exit\":3"), (2, "\"exit\":0")] {
        let log = managed.site.log_text(id, "flaky", number)?;
        ensure!(log.contains(code), "attempt {number}: {log}");
        ensure!(managed.argo.argo(&["logs", &first, "--no-color"])?.contains(code));
    }
    let regions = managed.site.cli(&["region", "list"])?.expect(0)?.out;
    ensure!(regions.contains("argo"), "{regions}");
    managed.site.finish()
}

/// Deleted, and terminated: nothing is lost, nothing runs twice, and a person decides.
fn ended(world: &World) -> Result<()> {
    let managed = Managed::new(world)?;
    let first = managed.team.hook("first").gated_witness("0");
    let second = managed.team.hook("second").gated_witness("0").after("first");
    managed.argo.apply(&[&first, &second])?;
    let id = managed.site.provision("prod", REGION)?;
    managed.wait_for_start(id, &first, 1)?;
    let cluster = world.cluster()?;
    cluster.kubectl(&["delete", "workflow", "-n", ARGO, &Managed::name(id, 1), "--wait=false"])?;
    paused(&managed, id)?;
    // The hook runs on, and ends while nobody looks.
    world.open(&["first"])?;
    managed.site.cli(&["op", "resume", &id.to_string()])?.expect(0)?;
    managed.wait_for_state(id, &first, StepState::Succeeded)?;
    managed.wait_for_start(id, &second, 1)?;

    managed.argo.argo(&["terminate", &Managed::name(id, 2)])?;
    paused(&managed, id)?;
    managed.site.cli(&["op", "resume", &id.to_string()])?.expect(0)?;
    let third = Managed::name(id, 3);
    managed.wait_for_phase(&third, &second, "Running")?;
    world.open(&["second"])?;
    managed.site.wait_succeeded(id)?;
    managed.argo.succeeded(&third)?;
    for hook in [&first, &second] {
        ensure!(world.witness().starts(id, hook.name())? == 1, "{} ran twice", hook.path());
    }
    let open = managed.site.cli(&["attention"])?.expect(0)?.out;
    ensure!(!open.contains("workflow-ended"), "{open}");
    managed.site.finish()
}

pub fn paused(managed: &Managed<'_>, id: OperationId) -> Result<()> {
    managed.site.wait_for(id, "the operation's pause", |operation| {
        (operation.state == OperationState::Paused).then_some(())
    })?;
    let attention = managed.site.cli(&["attention"])?.expect(0)?.out;
    ensure!(attention.contains("workflow-ended") && attention.contains("tenantry op resume"), "{attention}");
    Ok(())
}
