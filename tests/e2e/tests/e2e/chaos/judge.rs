//! What must hold of every operation, whatever happened to it, judged by what the hooks themselves wrote.

use super::graph::{Node, may_overlap};
use anyhow::Result;
use std::collections::BTreeMap;
use tenantry_e2e::{Run, Witness};
use tenantry_model::OperationId;

/// What the witness saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Runs of hooks, also those that were cut short.
    pub runs: usize,
    /// Runs that never said an end: killed in the middle.
    pub cut_short: usize,
    /// Lost steps, jumped dependencies, overlapping attempts, attempts that ran twice.
    pub violations: Vec<String>,
}

/// Judges one operation that succeeded.
pub fn judge(witness: &Witness, id: OperationId, nodes: &[Node], seen: &mut Seen) -> Result<()> {
    let runs = witness.runs(id)?;
    seen.runs += runs.len();
    seen.cut_short += runs.iter().filter(|run| run.end.is_none()).count();
    let mut found = |what: String| seen.violations.push(format!("{id}: {what}"));
    let mut by_step: BTreeMap<&str, Vec<&Run>> = BTreeMap::new();
    let mut by_attempt: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for run in &runs {
        by_step.entry(run.start.name.as_str()).or_default().push(run);
        *by_attempt.entry((&run.start.step, &run.start.attempt)).or_default() += 1;
    }
    for ((step, attempt), times) in by_attempt {
        if times > 1 {
            found(format!("attempt {attempt} of {step} ran {times} times"));
        }
    }
    for name in by_step.keys() {
        if !nodes.iter().any(|node| node.name == *name) {
            found(format!("{name} ran, and nobody asked for it"));
        }
    }
    let done = |name: &str| {
        let runs = by_step.get(name).into_iter().flatten();
        runs.filter_map(|run| run.end.as_ref()).filter(|end| end.exit == Some(0)).map(|end| end.at).min()
    };
    for node in nodes {
        let runs = by_step.get(node.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        if done(&node.name).is_none() {
            found(format!("{} was lost: it never ended with 0: {runs:?}", node.name));
        }
        for pair in runs.windows(2) {
            if pair[0].last > pair[1].start.at && !may_overlap(&node.name) {
                found(format!("two attempts of {} overlap: {pair:?}", node.name));
            }
        }
        for target in &node.after {
            let target_done = done(target);
            for run in runs {
                if target_done.is_none_or(|at| at > run.start.at) {
                    found(format!("{} began before {target} ended ({target_done:?}): {run:?}", node.name));
                }
            }
        }
    }
    Ok(())
}
