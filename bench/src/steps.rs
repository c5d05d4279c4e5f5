//! Steps through manager and store, with an agent that answers at once, in a database that has a history.

use crate::history::{self, Place};

use crate::laptop::cpu;
use crate::place::{REGION, asked};
use crate::table::{self, Table};
use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tenantry_api_types::v1::{CreateRegion, OperationsQuery};
use tenantry_client::{Call, Client, ClientConfig};
use tenantry_e2e::instant::{Answer, InstantAgent};
use tenantry_e2e::{Hook, Program, Site, World, succeeded, tenantry, within};
use tenantry_model::{EnvironmentId, OperationId};

/// Steps of one operation.
pub const STEPS: usize = 20;
/// Side by side in a layer of them.
const WIDTH: usize = 5;
/// What is measured, and what becomes history.
const GRAPH: &str = "bench.graph";
pub const ONCE: &str = "bench.once";
/// Calls that are under way at a time.
const CALLS: usize = 8;

/// How much is run.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Environments with one operation each at a time.
    pub environments: usize,
    /// Operations of each, one after another.
    pub rounds: usize,
    /// Finished operations in the database, for the second measurement.
    pub history: usize,
}

impl Load {
    /// Finished operations without the history.
    pub fn few(self) -> usize {
        1 + self.environments * (2 * self.rounds + 2)
    }
}

/// An installation with an instant agent and environments.
pub struct Installation {
    /// Manager and client.
    pub site: Site,
    agents: Vec<InstantAgent>,
    environments: Vec<EnvironmentId>,
    /// A further manager of the same store, with the client for its environments.
    second: Option<(Program, Client, Vec<EnvironmentId>)>,
}

/// Templates of a graph of [`STEPS`] in layers, and of an operation with one step.
fn templates() -> Vec<Value> {
    let name = |n: usize| format!("s{n:02}");
    let mut all: Vec<Hook> = (0..STEPS)
        .map(|n| {
            let hook = Hook::new("bench", &name(n)).tenant("lifecycle", GRAPH);
            let layer = n / WIDTH * WIDTH;
            if layer == 0 {
                return hook;
            }
            let before: Vec<String> = (layer - WIDTH..layer).map(name).collect();
            hook.after(&before.join(","))
        })
        .collect();
    all.push(Hook::new("bench", "once").tenant("lifecycle", ONCE));
    all.iter().map(Hook::manifest).collect()
}

impl Installation {
    /// Starts all of it, on `SQLite`.
    pub fn start(world: &World, environments: usize, answer: Answer) -> Result<Self> {
        Self::start_on(world, &[], environments, answer)
    }

    /// Starts all of it with these flags of the manager.
    pub fn start_on(world: &World, flags: &[&str], environments: usize, answer: Answer) -> Result<Self> {
        let site = Site::start(world, flags)?;
        let mut this = Self { agents: Vec::new(), site, environments: Vec::new(), second: None };
        this.create_region(REGION)?;
        this.join(answer)?;
        this.environments = this.create_environments(REGION, environments)?;
        this.wait_until_idle()?;
        Ok(this)
    }

    /// Starts a second manager of the same store, with a region and environments of its own; half of the operations go
    /// there from then on.
    pub fn add_manager(&mut self, world: &World, flags: &[&str]) -> Result<()> {
        const SECOND: &str = "second";
        let folder = world.folder().join(SECOND);
        std::fs::create_dir_all(&folder)?;
        let address = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let mut command = tenantry();
        command.arg("manager").arg("--data").arg(folder.join("data"));
        command.args(["--listen", &address.to_string(), "--log-format", "json"]).args(flags);
        let program = Program::start(SECOND, &folder, &mut command)?;
        within(Duration::from_mins(1), "the second manager", || {
            Ok(std::net::TcpStream::connect(address).ok())
        })?;
        let url = format!("http://{address}");
        let client = Client::new(&ClientConfig::new(url.clone()).with_token(self.site.token.clone()))?;
        self.create_region(SECOND)?;
        let token = self.site.join_token(SECOND)?;
        self.agents.push(InstantAgent::start(&url, token, &templates(), Answer::Succeeds)?);
        self.wait_for_region(SECOND)?;
        self.environments.truncate(self.environments.len().div_ceil(2));
        let environments = self.create_environments(SECOND, self.environments.len())?;
        self.second = Some((program, client, environments));
        self.wait_until_idle()
    }

    fn create_region(&self, name: &str) -> Result<()> {
        let region = CreateRegion { name: name.parse()? };
        self.site.call(self.site.client().create_region(&region, &Call::default()))?;
        Ok(())
    }

    /// The agent of the first manager (again).
    pub fn join(&mut self, answer: Answer) -> Result<()> {
        let token = self.site.join_token(REGION)?;
        self.agents.push(InstantAgent::start(&self.site.url(), token, &templates(), answer)?);
        self.wait_for_region(REGION)
    }

    fn create_environments(&self, region: &str, count: usize) -> Result<Vec<EnvironmentId>> {
        let create = |n| {
            let accepted = self.site.create_environment(&format!("{region}-{n}"), region, json!({}))?;
            Ok(accepted.operation.context("no operation")?.environment)
        };
        (0..count).map(create).collect()
    }

    /// Starts one operation in every environment; answers one of them.
    pub fn begin(&self, operation: &str) -> Result<OperationId> {
        let body = asked(operation)?;
        let own = self.environments.iter().map(|id| (self.site.client(), *id));
        let second = self.second.iter().flat_map(|(_, client, all)| all.iter().map(move |id| (client, *id)));
        let calls: Vec<_> = own.chain(second).collect();
        let calls = stream::iter(calls).map(|(client, id)| {
            let body = &body;
            async move { client.run_operation(id, body, &Call::default()).await }
        });
        let accepted: Vec<_> = self.site.call(calls.buffer_unordered(CALLS).try_collect())?;
        let first = accepted.into_iter().find_map(|accepted| accepted.operation);
        Ok(first.context("no operation")?.id)
    }

    /// Runs operations one after another in every environment at a time; answers how many steps a second, and the
    /// manager's processor time of one in milliseconds.
    pub fn rate(&self, rounds: usize) -> Result<(f64, f64)> {
        let before = self.cpu()?;
        let began = Instant::now();
        let mut last = None;
        let second = self.second.as_ref().map_or(0, |(_, _, environments)| environments.len());
        let steps = (self.environments.len() + second) * STEPS;
        for _ in 0..rounds {
            let answered = self.started();
            last = Some(self.begin(GRAPH)?);
            // The agents know when it is worth asking: questions in between would be measured as well.
            self.wait_started(answered + steps)?;
            self.wait_until_idle()?;
        }
        let took = began.elapsed();
        let ended = self.site.operation(last.context("no round")?)?;
        succeeded(&ended)?;
        ensure!(ended.steps.is_some_and(|steps| steps.len() == STEPS), "another number of steps");
        let used = self.cpu()? - before;
        let steps = table::count(steps * rounds);
        Ok((steps / took.as_secs_f64(), used * 1000.0 / steps))
    }

    fn cpu(&self) -> Result<f64> {
        let second = self.second.as_ref().map_or(Ok(0.0), |(program, _, _)| cpu(program.id()))?;
        Ok(cpu(self.site.manager_id()?)? + second)
    }

    /// Waits until every operation has ended.
    pub fn wait_until_idle(&self) -> Result<()> {
        let query = OperationsQuery { unfinished: true, page_size: Some(1), ..OperationsQuery::default() };
        let began = Instant::now();
        while !self.site.call(self.site.client().operations(&query))?.items.is_empty() {
            ensure!(began.elapsed() < Duration::from_mins(20), "operations do not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn wait_for_region(&self, name: &str) -> Result<()> {
        let name = name.parse()?;
        within(Duration::from_mins(1), "the region", || {
            let region = self.site.call(self.site.client().region(&name))?;
            Ok((region.alive && region.inventory_complete).then_some(()))
        })
    }

    /// How many starts the agents have answered.
    fn started(&self) -> usize {
        let started = |agent: &InstantAgent| agent.started.load(std::sync::atomic::Ordering::SeqCst);
        usize::try_from(self.agents.iter().map(started).sum::<u64>()).unwrap_or(usize::MAX)
    }

    /// Waits until so many starts were answered.
    pub fn wait_started(&self, count: usize) -> Result<()> {
        let began = Instant::now();
        while self.started() < count {
            ensure!(began.elapsed() < Duration::from_mins(10), "{} starts of {count}", self.started());
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Ends the agents, and the manager as a crash does.
    pub fn pause(&mut self) -> Result<()> {
        self.agents.drain(..).try_for_each(InstantAgent::stop)?;
        self.site.kill_manager()
    }

    /// Ends all of it.
    pub fn stop(mut self) -> Result<()> {
        self.agents.drain(..).try_for_each(InstantAgent::stop)
    }
}

/// Steps a second with a short and with a long history.
pub fn sqlite(world: &World, load: Load, table: &mut Table) -> Result<()> {
    let mut all = Installation::start(world, load.environments, Answer::Succeeds)?;
    let database = world.folder().join("site/data/tenantry.db");
    let short = grown(&mut all, &Place::Sqlite(database), load)?;
    let long = all.rate(load.rounds)?;
    let few = load.few();
    let figure = format!("steps a second, SQLite: {} finished operations : {few}", load.history + few);
    table.ratio(&figure, long.0, short.0, "/s", None);
    table.ratio("… step transitions a second", 2.0 * long.0, 2.0 * short.0, "/s", None);
    table.ratio("… the manager's processor time a step", long.1, short.1, "ms", None);
    all.stop()
}

/// Measures with a short history, then gives the store a long one. Both times it is warmed up as long as it is
/// measured: statements are prepared on every connection, and the file system has seen the files.
pub fn grown(all: &mut Installation, place: &Place, load: Load) -> Result<(f64, f64)> {
    let once = all.begin(ONCE)?;
    all.wait_until_idle()?;
    all.rate(load.rounds)?;
    let short = all.rate(load.rounds)?;
    all.pause()?;
    let began = Instant::now();
    let copied = history::fill(place, once, load.history)?;
    eprintln!("{copied} rows of history in {:.1} s", began.elapsed().as_secs_f64());
    all.site.start_manager()?;
    all.join(Answer::Succeeds)?;
    all.rate(load.rounds)?;
    Ok(short)
}
