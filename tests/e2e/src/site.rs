//! An installation: a manager with its data folder on a fixed port (or several, `managers.rs`), agents of regions, a
//! client. Each part can be killed and started again with what it left.

use crate::cli::{Answer, tenantry};
use crate::managers::ManagerLife;
use crate::{LogCheck, Postgres, Program, Proxy, World, eventually, within};
use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tenantry_api_types::v1::{
    Accepted, Attempt, AttentionQuery, CheckQuery, CreateEnvironment, CreateRegion, CreateTenant, HookState,
    HooksQuery, LogQuery, Operation, OperationsQuery, Step,
};
use tenantry_client::{Call, Client, ClientConfig, StepVerb};
use tenantry_model::{AttemptId, AttentionKind, Executor, OperationId, OperationState};
use tokio::runtime::Runtime;

/// Longest time of one operation of a test, on a slow machine.
const OPERATION: Duration = Duration::from_mins(10);

/// How an agent is to run.
#[derive(Clone, Debug, Default)]
pub struct AgentSettings {
    /// Flags besides those that name manager and folder.
    pub flags: Vec<(String, String)>,
    /// Variables besides those of the test.
    pub env: Vec<(String, String)>,
    /// Where it finds the manager, when not at its own address.
    pub manager_url: Option<String>,
}

impl AgentSettings {
    /// Attempts as objects of a cluster, for some namespaces (none: the whole cluster).
    #[must_use]
    pub fn kubernetes(kubeconfig: &Path, namespaces: &[&str]) -> Self {
        let mut settings = Self::default()
            .flag("executor", "kubernetes")
            .flag("kubeconfig", &kubeconfig.display().to_string());
        if !namespaces.is_empty() {
            settings = settings.flag("namespaces", &namespaces.join(","));
        }
        settings
    }

    /// Attempts as processes, templates from a folder.
    #[must_use]
    pub fn process(templates: &Path) -> Self {
        Self::default().flag("executor", "process").flag("templates", &templates.display().to_string())
    }

    /// One more flag.
    #[must_use]
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.push((format!("--{name}"), value.to_owned()));
        self
    }

    /// One more variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Another way to the manager (a proxy).
    #[must_use]
    pub fn through(mut self, address: SocketAddr) -> Self {
        self.manager_url = Some(format!("http://{address}"));
        self
    }
}

struct AgentLife {
    settings: AgentSettings,
    /// With which it joins; without it each start asks for one.
    join_token: Option<String>,
    program: Option<Program>,
}

/// A manager, its agents, and an administrator's client.
pub struct Site {
    folder: PathBuf,
    /// Where the manager listens, or the balancer before several.
    pub address: SocketAddr,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) managers: Vec<ManagerLife>,
    _balancer: Option<Proxy>,
    /// Of the manager's certificate; without one it is reached by plain HTTP.
    pub(crate) authority: Option<PathBuf>,
    revived: usize,
    agents: BTreeMap<String, AgentLife>,
    /// The administrator's token.
    pub token: String,
    client: Client,
    runtime: Runtime,
    pub(crate) logs: RefCell<LogCheck>,
    refused: BTreeSet<OperationId>,
}

impl Site {
    /// A manager with its rows in this database of PostgreSQL, and the rest in a folder.
    pub fn start_on(
        folder: &Path,
        postgres: &Postgres,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut alone = ManagerLife::alone(folder, flags)?;
        alone.keep_rows_in(postgres.settings(&postgres.database()?, postgres.address));
        Self::begin(folder.to_owned(), vec![alone], None, variables, None)
    }

    /// Starts a manager; `flags` besides those for its folder, port and log.
    pub fn start(world: &World, flags: &[&str]) -> Result<Self> {
        Self::start_in(world, "site", flags)
    }

    /// The same in a folder of this name: a test may have several.
    pub fn start_in(world: &World, name: &str, flags: &[&str]) -> Result<Self> {
        Self::start_at(&world.folder().join(name), flags, &[])
    }

    /// The same in any folder, with variables of all of the manager's lives.
    pub fn start_at(folder: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let alone = ManagerLife::alone(folder, flags)?;
        Self::begin(folder.to_owned(), vec![alone], None, variables, None)
    }

    /// Starts the managers; the first of them tells the administrator's token.
    pub(crate) fn begin(
        folder: PathBuf,
        managers: Vec<ManagerLife>,
        balancer: Option<Proxy>,
        variables: &[(&str, &str)],
        authority: Option<PathBuf>,
    ) -> Result<Self> {
        let first = managers.first().context("a site without managers")?.address;
        let address = balancer.as_ref().map_or(first, |balancer| balancer.address);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let mut site = Self {
            folder,
            address,
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            managers,
            _balancer: balancer,
            authority,
            revived: 0,
            agents: BTreeMap::new(),
            token: String::new(),
            client: Client::new(&ClientConfig::new(format!("http://{address}")))?,
            runtime,
            logs: RefCell::new(LogCheck::default()),
            refused: BTreeSet::new(),
        };
        site.begin_nth_manager(0)?;
        site.token = eventually("the admin token on stdout", || {
            if let Some(status) = site.manager_ended(0)? {
                let failpoint = status.signal() == Some(Signal::ABORT.as_raw());
                ensure!(failpoint, "the manager ended with {status}:\n{}", site.manager()?.tail());
                site.revive()?;
            }
            Ok(site.manager()?.out_text()?.lines().next().map(str::to_owned))
        })?;
        let config = ClientConfig::new(site.url()).with_token(site.token.clone());
        site.client = Client::new(&ClientConfig { ca_file: site.authority.clone(), ..config })?;
        // Only now: of two that start at once, either may be the one that is told the token.
        for manager in 1..site.managers.len() {
            site.start_nth_manager(manager)?;
        }
        Ok(site)
    }

    fn manager(&self) -> Result<&Program> {
        self.managers.first().and_then(|life| life.program.as_ref()).context("no manager runs")
    }

    /// The manager's URL.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The manager's command line.
    #[must_use]
    pub fn manager_command(&self) -> Command {
        self.managers[0].command(&self.variables)
    }

    /// Starts again what has ended by itself, manager and agents, as systemd would; tells how many of them a failpoint
    /// has ended since the site began. Does not wait for them.
    pub fn revive(&mut self) -> Result<usize> {
        let aborted = Some(Signal::ABORT.as_raw());
        let mut has_ended = |program: &mut Option<Program>| -> Result<bool> {
            let Some(program) = program else { return Ok(true) };
            let Some(status) = program.ended()? else { return Ok(false) };
            self.revived += usize::from(status.signal() == aborted);
            Ok(true)
        };
        let manager = has_ended(&mut self.managers[0].program)?;
        let mut regions = Vec::new();
        for (region, life) in &mut self.agents {
            if has_ended(&mut life.program)? {
                regions.push(region.clone());
            }
        }
        if manager {
            self.begin_nth_manager(0)?;
        }
        for region in regions {
            self.start_agent(&region)?;
        }
        Ok(self.revived)
    }

    /// Starts the manager (again), and waits until it answers.
    pub fn start_manager(&mut self) -> Result<()> {
        self.start_nth_manager(0)
    }

    /// SIGKILL to the manager.
    pub fn kill_manager(&mut self) -> Result<()> {
        self.kill_nth_manager(0)
    }

    /// A signal to the manager.
    pub fn signal_manager(&self, signal: Signal) -> Result<()> {
        self.signal_nth_manager(0, signal)
    }

    /// The manager's pid.
    pub fn manager_id(&self) -> Result<u32> {
        Ok(self.manager()?.id())
    }

    /// The pid of a region's agent.
    pub fn agent_id(&self, region: &str) -> Result<u32> {
        let life = self.agents.get(region).context("no such region")?;
        Ok(life.program.as_ref().context("no agent runs")?.id())
    }

    /// Makes a region, joins an agent, and waits until it is alive.
    pub fn add_region(&mut self, region: &str, settings: AgentSettings) -> Result<()> {
        let name = region.parse()?;
        self.call(self.client.create_region(&CreateRegion { name }, &Call::default()))?;
        self.agents.insert(region.to_owned(), AgentLife { settings, join_token: None, program: None });
        self.start_agent(region)?;
        let name = region.parse()?;
        eventually(format!("the agent of {region}"), || {
            self.check_alive()?;
            let region = self.call(self.client.region(&name))?;
            Ok((region.alive && region.inventory_complete).then_some(()))
        })
    }

    /// Starts the agent of a region that is there, with this join token, and does not wait for it.
    pub fn join_region(&mut self, region: &str, settings: AgentSettings, join_token: String) -> Result<()> {
        let life = AgentLife { settings, join_token: Some(join_token), program: None };
        self.agents.insert(region.to_owned(), life);
        self.start_agent(region)
    }

    /// A join token of a region.
    pub fn join_token(&self, region: &str) -> Result<String> {
        Ok(self.call(self.client.create_join_token(&region.parse()?, &Call::default()))?.token)
    }

    /// The agent's folder.
    #[must_use]
    pub fn agent_folder(&self, region: &str) -> PathBuf {
        self.folder.join(format!("agent-{region}"))
    }

    /// Starts a region's agent (again).
    pub fn start_agent(&mut self, region: &str) -> Result<()> {
        let folder = self.agent_folder(region);
        let mut command = tenantry();
        command.arg("agent").arg("--folder").arg(&folder).args(["--log-format", "json"]);
        let given = self.agents.get(region).and_then(|life| life.join_token.clone());
        if !folder.join("region").exists() {
            let token = given.map_or_else(|| self.join_token(region), Ok)?;
            command.args(["--join-token", &token]);
        }
        let url = self.url();
        let life = self.agents.get_mut(region).context("no such region")?;
        command.args(["--manager-url", life.settings.manager_url.as_deref().unwrap_or(&url)]);
        for (flag, value) in &life.settings.flags {
            command.args([flag, value]);
        }
        command.envs(life.settings.env.iter().map(|(name, value)| (name, value)));
        life.program = Some(Program::start(&format!("agent-{region}"), &self.folder, &mut command)?);
        Ok(())
    }

    /// A signal to a region's agent.
    pub fn signal_agent(&self, region: &str, signal: Signal) -> Result<()> {
        let life = self.agents.get(region).context("no such region")?;
        life.program.as_ref().context("no agent runs")?.signal(signal)
    }

    /// SIGKILL to a region's agent.
    pub fn kill_agent(&mut self, region: &str) -> Result<()> {
        let life = self.agents.get_mut(region).context("no such region")?;
        life.program.take().context("no agent runs")?.kill()
    }

    /// All that a region's agent has written on standard error, in all its lives.
    pub fn agent_log(&self, region: &str) -> Result<String> {
        let life = self.agents.get(region).context("no such region")?;
        life.program.as_ref().context("no agent runs")?.log_text()
    }

    /// Waits until an agent that was started again has joined.
    fn check_alive(&self) -> Result<()> {
        for life in self.agents.values() {
            if let Some(program) = &life.program {
                // Only its log is needed: a program that ended is noticed by what it did not do.
                if program.log_text()?.contains("panicked at") {
                    bail!("an agent panicked:\n{}", program.tail());
                }
            }
        }
        Ok(())
    }

    /// Warnings and errors that contain this text are expected in the logs.
    pub fn expect_log(&self, text: &str) {
        self.logs.borrow_mut().expect(text);
    }

    /// The same of one program's log (`manager-0`, `agent-eu1`), and only at these times.
    pub fn expect_log_during(&self, program: &str, text: &str, during: &[(Timestamp, Timestamp)]) {
        self.logs.borrow_mut().expect_during(program, text, during);
    }

    /// The refusal of this operation's plan waits for a person at the end too.
    pub fn expect_refused(&mut self, id: OperationId) {
        self.refused.insert(id);
    }

    /// The client, for calls through [`Site::call`].
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Makes one call.
    pub fn call<T>(&self, call: impl Future<Output = tenantry_client::Result<T>>) -> Result<T> {
        self.runtime.block_on(call).map_err(|error| match error.problem() {
            Some(problem) => anyhow::anyhow!("{} ({}): {}", problem.status, problem.code, problem.detail),
            None => error.into(),
        })
    }

    /// A command of a client, with this site's URL and token.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = tenantry();
        command.args(args).env("TENANTRY_URL", self.url()).env("TENANTRY_TOKEN", &self.token);
        if let Some(file) = &self.authority {
            command.env("TENANTRY_CA_FILE", file);
        }
        command
    }

    /// Runs it to its end.
    pub fn cli(&self, args: &[&str]) -> Result<Answer> {
        Answer::of(&mut self.command(args))
    }

    /// Waits until the hooks (`namespace/name`) are ready in the region. One of Argo knows them when an operation is planned.
    pub fn wait_for_hooks(&self, region: &str, hooks: &[&str]) -> Result<()> {
        if self.call(self.client.region(&region.parse()?))?.executor == Some(Executor::Argo) {
            return Ok(());
        }
        let query = HooksQuery { region: Some(region.parse()?), ..HooksQuery::default() };
        let mut seen = Vec::new();
        eventually(format!("the discovery of {hooks:?}"), || {
            let found = self.call(self.client.hooks(&query))?.items;
            seen = found
                .iter()
                .map(|hook| format!("{} {:?} {:?}", hook.hook, hook.state, hook.problems))
                .collect();
            let ready = |path: &&str| {
                found
                    .iter()
                    .any(|hook| hook.hook.path().to_string() == **path && hook.state == HookState::Ready)
            };
            Ok(hooks.iter().all(ready).then_some(()))
        })
        .with_context(|| format!("the region's hooks: {seen:#?}"))
    }

    /// Makes tenant `acme` (if needed) and an environment in the region; answers the operation that provisions it.
    pub fn create_environment(&self, name: &str, region: &str, labels: Value) -> Result<Accepted> {
        self.create_environment_with(name, region, labels, json!({}))
    }

    /// The same with settings.
    pub fn create_environment_with(
        &self,
        name: &str,
        region: &str,
        labels: Value,
        spec: Value,
    ) -> Result<Accepted> {
        let tenant = CreateTenant { name: "acme".parse()?, display_name: None };
        match self.call(self.client.create_tenant(&tenant, &Call::default())) {
            Ok(_) => {}
            Err(error) if error.to_string().starts_with("409") => {}
            Err(error) => return Err(error),
        }
        let body: CreateEnvironment = serde_json::from_value(json!({
            "tenant": "acme", "name": name, "region": region, "labels": labels, "spec": spec
        }))?;
        self.call(self.client.create_environment(&body, &Call::default()))
    }

    /// Makes an environment and answers the id of its first operation.
    pub fn provision(&self, name: &str, region: &str) -> Result<OperationId> {
        Ok(self.create_environment(name, region, json!({}))?.operation.context("no operation")?.id)
    }

    /// An operation with its steps.
    pub fn operation(&self, id: OperationId) -> Result<Operation> {
        self.call(self.client.operation(id))
    }

    /// Waits until something is true of an operation. A manager that does not answer is asked again.
    pub fn wait_for<T>(
        &self,
        id: OperationId,
        what: &str,
        mut look: impl FnMut(&Operation) -> Option<T>,
    ) -> Result<T> {
        let mut last = None;
        within(OPERATION, what, || {
            if let Ok(operation) = self.runtime.block_on(self.client.operation(id)) {
                let found = look(&operation);
                last = Some(operation);
                return Ok(found);
            }
            Ok(None)
        })
        .with_context(|| format!("operation at that time: {}", brief(last.as_ref())))
    }

    /// Waits for its end.
    pub fn wait_done(&self, id: OperationId) -> Result<Operation> {
        self.wait_for(id, "the end of the operation", |operation| operation.done.then(|| operation.clone()))
    }

    /// Waits for its end, which must be success.
    pub fn wait_succeeded(&self, id: OperationId) -> Result<Operation> {
        let operation = self.wait_done(id)?;
        succeeded(&operation)?;
        Ok(operation)
    }

    /// Waits until a step (by its hook's name) waits for a decision or the operation has ended; answers the newest
    /// attempt of the step.
    pub fn wait_ended_attempt(&self, id: OperationId, step: &str) -> Result<Attempt> {
        self.wait_for(id, "the end of the attempt", |operation| {
            step_of(operation, step)
                .and_then(|step| {
                    step.attempts.last().filter(|_| step.waiting || step.state.is_done() || operation.done)
                })
                .filter(|attempt| attempt.outcome.is_some())
                .cloned()
        })
    }

    /// A verb on a step.
    pub fn steer(&self, id: OperationId, step: &str, verb: StepVerb, reason: &str) -> Result<Operation> {
        let operation = self.operation(id)?;
        let hook = step_of(&operation, step).context("no such step")?.hook.clone();
        let verb = verb.with(Some(reason.to_owned()), None);
        let steered = self.call(self.client.steer(id, &hook, &verb, &Call::default()))?;
        steered.done().context("the verb waits for a second person")
    }

    /// The whole log of an attempt, once it is complete.
    pub fn log(&self, id: OperationId, step: &str, number: u32) -> Result<Vec<u8>> {
        let operation = self.operation(id)?;
        let hook = step_of(&operation, step).context("no such step")?.hook.clone();
        let attempt = AttemptId { operation: id, step: hook, number };
        eventually(format!("the complete log of {attempt}"), || {
            let (mut log, mut offset) = (Vec::new(), 0);
            loop {
                let range = self.call(self.client.log(&attempt, &LogQuery { offset, limit: None }))?;
                log.extend_from_slice(&range.bytes);
                if range.complete {
                    return Ok(Some(log));
                }
                if range.next_offset == offset {
                    return Ok(None);
                }
                offset = range.next_offset;
            }
        })
    }

    /// The same as text.
    pub fn log_text(&self, id: OperationId, step: &str, number: u32) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.log(id, step, number)?).into_owned())
    }

    /// The end of a test: everything that was begun has ended, nothing waits for a person, the programs end in good
    /// order, and their logs hold no surprise.
    pub fn finish(mut self) -> Result<()> {
        let unfinished = OperationsQuery { unfinished: true, ..OperationsQuery::default() };
        let left = self.call(self.client.operations(&unfinished))?.items;
        ensure!(left.is_empty(), "operations that have not ended: {left:?}");
        let all = self.call(self.client.operations(&OperationsQuery::default()))?.items;
        for operation in all {
            consistent(&self.operation(operation.id)?)?;
        }
        let open = self.call(self.client.attention(&AttentionQuery::default()))?.items;
        let (refusals, others): (Vec<_>, Vec<_>) = open
            .iter()
            .filter_map(|item| Some((item.operation?, item)))
            .partition(|(_, item)| item.kind == AttentionKind::PlanRefused);
        ensure!(others.is_empty(), "attention of operations that have ended: {others:?}");
        let refused = refusals.iter().map(|(operation, _)| *operation).collect();
        ensure!(self.refused == refused, "refused: {:?}; told: {refusals:?}", self.refused);
        self.nothing_is_left()?;

        let check = self.logs.borrow().clone();
        for (region, life) in &mut self.agents {
            if let Some(program) = &mut life.program {
                program.check_alive()?;
                let status = program.terminate()?;
                ensure!(status.success(), "the agent of {region} ended with {status}:\n{}", program.tail());
                check.check(&program.log)?;
            }
        }
        self.stop_managers()?;
        self.check_manager_logs()
    }
}

impl Site {
    /// Agents have carried out everything they were told, and all that is stored fits together.
    fn nothing_is_left(&self) -> Result<()> {
        for region in self.agents.iter().filter(|(_, life)| life.program.is_some()).map(|(region, _)| region)
        {
            let name = region.parse()?;
            within(Duration::from_secs(30), format!("the end of all commands of {region}"), || {
                let open = self.call(self.client.open_commands(&name))?.items;
                Ok(open.is_empty().then_some(()))
            })
            .with_context(|| format!("left: {:?}", self.call(self.client.open_commands(&name))))?;
        }
        let findings = self.call(self.client.findings(&CheckQuery { deep: true }))?;
        ensure!(findings.is_empty(), "what is stored does not fit together: {findings:#?}");
        Ok(())
    }
}

/// A step by its hook's name or `namespace/name`.
fn step_of<'a>(operation: &'a Operation, name: &str) -> Option<&'a Step> {
    operation
        .steps
        .iter()
        .flatten()
        .find(|step| step.hook.name.as_str() == name || step.hook.path().to_string() == name)
}

/// The operation has succeeded; otherwise what its steps say.
pub fn succeeded(operation: &Operation) -> Result<()> {
    ensure!(operation.state == OperationState::Succeeded, "{}", brief(Some(operation)));
    Ok(())
}

/// What holds for every operation that has ended, however it ended.
fn consistent(operation: &Operation) -> Result<()> {
    let what = || brief(Some(operation));
    for step in operation.steps.iter().flatten() {
        ensure!(!step.waiting, "a step waits in an operation that has ended: {}", what());
        ensure!(step.attempts.len() == step.attempt as usize, "attempts are missing: {}", what());
        for attempt in &step.attempts {
            ensure!(attempt.state.is_over(), "an attempt is not over: {}", what());
        }
        if operation.state == OperationState::Succeeded {
            ensure!(step.state.is_done() || step.failure_accepted, "a step is not done: {}", what());
        }
    }
    Ok(())
}

fn brief(operation: Option<&Operation>) -> String {
    let Some(operation) = operation else { return "unknown".to_owned() };
    let mut text = format!("{} {:?}", operation.name, operation.state);
    for extra in [&operation.note, &operation.problem].into_iter().flatten() {
        text.push_str(&format!(" ({extra})"));
    }
    for step in operation.steps.iter().flatten() {
        text.push_str(&format!("\n  {} {:?}", step.hook, step.state));
        if step.waiting {
            text.push_str(" waiting");
        }
        for attempt in &step.attempts {
            text.push_str(&format!(
                "\n    #{} {:?} {:?} unknown {:?} {:?}",
                attempt.number, attempt.state, attempt.outcome, attempt.unknown_since, attempt.waiting_for
            ));
        }
    }
    text
}
