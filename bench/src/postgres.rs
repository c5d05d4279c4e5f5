//! Steps through manager and store on PostgreSQL, with one manager and with two, beside what pgbench commits on the same
//! server in the same run; and what the audit chains take of that.

use crate::history::Place;
use crate::steps::{Installation, Load, grown};
use crate::table::{self, Table};
use anyhow::{Context, Result, ensure};
use sqlx::{Connection, PgConnection};
use std::process::Command;
use std::time::Instant;
use tenantry_audit::follow;
use tenantry_e2e::World;
use tenantry_e2e::instant::Answer;
use tenantry_model::Page;
use tenantry_postgres_test::Server;
use tenantry_store::{AuditEntry, AuditFilter, Store};
use tenantry_store_postgres::{Database, PostgresStore};
use tokio::runtime::Runtime;

/// pgbench's scale: 1,000,000 accounts.
const SCALE: &str = "10";
/// Its clients. The manager has as many connections and more.
const CLIENTS: &str = "8";
/// Entries of the audit log whose appending is timed.
const ENTRIES: usize = 2000;

/// All of it. `seconds`: of pgbench, before and after.
pub fn steps(world: &World, load: Load, seconds: u32, table: &mut Table) -> Result<()> {
    let Some(server) = Server::durable()? else {
        eprintln!("PostgreSQL is not installed (Debian: postgresql-15): its figures are left out");
        return Ok(());
    };
    let runtime = Runtime::new()?;
    let pgbench = Pgbench::new(runtime.block_on(server.database())?)?;
    let url = runtime.block_on(server.database())?;
    let logs = world.folder().join("logs").display().to_string();
    let flags = ["--store", &url, "--logs-folder", &logs];
    let before = pgbench.run(seconds)?;

    let mut all = Installation::start_on(world, &flags, load.environments, Answer::Succeeds)?;
    let short = grown(&mut all, &Place::Postgres(url.clone()), load)?;
    let entries = runtime.block_on(entries(&url))?;
    let began = Instant::now();
    let long = all.rate(load.rounds)?;
    let took = began.elapsed().as_secs_f64();
    let entries = runtime.block_on(self::entries(&url))? - entries;
    all.add_manager(world, &flags)?;
    all.rate(load.rounds)?;
    let two = all.rate(load.rounds)?;
    all.stop()?;
    // Last: nobody else writes meanwhile, and an agent whose signs of life are not written down counts as silent.
    let of_one = runtime.block_on(time_of_an_entry(&url))?;
    let commits = f64::midpoint(before, pgbench.run(seconds)?);

    let (few, many) = (load.few(), load.history + load.few());
    let figure = format!("steps a second, PostgreSQL: {many} finished operations : {few}");
    table.ratio(&figure, long.0, short.0, "/s", None);
    table.ratio("… the manager's processor time a step", long.1, short.1, "ms", None);
    table.ratio("… two managers : one", two.0, long.0, "/s", None);
    for (name, rate) in [
        (format!("{few} finished"), short),
        (format!("{many} finished"), long),
        ("two managers".to_owned(), two),
    ] {
        let figure = format!("step transitions a second ({name}) : commits of pgbench -N, aim at least 0.50");
        table.ratio(&figure, 2.0 * rate.0, commits, "/s", None);
    }
    let steps = table::count(load.environments * load.rounds * crate::steps::STEPS);
    let without = 2.0 * steps / (took - entries * of_one);
    let figure = format!(
        "audit chains ({entries} entries of {:.2} ms): step transitions a second with : without them",
        of_one * 1000.0
    );
    table.ratio(&figure, 2.0 * steps / took, without, "/s", None);
    Ok(())
}

/// How many entries the audit log has.
async fn entries(url: &str) -> Result<f64> {
    let mut database = PgConnection::connect(url).await?;
    let count: f64 =
        sqlx::query_scalar("SELECT count(*)::float8 FROM audit").fetch_one(&mut database).await?;
    database.close().await?;
    Ok(count)
}

/// Seconds that one entry takes of the transaction that it rides in: the chain's newest one is read, the next is hashed
/// and written. A switch that leaves chains out would be a way to leave them out.
async fn time_of_an_entry(url: &str) -> Result<f64> {
    let store = PostgresStore::open(&Database::new(url, None)?, false).await?;
    let mut write = store.write().await?;
    let (filter, page) = (AuditFilter::default(), Page::default());
    let entries = write.audit_entries(&filter, &page).await?.items;
    let sample: AuditEntry = entries
        .into_iter()
        .find(|entry| entry.environment.is_some())
        .context("no entry of an environment: operations that were asked for have one")?;
    let began = Instant::now();
    for _ in 0..ENTRIES {
        let head = write.audit_head(sample.environment).await?;
        write.append_audit(&follow(head.as_ref(), sample.clone())).await?;
    }
    let took = began.elapsed();
    // Not committed: it never was.
    drop(write);
    Ok(took.as_secs_f64() / table::count(ENTRIES))
}

/// PostgreSQL's own benchmark.
struct Pgbench {
    url: String,
}

impl Pgbench {
    fn new(url: String) -> Result<Self> {
        let this = Self { url };
        this.call(&["--initialize", "--quiet", "--scale", SCALE])?;
        Ok(this)
    }

    /// Commits a second: `-N` leaves out the updates that wait for each other.
    fn run(&self, seconds: u32) -> Result<f64> {
        let seconds = seconds.to_string();
        let said = self.call(&["-N", "--client", CLIENTS, "--jobs", "2", "--time", &seconds])?;
        let line =
            said.lines().find_map(|line| line.strip_prefix("tps = ")).context("pgbench says no tps")?;
        let number = line.split_whitespace().next().unwrap_or_default();
        let rate = number.parse().with_context(|| format!("tps = {line}"))?;
        eprintln!("pgbench -N: {rate:.0} commits a second");
        Ok(rate)
    }

    fn call(&self, args: &[&str]) -> Result<String> {
        let output = Command::new("pgbench").args(args).arg(&self.url).output().context("run pgbench")?;
        ensure!(output.status.success(), "pgbench: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
