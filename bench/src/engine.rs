//! The engine alone, on one core: what an event costs, and whether it costs more when the graph is larger.
//!
//! No store, no wire: the time is that of `apply` and of taking in what it gave.

use crate::table::{self, Table};
use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};
use tenantry_engine::{Action, Event, Moment, Plan, Rules, Run, apply};
use tenantry_model::{
    Actor, AttemptId, EnvironmentId, Fact, HookRef, Observation, OnFailure, OnLost, Operation,
    OperationDefinition, OperationId, OperationState, Outcome, Step, StepPolicy, TemplateHash,
};
use uuid::Uuid;

/// Sizes of graphs, in steps; the first one is what the others are compared with.
const SIZES: [usize; 4] = [10, 100, 1_000, 5_000];
/// Small graphs are run again until so many events were applied.
const EVENTS: usize = 20_000;

/// How a graph's steps depend on each other.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// Each after the one before: one runs at a time, more and more are done.
    Chain,
    /// Ten side by side, each after all of the ten before.
    Layers,
    /// All at once: nearly all are running while one after another ends.
    Parallel,
}

/// Events a second for each shape and size, and the growth against the smallest size.
pub fn events(table: &mut Table) -> Result<()> {
    for shape in [Shape::Chain, Shape::Layers, Shape::Parallel] {
        let mut smallest = None;
        for size in SIZES {
            let (mut events, mut took) = (0, Duration::ZERO);
            while events < EVENTS {
                let (count, time) = run(shape, size)?;
                events += count;
                took += time;
            }
            let rate = table::count(events) / took.as_secs_f64();
            let peer = *smallest.get_or_insert(rate);
            table.ratio(
                &format!("engine: events a second, {shape:?} of {size} steps : of {}", SIZES[0]),
                rate,
                peer,
                "/s",
                None,
            );
        }
    }
    Ok(())
}

/// A hold or a pause of an hour is long.
const RULES: Rules = Rules { held_too_long: jiff::SignedDuration::from_hours(1) };

/// Runs one operation to its end; answers how many events that took, without those that made the plan.
fn run(shape: Shape, size: usize) -> Result<(usize, Duration)> {
    let mut run = Run::new(operation(), [], [], RULES);
    let mut seed = 0_u128;
    let mut number = 0_u64;
    let mut open: VecDeque<AttemptId> = VecDeque::new();
    let mut on = |run: &mut Run, event: &Event, open: &mut VecDeque<AttemptId>| -> Result<()> {
        seed += 1;
        let moment = Moment { now: time(), seed: Uuid::from_u128(seed) };
        let transition = apply(run, event, moment).context("an event was rejected")?;
        run.commit(&transition);
        open.extend(transition.actions.into_iter().filter_map(|action| match action {
            Action::Start(id) => Some(id),
            _ => None,
        }));
        Ok(())
    };
    on(&mut run, &Event::Admitted { generation: 1 }, &mut open)?;
    let steps = graph(shape, size)?;
    on(&mut run, &Event::Planned(Plan { steps, ..Plan::default() }), &mut open)?;

    let began = Instant::now();
    let mut events = 0;
    while let Some(attempt) = open.pop_front() {
        let running = Fact::Running {
            object: "pod a/b".to_owned(),
            started_at: time(),
            node: None,
            images: BTreeMap::new(),
        };
        let outcome = Outcome { exit_code: Some(0), ..Outcome::default() };
        let ended =
            Fact::Ended { started_at: Some(time()), ended_at: time(), outcome, images: BTreeMap::new() };
        for fact in [running, ended] {
            number += 1;
            let observed = Observation { attempt: attempt.clone(), number, at: time(), fact };
            on(&mut run, &Event::Observed(observed), &mut open)?;
            events += 1;
        }
    }
    let took = began.elapsed();
    let state = run.operation().state;
    ensure!(state == OperationState::Succeeded, "the operation ended as {state:?}");
    ensure!(events == 2 * size, "{events} events for {size} steps");
    Ok((events, took))
}

fn time() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn operation() -> Operation {
    let name = "bench.graph".parse().unwrap_or_else(|_| unreachable!("a valid name"));
    let definition = OperationDefinition::undefined(name);
    Operation {
        id: OperationId(Uuid::from_u128(1)),
        environment: EnvironmentId(Uuid::from_u128(2)),
        name: definition.name.clone(),
        definition,
        batch: None,
        state: OperationState::Pending,
        note: None,
        problem: None,
        generation: 0,
        parameters: serde_json::Map::new(),
        scheduled_time: None,
        requested_by: Actor::system(),
        reason: None,
        created_at: time(),
        started_at: None,
        ended_at: None,
        deadline_at: None,
        late: false,
        traceparent: None,
        cancel: None,
        pause: None,
        replay: None,
        cause: None,
        revision: 0,
    }
}

fn graph(shape: Shape, size: usize) -> Result<BTreeMap<HookRef, Step>> {
    let hooks: Vec<HookRef> = (0..size)
        .map(|n| format!("eu1/bench/h{n:05}").parse())
        .collect::<Result<_, _>>()
        .context("a hook's name")?;
    let after = |n: usize| -> BTreeSet<HookRef> {
        match shape {
            Shape::Chain => n.checked_sub(1).into_iter().map(|before| hooks[before].clone()).collect(),
            Shape::Layers if n >= 10 => {
                let layer = n / 10 * 10;
                hooks[layer - 10..layer].iter().cloned().collect()
            }
            Shape::Layers | Shape::Parallel => BTreeSet::new(),
        }
    };
    Ok(hooks.iter().enumerate().map(|(n, hook)| (hook.clone(), step(hook, after(n)))).collect())
}

fn step(hook: &HookRef, after: BTreeSet<HookRef>) -> Step {
    let policy = StepPolicy {
        on_failure: OnFailure::Wait,
        on_lost: OnLost::Wait,
        retries: 0,
        timeout: Some(SignedDuration::from_hours(1)),
    };
    Step::new(OperationId(Uuid::from_u128(1)), hook.clone(), TemplateHash("a".repeat(64)), policy, after)
}
