//! The steps of an operation as lines in the order in which they can run: by level (the longest way from a step without
//! predecessors), then by name.

use crate::output::word;
use jiff::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use tenantry_api_types::v1::{Operation, Step};
use tenantry_model::{HookRef, StepState};

/// One step as a line of the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Which hook.
    pub hook: HookRef,
    /// `namespace/name`.
    pub path: String,
    /// Longest way from a step without predecessors.
    pub level: usize,
    /// Where it is.
    pub state: StepState,
    /// A person must decide.
    pub waiting: bool,
    /// Will not start until it is released.
    pub held: bool,
    /// A predecessor ran again after this step had used its outputs.
    pub stale: bool,
    /// Nothing is known of its attempt since then.
    pub unknown_since: Option<Timestamp>,
    /// Number of the newest attempt; 0 before the first.
    pub attempt: u32,
    /// When its newest attempt began.
    pub started_at: Option<Timestamp>,
    /// When that attempt ended.
    pub ended_at: Option<Timestamp>,
    /// Why it is as it is, in one line.
    pub note: String,
}

/// The nodes of an operation, in order.
pub fn nodes(operation: &Operation) -> Vec<Node> {
    let steps = operation.steps.as_deref().unwrap_or_default();
    let levels = levels(steps);
    let mut nodes: Vec<Node> = steps.iter().zip(&levels).map(|(step, level)| node(step, *level)).collect();
    nodes.sort_by(|a, b| (a.level, &a.path, &a.hook).cmp(&(b.level, &b.path, &b.hook)));
    nodes
}

fn levels(steps: &[Step]) -> Vec<usize> {
    let index: BTreeMap<&HookRef, usize> =
        steps.iter().enumerate().map(|(at, step)| (&step.hook, at)).collect();
    let mut successors = vec![Vec::new(); steps.len()];
    let mut missing = vec![0_usize; steps.len()];
    for (at, step) in steps.iter().enumerate() {
        for before in step.after.iter().filter_map(|hook| index.get(hook)) {
            successors[*before].push(at);
            missing[at] += 1;
        }
    }
    let mut level = vec![0; steps.len()];
    let mut ready: VecDeque<usize> = (0..steps.len()).filter(|at| missing[*at] == 0).collect();
    while let Some(at) = ready.pop_front() {
        for &next in &successors[at] {
            level[next] = level[next].max(level[at] + 1);
            missing[next] -= 1;
            if missing[next] == 0 {
                ready.push_back(next);
            }
        }
    }
    level
}

fn node(step: &Step, level: usize) -> Node {
    let newest = step.attempts.last();
    Node {
        hook: step.hook.clone(),
        path: step.hook.path().to_string(),
        level,
        state: step.state,
        waiting: step.waiting,
        held: step.held,
        stale: step.stale,
        unknown_since: newest.and_then(|attempt| attempt.unknown_since),
        attempt: step.attempt,
        started_at: newest.map(|attempt| attempt.started_at.unwrap_or(attempt.created_at)),
        ended_at: newest.and_then(|attempt| attempt.ended_at),
        note: note(step),
    }
}

/// The most urgent first: what cannot be read at 80 columns is what matters least.
fn note(step: &Step) -> String {
    let mut parts = Vec::new();
    if step.waiting {
        parts.push("decide".to_owned());
    }
    if let Some(outcome) = step.attempts.last().and_then(|attempt| attempt.outcome.as_ref())
        && let Some(reason) = &outcome.reason
        && !step.state.is_done()
    {
        let code = outcome.exit_code.map(|code| format!(" ({code})")).unwrap_or_default();
        parts.push(format!("{}{code}", word(reason)));
    }
    parts.extend(step.holds.iter().map(|hold| format!("held by {}: {}", hold.by.name, hold.reason)));
    if step.stale {
        parts.push("stale: a predecessor ran again".to_owned());
    }
    if let Some(waits) = step.attempts.last().and_then(|attempt| attempt.waiting_for.as_ref())
        && step.state == StepState::Running
    {
        parts.push(format!("waits for {waits}"));
    }
    if let Some(decision) = &step.decision {
        let reason = decision.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        parts.push(format!("{} by {}{reason}", decision.verb, decision.by.name));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::samples;

    #[test]
    fn a_step_stands_after_all_that_it_waits_for() {
        let operation = samples::night();
        let nodes = nodes(&operation);
        let levels: Vec<(usize, &str)> = nodes.iter().map(|node| (node.level, node.path.as_str())).collect();
        assert_eq!(levels[0], (0, "bank/load-market-data"));
        assert_eq!(levels[2], (1, "bank/check"));
        assert_eq!(levels.last(), Some(&(4, "bank/report")));
        assert!(nodes.iter().filter(|node| node.level == 2).all(|node| node.path.contains("scenario")));
    }

    #[test]
    fn a_graph_of_five_thousand_steps_in_a_chain_has_five_thousand_levels() {
        let nodes = nodes(&samples::chain(5000));
        assert_eq!(nodes.len(), 5000);
        assert!(nodes.iter().enumerate().all(|(at, node)| node.level == at));
    }

    #[test]
    fn what_must_be_decided_is_said_first() {
        let nodes = nodes(&samples::night());
        let failed = nodes.iter().find(|node| node.waiting).expect("a step that waits");
        assert!(failed.note.starts_with("decide, hook-failed (1)"), "{}", failed.note);
    }
}
