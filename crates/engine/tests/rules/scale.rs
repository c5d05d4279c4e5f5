//! Large graphs: they run to their end, and an event costs the same however many steps have finished or run.
//!
//! Costs are counted in rows and index entries that were looked at, so that no machine's mood decides.

use crate::bench::{Bench, hold, release, rerun_all, starts, step};
use tenantry_engine::work;
use tenantry_model::{OperationState, Step};

fn name(n: usize) -> String {
    format!("h{n:05}")
}

fn graph(size: usize, after: impl Fn(usize) -> Vec<usize>) -> Vec<Step> {
    let make = |n: usize| {
        let names: Vec<String> = after(n).into_iter().map(name).collect();
        step(&name(n), &names.iter().map(String::as_str).collect::<Vec<_>>())
    };
    (0..size).map(make).collect()
}

/// Ten beside each other, each waits for three of the ten before.
fn layers(size: usize) -> Vec<Step> {
    let above = |n: usize| move |k: usize| (n / 10 - 1) * 10 + (n + k) % 10;
    graph(size, |n| if n < 10 { Vec::new() } else { (0..3).map(above(n)).collect() })
}

fn chain(size: usize) -> Vec<Step> {
    graph(size, |n| n.checked_sub(1).into_iter().collect())
}

fn parallel(size: usize) -> Vec<Step> {
    graph(size, |_| Vec::new())
}

/// Runs all of it to the end; what each event looked at.
fn run(steps: Vec<Step>) -> (Bench, Vec<u64>) {
    let mut bench = Bench::planned(steps);
    let mut running = starts(&bench.last);
    let mut costs = Vec::new();
    while !running.is_empty() {
        let mut next = Vec::new();
        for attempt in running {
            let (name, _) = attempt.split_once('#').unwrap();
            for ends in [false, true] {
                let _ = work::take();
                let transition = if ends { bench.succeeds(name) } else { bench.runs(name) };
                costs.push(work::take());
                next.extend(starts(&transition));
            }
        }
        running = next;
    }
    (bench, costs)
}

fn dearest(costs: &[u64]) -> u64 {
    costs.iter().copied().max().unwrap_or(0)
}

#[test]
fn an_event_costs_the_same_however_many_steps_there_are() {
    for shape in [layers, chain, parallel] {
        let small = dearest(&run(shape(100)).1);
        let (bench, costs) = run(shape(2_000));
        assert_eq!(bench.operation(), OperationState::Succeeded);
        assert!(dearest(&costs) <= small, "{} of 2,000 steps, {small} of 100", dearest(&costs));
        assert!(small < 100, "{small}");
    }
}

#[test]
fn a_step_that_waits_for_a_thousand_costs_each_of_them_the_same() {
    let join = |n: usize| if n == 1_000 { (0..1_000).collect() } else { Vec::new() };
    let (bench, costs) = run(graph(1_001, join));
    assert_eq!(bench.operation(), OperationState::Succeeded);
    assert!(dearest(&costs) < 100, "{}", dearest(&costs));
}

#[test]
fn a_graph_of_five_thousand_steps_runs_to_its_end() {
    let (bench, costs) = run(layers(5_000));
    assert_eq!((bench.operation(), costs.len()), (OperationState::Succeeded, 10_000));
    assert_eq!(bench.run.attempts().len(), 5_000);
}

#[test]
fn a_chain_of_a_thousand_is_thrown_away_and_runs_again_from_its_first_step() {
    let mut steps = chain(1_000);
    steps.push(step("z", &[]));
    let mut bench = Bench::planned(steps);
    bench.verb("z", hold()).unwrap();
    bench.succeeds("z");
    for n in 0..1_000 {
        bench.succeeds(&name(n));
    }
    let transition = bench.verb(&name(0), rerun_all()).unwrap();
    assert_eq!(starts(&transition), ["h00000#2"]);
    for n in 0..1_000 {
        bench.succeeds(&name(n));
    }
    bench.verb("z", release()).unwrap();
    assert_eq!(bench.operation(), OperationState::Succeeded);
}
