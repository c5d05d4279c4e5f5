//! Steps through manager and store, with an agent that answers at once, in a database that has a history.
//!
//! The history is real: one operation that ran, copied as often as wanted, under ids that are older.

use crate::instant::{Answer, InstantAgent};
use crate::laptop::cpu;
use crate::place::REGION;
use crate::table::{self, Table};
use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tenantry_api_types::v1::{CreateRegion, OperationsQuery, RunOperation};
use tenantry_client::{Call, Client};
use tenantry_e2e::{Hook, Site, World, succeeded, within};
use tenantry_model::{EnvironmentId, OperationId};

/// Steps of one operation.
const STEPS: usize = 20;
/// Side by side in a layer of them.
const WIDTH: usize = 5;
/// What is measured, and what becomes history.
const GRAPH: &str = "bench.graph";
const ONCE: &str = "bench.once";
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

/// An installation with an instant agent and environments.
pub struct Installation {
    /// Manager and client.
    pub site: Site,
    agent: InstantAgent,
    environments: Vec<EnvironmentId>,
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
    /// Starts all of it.
    pub fn start(world: &World, environments: usize, answer: Answer) -> Result<Self> {
        let site = Site::start(world, &[])?;
        let region = CreateRegion { name: REGION.parse()? };
        site.call(site.client().create_region(&region, &Call::default()))?;
        let mut this = Self { agent: agent(&site, answer)?, site, environments: Vec::new() };
        this.wait_for_region()?;
        for n in 0..environments {
            let accepted = this.site.create_environment(&format!("e{n}"), REGION, json!({}))?;
            let first = accepted.operation.context("no operation")?;
            this.environments.push(first.environment);
        }
        this.wait_until_idle()?;
        Ok(this)
    }

    /// Starts one operation in every environment; answers one of them.
    pub fn begin(&self, operation: &str) -> Result<OperationId> {
        let body = RunOperation {
            operation: operation.parse()?,
            reason: None,
            parameters: serde_json::Map::new(),
            on_conflict: None,
            expected_state: None,
            scheduled_time: None,
        };
        let client: &Client = self.site.client();
        let calls = stream::iter(self.environments.clone()).map(|id| {
            let body = &body;
            async move { client.run_operation(id, body, &Call::default()).await }
        });
        let accepted: Vec<_> = self.site.call(calls.buffer_unordered(CALLS).try_collect())?;
        let first = accepted.into_iter().find_map(|accepted| accepted.operation);
        Ok(first.context("no operation")?.id)
    }

    /// Runs operations one after another in every environment at a time; answers how many steps a second, and the
    /// manager's processor time of one in milliseconds.
    fn rate(&self, rounds: usize) -> Result<(f64, f64)> {
        let before = cpu(self.site.manager_id()?)?;
        let began = Instant::now();
        let mut last = None;
        for _ in 0..rounds {
            last = Some(self.begin(GRAPH)?);
            self.wait_until_idle()?;
        }
        let took = began.elapsed();
        let ended = self.site.operation(last.context("no round")?)?;
        succeeded(&ended)?;
        ensure!(ended.steps.is_some_and(|steps| steps.len() == STEPS), "another number of steps");
        let used = cpu(self.site.manager_id()?)? - before;
        let steps = table::count(self.environments.len() * rounds * STEPS);
        Ok((steps / took.as_secs_f64(), used * 1000.0 / steps))
    }

    /// Waits until every operation has ended.
    fn wait_until_idle(&self) -> Result<()> {
        let query = OperationsQuery { unfinished: true, page_size: Some(1), ..OperationsQuery::default() };
        let began = Instant::now();
        while !self.site.call(self.site.client().operations(&query))?.items.is_empty() {
            ensure!(began.elapsed() < Duration::from_mins(20), "operations do not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn wait_for_region(&self) -> Result<()> {
        let name = REGION.parse()?;
        within(Duration::from_mins(1), "the region", || {
            let region = self.site.call(self.site.client().region(&name))?;
            Ok((region.alive && region.inventory_complete).then_some(()))
        })
    }

    /// Waits until so many starts were answered.
    pub fn wait_started(&self, count: usize) -> Result<()> {
        within(Duration::from_mins(10), format!("{count} starts"), || {
            let started = self.agent.started.load(std::sync::atomic::Ordering::SeqCst);
            Ok((usize::try_from(started)? >= count).then_some(()))
        })
    }

    /// Ends agent and manager.
    pub fn stop(self) -> Result<()> {
        self.agent.stop()
    }
}

fn agent(site: &Site, answer: Answer) -> Result<InstantAgent> {
    InstantAgent::start(&site.url(), site.join_token(REGION)?, &templates(), answer)
}

/// Steps a second with a short and with a long history.
pub fn sqlite(world: &World, load: Load, table: &mut Table) -> Result<()> {
    let mut all = Installation::start(world, load.environments, Answer::Succeeds)?;
    let history = all.begin(ONCE)?;
    all.wait_until_idle()?;
    // Statements are prepared, and the file system has seen the files.
    all.rate(1)?;
    let short = all.rate(load.rounds)?;

    all.agent.stop()?;
    all.site.kill_manager()?;
    let began = Instant::now();
    let copied = fill(world, history, load.history)?;
    eprintln!("{copied} rows of history in {:.1} s", began.elapsed().as_secs_f64());
    all.site.start_manager()?;
    all.agent = agent(&all.site, Answer::Succeeds)?;
    all.wait_for_region()?;
    all.rate(1)?;
    let long = all.rate(load.rounds)?;
    let few = 1 + load.environments * (load.rounds + 3);
    let figure = format!("steps a second, SQLite: {} finished operations : {few}", load.history + few);
    table.ratio(&figure, long.0, short.0, "/s", None);
    table.ratio("… step transitions a second", 2.0 * long.0, 2.0 * short.0, "/s", None);
    table.ratio("… the manager's processor time a step", long.1, short.1, "ms", None);
    all.stop()
}

/// Copies a finished operation with its steps, attempts and events so often; answers how many rows that are.
fn fill(world: &World, operation: OperationId, count: usize) -> Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let options =
            sqlx::sqlite::SqliteConnectOptions::new().filename(world.folder().join("site/data/tenantry.db"));
        let pool = sqlx::SqlitePool::connect_with(options).await?;
        let mut transaction = pool.begin().await?;
        let mut rows = 0;
        for (table, column) in
            [("operations", "id"), ("steps", "operation"), ("attempts", "operation"), ("events", "operation")]
        {
            let found: Vec<(String, String)> = sqlx::query_as("SELECT name, type FROM pragma_table_info(?)")
                .bind(table)
                .fetch_all(&mut *transaction)
                .await?;
            // A position is given by the table itself.
            let columns: Vec<&(String, String)> =
                found.iter().filter(|(name, _)| name != "position").collect();
            let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
            let copies: Vec<String> = columns
                .iter()
                .map(|(name, kind)| match kind.as_str() {
                    "TEXT" => format!("replace({name}, ?1, printf('01800000-0000-7000-8000-%012x', n.i))"),
                    _ => name.clone(),
                })
                .collect();
            let sql = format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
                 INSERT INTO {table} ({}) SELECT {} FROM n, {table} WHERE {column} = ?1",
                names.join(", "),
                copies.join(", ")
            );
            let done = sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(operation.to_string())
                .bind(i64::try_from(count)?)
                .execute(&mut *transaction)
                .await
                .with_context(|| format!("copy rows of {table}"))?;
            rows += done.rows_affected();
        }
        transaction.commit().await?;
        pool.close().await;
        Ok(rows)
    })
}
