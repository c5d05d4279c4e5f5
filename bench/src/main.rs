//! Ratios against peers, side by side in one run (docs/benchmarks.md).
//!
//! It starts the same programs as the end-to-end tests, and measures from outside. It asserts no time: what fails a run
//! is only an operation or a peer that does not succeed.

mod argo;
mod bridge_cost;
mod cluster;
mod discovery;
mod engine;
mod history;
mod idle;
mod laptop;
mod latency;
mod place;
mod postgres;
mod queued;
mod simulator;
mod steps;
mod successor;
mod table;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use place::Place;
use table::Table;
use tenantry_e2e::{Needs, World, binary, down_all, on_signals, testbed};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Figure {
    /// Steps one after another, as Pods and as Jobs, against a shell loop.
    Sequential,
    /// Steps of one operation at once, against Pods at once.
    Parallel,
    /// Steps as processes, against processes one after another.
    Process,
    /// From a hook's line to a follower's, as a process and as a Pod.
    Latency,
    /// Events that the engine applies a second, and how that grows with the graph.
    Engine,
    /// Steps through manager and store with an agent that answers at once, and how that grows with the history.
    Steps,
    /// The same on PostgreSQL with one and two managers, beside pgbench; what audit chains cost.
    Postgres,
    /// Seeded worlds of the engine's simulator a second.
    Simulator,
    /// From a step's end to its successor's begin in a cluster, against a shell loop.
    Successor,
    /// A manager's memory.
    Memory,
    /// How long a command takes to start.
    Start,
    /// Finding hooks among ten thousand Jobs: bridge, agent and its index, beside one LIST.
    Discovery,
    /// Steps of one operation by the executors `kubernetes` and `argo`, beside Workflows of Argo alone.
    Argo,
    /// What a bridge costs: size, start, memory, the way to a hook's first line.
    Bridge,
    /// Operations of one step at once, beside as many Workflows.
    Queued,
}

/// Measures tenantry against peers on this machine.
#[derive(Debug, Parser)]
struct Args {
    /// Only these figures
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Figure>,
    /// Steps one after another
    #[arg(long, default_value_t = 50)]
    sequential: usize,
    /// Steps at once
    #[arg(long, default_value_t = 100)]
    parallel: usize,
    /// Steps as processes
    #[arg(long, default_value_t = 1000)]
    processes: usize,
    /// Lines of a log that is followed
    #[arg(long, default_value_t = 200)]
    lines: usize,
    /// Environments whose operations run at a time, for the figures `steps` and `postgres`
    #[arg(long, default_value_t = 20)]
    environments: usize,
    /// Finished operations in the database, for the figures `steps` and `postgres`
    #[arg(long, default_value_t = 100_000)]
    history: usize,
    /// Seconds of each of the two runs of pgbench, for the figure `postgres`
    #[arg(long, default_value_t = 10)]
    pgbench: u32,
    /// Seeds, for the figure `simulator`
    #[arg(long, default_value_t = 2000)]
    seeds: usize,
    /// Steps one after another, for the figure `successor`
    #[arg(long, default_value_t = 30)]
    successors: usize,
    /// Running operations, for the figure `memory`
    #[arg(long, default_value_t = 1000)]
    running: usize,
    /// Suspended Jobs, for the figure `discovery`
    #[arg(long, default_value_t = 10_000)]
    jobs: usize,
    /// Namespaces that they are in
    #[arg(long, default_value_t = 200)]
    namespaces: usize,
    /// Steps of one operation, for the figure `argo`
    #[arg(long, default_value_t = 100)]
    argo_hooks: usize,
    /// Operations at once, for the figure `queued`
    #[arg(long, default_value_t = 200)]
    queued: usize,
    /// How often each figure in a cluster is measured, ours and the peer's by turns; the sums count
    #[arg(long, default_value_t = 1)]
    rounds: usize,
}

impl Args {
    fn wants(&self, figure: Figure) -> bool {
        self.only.is_empty() || self.only.contains(&figure)
    }
}

fn main() -> Result<()> {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let args = Args::parse();
    ensure!(binary().is_file(), "{} is not there: bench/run.sh builds it", binary().display());
    on_signals()?;
    let mut table = Table::default();
    let result = measure(&args, &mut table);
    down_all();
    // What was measured before a failure is still worth reading.
    println!("{table}");
    result
}

fn measure(args: &Args, table: &mut Table) -> Result<()> {
    if args.wants(Figure::Process) {
        scratch(Needs::Laptop, |world| laptop::processes(world, args.processes, table))?;
    }
    if args.wants(Figure::Latency) {
        scratch(Needs::Laptop, |world| latency::process(world, args.lines, table))?;
    }
    if args.wants(Figure::Engine) {
        engine::events(table)?;
    }
    if args.wants(Figure::Start) {
        idle::start(table)?;
    }
    let load = steps::Load { environments: args.environments, rounds: 5, history: args.history };
    if args.wants(Figure::Steps) {
        scratch(Needs::Laptop, |world| steps::sqlite(world, load, table))?;
    }
    if args.wants(Figure::Postgres) {
        scratch(Needs::Laptop, |world| postgres::steps(world, load, args.pgbench, table))?;
    }
    if args.wants(Figure::Simulator) {
        match std::env::var_os("TENANTRY_SIMULATOR") {
            Some(program) => simulator::seeds(program.as_ref(), args.seeds, table)?,
            None => eprintln!("TENANTRY_SIMULATOR is not set (see bench/run.sh): the simulator is left out"),
        }
    }
    if args.wants(Figure::Memory) {
        scratch(Needs::Laptop, |world| idle::memory(world, args.running, table))?;
    }
    let in_cluster = [Figure::Sequential, Figure::Parallel, Figure::Latency, Figure::Successor];
    let steps = in_cluster.into_iter().any(|figure| args.wants(figure));
    let with_argo =
        [Figure::Argo, Figure::Bridge, Figure::Queued].into_iter().any(|figure| args.wants(figure));
    if !steps && !with_argo && !args.wants(Figure::Discovery) {
        return Ok(());
    }
    if testbed().is_none() {
        eprintln!("TENANTRY_TESTBED is not set (see bench/run.sh): figures that need a cluster are left out");
        return Ok(());
    }
    if args.wants(Figure::Discovery) {
        let size = discovery::Size { jobs: args.jobs, namespaces: args.namespaces };
        scratch(Needs::OwnCluster(discovery::FLAGS), |world| discovery::measure(world, size, table))?;
    }
    if with_argo {
        scratch(Needs::OwnCluster(&[]), |world| beside_argo(world, args, table))?;
    }
    if !steps {
        return Ok(());
    }
    scratch(Needs::Cluster, |world| {
        let mut place = cluster::InCluster::start(world)?;
        if args.wants(Figure::Sequential) {
            place.sequential(args.sequential, args.rounds, table).context("sequential steps")?;
        }
        if args.wants(Figure::Parallel) {
            place.parallel(args.parallel, args.rounds, table).context("parallel steps")?;
        }
        if args.wants(Figure::Successor) {
            place.successor(args.successors, table).context("from an end to the next begin")?;
        }
        if args.wants(Figure::Latency) {
            latency::pod(&place, args.lines, table).context("latency of logs")?;
        }
        Ok(())
    })
}

fn beside_argo(world: &World, args: &Args, table: &mut Table) -> Result<()> {
    if args.wants(Figure::Bridge) {
        bridge_cost::program(table)?;
    }
    let mut place = argo::WithArgo::start(world)?;
    if args.wants(Figure::Argo) {
        place.many(args.argo_hooks, table).context("many steps")?;
    }
    if args.wants(Figure::Bridge) {
        place.bridge(table).context("a bridge's cost")?;
    }
    if args.wants(Figure::Queued) {
        place.queued(args.queued, table).context("operations at once")?;
    }
    Ok(())
}

/// A folder for one figure; it stays when the figure fails, with the logs of what ran.
fn scratch(needs: Needs, figure: impl FnOnce(&World) -> Result<()>) -> Result<()> {
    let world = World::new(needs)?;
    figure(&world).with_context(|| format!("what it left: {}", world.folder().display()))?;
    std::fs::remove_dir_all(world.folder())?;
    Ok(())
}
