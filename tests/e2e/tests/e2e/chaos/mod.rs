//! Operations of 40 steps while everything around them is killed, stopped, paused and cut off, by a plan that a seed
//! makes. The hooks' own witness judges: no lost step, no jumped dependency, no overlap that its hook does not allow.
//!
//! One manager with SQLite, and two over PostgreSQL. `make chaos SEED=7 MINUTES=30 STORE=postgres` runs a plan of one's
//! own; `make test` runs a short one of each.

mod explained;
mod graph;
mod judge;
mod plan;
mod scene;

use anyhow::{Context, Result, ensure};
use graph::{Node, STEPS};
use judge::{Seen, judge};
use libtest_mimic::Trial;
use plan::{Planned, Store, plan};
use scene::{REGION, Scene};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use tenantry_api_types::v1::{Operation, RerunStep, StartOperation};
use tenantry_client::{Call, Client, ClientConfig, StepVerb};
use tenantry_e2e::{Hook, Needs, World, on_postgres, trial, within};
use tenantry_model::{EnvironmentId, OperationId, StepState};

/// A kubelet waits for a container runtime that died in the middle of a call; four minutes are too long for a test.
const CLUSTER: Needs = Needs::OwnCluster(&["--arg", "kubelet=--runtime-request-timeout=30s"]);

pub fn trials() -> Vec<Trial> {
    let sqlite = trial(CLUSTER, "chaos_loses_no_step_jumps_no_dependency_and_overlaps_nothing", |world| {
        chaos(world, Store::Sqlite)
    });
    let postgres =
        trial(CLUSTER, "chaos_over_two_managers_and_postgresql_loses_and_repeats_nothing", |world| {
            chaos(world, Store::Postgres)
        });
    match std::env::var("TENANTRY_CHAOS_STORE").as_deref() {
        Ok("sqlite") => vec![sqlite],
        Ok("postgres") => vec![on_postgres(postgres)],
        _ => vec![sqlite, on_postgres(postgres)],
    }
}

/// Operations at a time, each of an environment of its own.
const ENVIRONMENTS: [&str; 2] = ["one", "two"];
/// Longest time in which everything must have ended once all is healed.
const SETTLED: Duration = Duration::from_mins(15);
/// Longer than the lease of a command and than any session.
const PAST_LEASE: Duration = Duration::from_secs(65);

/// Why a manager may end of itself: it starts, and its database is away.
const CANNOT_START: &str = "exit status: 3: tenantry: the store cannot be used: ";

fn setting(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().with_context(|| format!("{name}={text} is no number")),
        _ => Ok(default),
    }
}

fn chaos(world: &World, store: Store) -> Result<()> {
    let seed = setting("TENANTRY_CHAOS_SEED", 1)?;
    let seconds = 60 * setting("TENANTRY_CHAOS_MINUTES", 1)?;
    let past_lease = (seconds > 120).then_some(PAST_LEASE);
    let planned = plan(store, seed, Duration::from_secs(seconds), past_lease);
    eprintln!(
        "chaos ({store:?}): seed {seed}, {} faults in {seconds} s; again with TENANTRY_CHAOS_SEED={seed}",
        planned.len()
    );
    for fault in &planned {
        eprintln!("chaos ({store:?}): {fault}");
    }

    let team = world.team("chaos")?;
    let hooks = graph::hooks(&team);
    let nodes = graph::nodes();
    ensure!(nodes.len() == STEPS, "{} steps", nodes.len());
    world.cluster()?.apply(&hooks.iter().map(Hook::manifest).collect::<Vec<_>>())?;
    let mut scene = Scene::new(world, &team, store)?;
    let paths: Vec<String> = hooks.iter().map(Hook::path).collect();
    scene.site.wait_for_hooks(REGION, &paths.iter().map(String::as_str).collect::<Vec<_>>())?;

    let mut work = Work::begin(&scene)?;
    let begin = Instant::now();
    torment(&mut scene, &mut work, planned.into())?;
    let (tormented, under_faults) = (begin.elapsed(), work.steps_done());
    scene.heal(true)?;
    world.cluster()?.wait_for_api()?;
    within(SETTLED, "the end of all operations", || {
        scene.heal(true)?;
        work.look(false)?;
        Ok(work.is_settled().then_some(()))
    })
    .with_context(|| format!("{work:#?}"))?;

    let mut verdict = Seen::default();
    for id in &work.done {
        judge(&world.witness(), *id, &nodes, &mut verdict)?;
    }
    let surprises = scene.ended.iter().filter(|last| !last.contains(CANNOT_START));
    verdict.violations.extend(surprises.map(|last| format!("a manager ended of itself: {last}")));
    scene.site.cli(&["audit", "verify"])?.expect(0)?;
    let check = scene.site.cli(&["check", "--deep"])?.expect(0)?;
    figures(store, &scene, &work, &nodes, &verdict);
    let minutes = tormented.as_secs_f64() / 60.0;
    eprintln!(
        "chaos ({store:?}): {under_faults} steps done in {minutes:.1} minutes of faults, {:.1} a minute",
        f64::from(under_faults) / minutes
    );
    let looked = check.err.lines().last().unwrap_or_default();
    eprintln!("chaos ({store:?}): the audit log verifies; tenantry check {looked}");
    ensure!(verdict.violations.is_empty(), "{}", verdict.violations.join("\n"));
    ensure!(!work.done.is_empty(), "no operation ended");
    explained::expect(&scene.site, store, &scene.history);
    scene.site.finish()
}

/// Does each fault at its time, or as soon as its target is well again.
fn torment(scene: &mut Scene<'_>, work: &mut Work, mut planned: VecDeque<Planned>) -> Result<()> {
    let begin = Instant::now();
    while let Some(next) = planned.front() {
        scene.heal(false)?;
        if begin.elapsed() >= next.at && scene.is_well(next.target) {
            scene.strike(next).with_context(|| format!("{next}"))?;
            planned.pop_front();
            continue;
        }
        work.look(true)?;
        // Between two looks at a world that changes by itself.
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// The operations, and who answers for them.
#[derive(Debug)]
struct Work {
    client: Client,
    runtime: tokio::runtime::Runtime,
    /// What runs in each environment, with the key of the request that began it.
    running: BTreeMap<EnvironmentId, Running>,
    done: Vec<OperationId>,
    attempts: usize,
    /// Steps that waited for a person, who asked for another attempt.
    reruns: usize,
}

#[derive(Debug)]
struct Running {
    key: String,
    /// `None`: the request was not answered yet.
    id: Option<OperationId>,
    over: bool,
    /// How many of its steps had succeeded at the last look.
    steps: u32,
}

impl Work {
    /// One environment after the other, while all is well.
    fn begin(scene: &Scene<'_>) -> Result<Self> {
        let config = ClientConfig {
            // Whoever asks a manager that stands still must be able to heal it in time.
            request_timeout: Duration::from_secs(2),
            retry_for: Duration::ZERO,
            ..ClientConfig::new(scene.site.url()).with_token(scene.site.token.clone())
        };
        let mut running = BTreeMap::new();
        for name in ENVIRONMENTS {
            let made = scene.site.create_environment(name, REGION, serde_json::json!({}))?;
            let id = made.operation.context("no operation")?.id;
            running.insert(
                made.environment.id,
                Running { key: String::new(), id: Some(id), over: false, steps: 0 },
            );
        }
        Ok(Self {
            client: Client::new(&config)?,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            running,
            done: Vec::new(),
            attempts: 0,
            reruns: 0,
        })
    }

    /// Steps that are done, also those of operations that have not ended.
    fn steps_done(&self) -> u32 {
        let ended = u32::try_from(self.done.len() * STEPS).unwrap_or(u32::MAX);
        self.running.values().map(|running| running.steps).sum::<u32>() + ended
    }

    fn is_settled(&self) -> bool {
        self.running.values().all(|running| running.over)
    }

    /// Looks at each operation. A step that waits for a person gets another attempt, as a person would ask for it; an
    /// operation that has ended is followed by another, if there is to be `more`.
    fn look(&mut self, more: bool) -> Result<()> {
        let environments: Vec<EnvironmentId> = self.running.keys().copied().collect();
        for environment in environments {
            let Some(running) = self.running.get_mut(&environment) else { continue };
            let Some(id) = running.id else {
                let call = Call { key: Some(running.key.clone()), ..Call::default() };
                let body = StartOperation::default();
                let answer = self.runtime.block_on(self.client.reconcile(environment, &body, &call));
                // Unanswered: the same request again, which begins nothing twice.
                running.id =
                    answer.ok().and_then(|accepted| accepted.operation).map(|operation| operation.id);
                continue;
            };
            if running.over {
                continue;
            }
            let Ok(operation) = self.runtime.block_on(self.client.operation(id)) else { continue };
            if operation.done {
                tenantry_e2e::succeeded(&operation)?;
                self.attempts += attempts(&operation);
                self.done.push(id);
                *running = if more {
                    Running {
                        key: format!("chaos-{environment}-{}", self.done.len()),
                        id: None,
                        over: false,
                        steps: 0,
                    }
                } else {
                    Running { over: true, key: String::new(), id: Some(id), steps: 0 }
                };
            } else {
                running.steps = succeeded_steps(&operation);
                self.answer(&operation);
            }
        }
        Ok(())
    }

    fn answer(&mut self, operation: &Operation) {
        for step in operation.steps.iter().flatten().filter(|step| step.waiting) {
            let verb = StepVerb::Rerun(RerunStep::default()).with(Some("chaos took it".to_owned()), None);
            // One request, however often and to whichever manager it is sent: one that a manager took in before it fell
            // asleep must not be carried out again when it wakes up.
            let key = Some(format!("rerun-{}-{}-{}", operation.id, step.hook.slug(), step.attempt));
            let call = Call { key, ..Call::default() };
            let rerun = self.client.steer(operation.id, &step.hook, &verb, &call);
            // The manager may be away; it is asked again with the next look.
            if self.runtime.block_on(rerun).is_ok() {
                self.reruns += 1;
            }
        }
    }
}

fn succeeded_steps(operation: &Operation) -> u32 {
    let done = operation.steps.iter().flatten().filter(|step| step.state == StepState::Succeeded).count();
    u32::try_from(done).unwrap_or(u32::MAX)
}

fn attempts(operation: &Operation) -> usize {
    operation.steps.iter().flatten().map(|step| step.attempts.len()).sum()
}

fn figures(store: Store, scene: &Scene<'_>, work: &Work, nodes: &[Node], seen: &Seen) {
    let faults: u32 = scene.done.values().sum();
    let each: Vec<String> = scene.done.iter().map(|(fault, times)| format!("{fault:?} {times}")).collect();
    eprintln!("chaos ({store:?}): {faults} faults injected ({})", each.join(", "));
    eprintln!(
        "chaos ({store:?}): {} operations, {} steps, {} attempts, {} runs of hooks, of which {} were cut short; {} asked for by hand",
        work.done.len(),
        work.done.len() * nodes.len(),
        work.attempts,
        seen.runs,
        seen.cut_short,
        work.reruns
    );
    eprintln!("chaos ({store:?}): {} starts of a manager that its database refused", scene.ended.len());
    eprintln!("chaos ({store:?}): {} violations", seen.violations.len());
}
