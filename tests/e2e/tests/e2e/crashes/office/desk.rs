//! What a person at a desk has: a client that repeats what is not answered, and somebody who starts again what ended.

use super::super::{LIMIT, patiently};
use super::{GATED, REGION};
use anyhow::{Context, Result, anyhow, ensure};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tenantry_api_types::v1::{Operation, Step};
use tenantry_client::{Call, Client, ClientConfig, OperationVerb, Steered, StepVerb};
use tenantry_e2e::Site;
use tenantry_model::{AttemptState, EnvironmentId, OperationId, OperationState, StepState};
use tokio::runtime::Runtime;

pub struct Desk {
    pub site: Site,
    pub folder: PathBuf,
    /// The administrator.
    client: Client,
    /// The second person.
    second: Option<Client>,
    runtime: Runtime,
    /// Requests whose answer nobody heard, and that cannot be answered again.
    pub unheard: usize,
    /// The environment that is worked on, and those of the schedules.
    pub prod: Option<EnvironmentId>,
    pub night: Option<EnvironmentId>,
    pub clock: Option<EnvironmentId>,
}

impl Desk {
    pub fn new(site: Site, folder: &Path) -> Result<Self> {
        let client = client(&site, &site.token)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self {
            site,
            folder: folder.to_owned(),
            client,
            second: None,
            runtime,
            unheard: 0,
            prod: None,
            night: None,
            clock: None,
        })
    }

    /// From now on there is a second person.
    pub fn second_person(&mut self, token: &str) -> Result<()> {
        self.second = Some(client(&self.site, token)?);
        Ok(())
    }

    /// Makes a call, which the client repeats under its key until somebody answers; meanwhile what ends is started again.
    pub fn try_to_ask<T, F>(&mut self, call: impl FnOnce(Client) -> F) -> Result<tenantry_client::Result<T>>
    where
        T: Send + 'static,
        F: Future<Output = tenantry_client::Result<T>> + Send + 'static,
    {
        let client = self.client.clone();
        self.as_client(client, call)
    }

    fn as_client<T, F>(
        &mut self,
        client: Client,
        call: impl FnOnce(Client) -> F,
    ) -> Result<tenantry_client::Result<T>>
    where
        T: Send + 'static,
        F: Future<Output = tenantry_client::Result<T>> + Send + 'static,
    {
        let answer = self.runtime.spawn(call(client));
        let deadline = Instant::now() + LIMIT;
        while !answer.is_finished() {
            self.site.revive()?;
            ensure!(Instant::now() < deadline, "no answer");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(self.runtime.block_on(answer)?)
    }

    /// The same; a refusal is an error.
    pub fn ask<T, F>(&mut self, call: impl FnOnce(Client) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = tenantry_client::Result<T>> + Send + 'static,
    {
        self.try_to_ask(call)?.map_err(refusal)
    }

    /// The second person makes a call.
    pub fn ask_as_second<T, F>(&mut self, call: impl FnOnce(Client) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = tenantry_client::Result<T>> + Send + 'static,
    {
        let second = self.second.clone().context("a second person")?;
        self.as_client(second, call)?.map_err(refusal)
    }

    /// Looks until there is something.
    pub fn until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(found) = look(self).with_context(|| what.to_owned())? {
                return Ok(found);
            }
            ensure!(Instant::now() < deadline, "{what} did not happen");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A look that the site's own client makes, when nothing more is going on.
    pub fn look<T>(&mut self, what: &str, look: impl FnMut(&Site) -> Result<T>) -> Result<T> {
        patiently(&mut self.site, what, look)
    }

    pub fn prod(&self) -> Result<EnvironmentId> {
        self.prod.context("an environment")
    }

    pub fn night(&self) -> Result<EnvironmentId> {
        self.night.context("an environment of a schedule")
    }

    pub fn clock(&self) -> Result<EnvironmentId> {
        self.clock.context("an environment of a schedule")
    }

    /// Runs an operation for an environment.
    pub fn run(&mut self, environment: EnvironmentId, name: &str) -> Result<OperationId> {
        let body = from(serde_json::json!({ "operation": name, "reason": "a day's work" }))?;
        let accepted = self.ask(move |client| async move {
            client.run_operation(environment, &body, &Call::default()).await
        })?;
        Ok(accepted.operation.context("an operation")?.id)
    }

    pub fn operation(&mut self, id: OperationId) -> Result<Operation> {
        self.ask(move |client| async move { client.operation(id).await })
    }

    /// Looks at an operation until there is something.
    pub fn until_of<T>(
        &mut self,
        id: OperationId,
        what: &str,
        mut look: impl FnMut(&Operation) -> Option<T>,
    ) -> Result<T> {
        let mut last = None;
        let found = self.until(what, |desk| {
            let operation = desk.operation(id)?;
            let found = look(&operation);
            last = Some(operation);
            Ok(found)
        });
        found.with_context(|| format!("the operation: {last:#?}"))
    }

    pub fn until_ended(&mut self, id: OperationId, state: OperationState) -> Result<()> {
        let ended = self.until_of(id, "the end of the operation", |operation| {
            operation.done.then_some(operation.state)
        })?;
        ensure!(ended == state, "operation {id} ended {ended:?} instead of {state:?}");
        Ok(())
    }

    /// Waits until this attempt of a step is at work.
    pub fn until_running(&mut self, id: OperationId, step: &'static str, attempt: u32) -> Result<()> {
        self.until_of(id, "the attempt at work", |operation| {
            let newest = step_of(operation, step)?.attempts.last()?;
            (newest.number == attempt && newest.state == AttemptState::Running).then_some(())
        })
    }

    /// Waits until a step waits for a decision.
    pub fn until_waiting(&mut self, id: OperationId, step: &'static str) -> Result<()> {
        self.until_of(id, "the step that waits", |operation| step_of(operation, step)?.waiting.then_some(()))
    }

    /// Waits until a step is ready or done with its predecessors, and held.
    pub fn until_held(&mut self, id: OperationId, step: &'static str, state: StepState) -> Result<()> {
        self.until_of(id, "the step that is held", |operation| {
            let step = step_of(operation, step)?;
            (step.held && step.state == state).then_some(())
        })
    }

    /// A verb on a step.
    pub fn steer(&mut self, id: OperationId, step: &'static str, verb: StepVerb) -> Result<Steered> {
        let operation = self.operation(id)?;
        let hook = step_of(&operation, step).context("no such step")?.hook.clone();
        let verb = verb.with(Some("it must be so".to_owned()), None);
        self.ask(move |client| async move { client.steer(id, &hook, &verb, &Call::default()).await })
    }

    /// A verb on an operation.
    pub fn steer_operation(&mut self, id: OperationId, verb: OperationVerb) -> Result<()> {
        self.ask(move |client| async move { client.steer_operation(id, &verb, &Call::default()).await })
            .map(drop)
    }

    /// Waits until there is attention of this kind.
    pub fn until_raised(&mut self, kind: tenantry_model::AttentionKind) -> Result<()> {
        self.until(&format!("attention {kind:?}"), |desk| {
            let open = desk.open_attention()?;
            Ok(open.iter().any(|item| item.kind == kind).then_some(()))
        })
    }

    /// What waits for a person.
    pub fn open_attention(&mut self) -> Result<Vec<tenantry_api_types::v1::Attention>> {
        Ok(self.ask(|client| async move { client.attention(&from(serde_json::json!({}))?).await })?.items)
    }

    /// Lets a hook end its work, now and in later attempts.
    pub fn open_gate(&self, name: &str) -> Result<()> {
        ensure!(GATED.contains(&name), "{name} has no gate");
        Ok(std::fs::write(self.gate(name), "")?)
    }

    /// From now on its attempts stay at work.
    pub fn close_gate(&self, name: &str) -> Result<()> {
        Ok(std::fs::remove_file(self.gate(name))?)
    }

    fn gate(&self, name: &str) -> PathBuf {
        self.folder.join("witness").join(format!("go-{name}"))
    }

    /// The file of a hook's template.
    pub fn template(&self, name: &str) -> PathBuf {
        self.folder.join("templates").join(format!("{name}.json"))
    }

    /// Ends the manager in good order, and starts it again.
    pub fn restart_manager(&mut self) -> Result<()> {
        self.site.signal_manager(rustix::process::Signal::TERM)?;
        self.until("the manager's end", |desk| Ok(desk.site.manager_ended(0)?.map(drop)))?;
        self.site.revive().map(drop)
    }

    pub fn region() -> Result<tenantry_model::RegionName> {
        Ok(REGION.parse()?)
    }
}

fn client(site: &Site, token: &str) -> Result<Client> {
    let mut config = ClientConfig::new(site.url()).with_token(token);
    // It is repeated for as long as a manager may be away.
    config.retry_for = LIMIT;
    Ok(Client::new(&config)?)
}

fn refusal(error: tenantry_client::ClientError) -> anyhow::Error {
    match error.problem() {
        Some(problem) => anyhow!("{} ({}): {}", problem.status, problem.code, problem.detail),
        None => error.into(),
    }
}

/// A body by the words of the API.
pub fn from<T: DeserializeOwned>(body: Value) -> tenantry_client::Result<T> {
    serde_json::from_value(body).map_err(|why| tenantry_client::ClientError::Config(why.to_string()))
}

pub fn step_of<'a>(operation: &'a Operation, name: &str) -> Option<&'a Step> {
    operation.steps.iter().flatten().find(|step| step.hook.name.as_str() == name)
}
