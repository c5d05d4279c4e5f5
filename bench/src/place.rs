//! An installation with one region and one environment, in which operations are run and timed.
//!
//! Times are a client's: from the call that asks for an operation until the API shows its end.

use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};
use tenantry_api_types::v1::{HookState, HooksQuery, OperationsQuery, RunOperation};
use tenantry_client::Call;
use tenantry_e2e::{AgentSettings, Site, World, succeeded};
use tenantry_model::{EnvironmentId, OperationId};

/// The region's name.
pub const REGION: &str = "bench";
/// Between two looks at whether an operation has ended: what a time may be too long.
const LOOK: Duration = Duration::from_millis(20);
/// Between two looks at whether a step waits for a person: that look is a large one.
const CHECK: Duration = Duration::from_secs(5);
/// Nothing that is measured takes longer.
const LIMIT: Duration = Duration::from_mins(30);

/// Where operations run.
pub struct Place {
    /// The installation.
    pub site: Site,
    environment: EnvironmentId,
}

impl Place {
    /// Starts manager and agent, waits for `hooks` ready hooks, makes the environment.
    pub fn start(world: &World, agent: AgentSettings, hooks: usize) -> Result<Self> {
        let mut site = Site::start(world, &[])?;
        site.add_region(REGION, agent)?;
        wait_for_hooks(&site, hooks)?;
        let provision = site.create_environment("bench", REGION, serde_json::json!({}))?;
        let first = provision.operation.context("no operation")?;
        site.wait_succeeded(first.id)?;
        Ok(Self { site, environment: first.environment })
    }

    /// Waits until so many hooks are ready.
    pub fn wait_for_hooks(&self, hooks: usize) -> Result<()> {
        wait_for_hooks(&self.site, hooks)
    }

    /// Starts an operation.
    pub fn begin(&self, operation: &str) -> Result<OperationId> {
        begin(&self.site, self.environment, operation)
    }

    /// Runs one to its end, which must be success with so many steps.
    pub fn run(&self, operation: &str, steps: usize) -> Result<Duration> {
        Ok(run(&self.site, self.environment, operation, steps, LOOK)?.0)
    }
}

/// What asks for an operation.
pub fn asked(operation: &str) -> Result<RunOperation> {
    Ok(RunOperation {
        operation: operation.parse()?,
        reason: None,
        parameters: serde_json::Map::new(),
        on_conflict: None,
        expected_state: None,
        scheduled_time: None,
    })
}

/// Starts an operation of an environment.
pub fn begin(site: &Site, environment: EnvironmentId, operation: &str) -> Result<OperationId> {
    let body = asked(operation)?;
    let call = Call::default();
    let accepted = site.call(site.client().run_operation(environment, &body, &call))?;
    Ok(accepted.operation.context("no operation")?.id)
}

/// Runs one to its end, which must be success with so many steps; looks for it so often.
pub fn run(
    site: &Site,
    environment: EnvironmentId,
    operation: &str,
    steps: usize,
    look: Duration,
) -> Result<(Duration, OperationId)> {
    let began = Instant::now();
    let mut next_check = CHECK;
    let id = begin(site, environment, operation)?;
    // Lists carry no steps: looking costs the manager little.
    let query =
        OperationsQuery { environment: Some(environment), unfinished: true, ..OperationsQuery::default() };
    while !site.call(site.client().operations(&query))?.items.is_empty() {
        if began.elapsed() > next_check {
            next_check += CHECK;
            let shown = site.operation(id)?;
            let stuck = shown.steps.iter().flatten().find(|step| step.waiting);
            if stuck.is_some() || began.elapsed() > LIMIT {
                bail!("{operation} does not end: {stuck:?}");
            }
        }
        std::thread::sleep(look);
    }
    let took = began.elapsed();
    let ended = site.operation(id)?;
    succeeded(&ended)?;
    let found = ended.steps.map_or(0, |steps| steps.len());
    anyhow::ensure!(found == steps, "{operation} had {found} steps instead of {steps}");
    Ok((took, id))
}

fn wait_for_hooks(site: &Site, hooks: usize) -> Result<()> {
    tenantry_e2e::within(Duration::from_mins(2), format!("the discovery of {hooks} hooks"), || {
        let mut query =
            HooksQuery { region: Some(REGION.parse()?), page_size: Some(1000), ..HooksQuery::default() };
        let mut ready = 0;
        loop {
            let page = site.call(site.client().hooks(&query))?;
            ready += page.items.iter().filter(|hook| hook.state == HookState::Ready).count();
            query.page_token = page.next_page_token;
            if query.page_token.is_none() {
                return Ok((ready >= hooks).then_some(()));
            }
        }
    })
}
