//! A replayed seed as people read it: one line for each thing that happened.

use crate::world::Ev;
use tenantry_engine::{Action, Change, Event, Rejected, Transition};
use tenantry_model::OperationId;

pub fn committed(id: OperationId, event: &Event, result: &Result<Transition, Rejected>) -> String {
    let event = match event {
        Event::Planned(plan) => format!("planned {} steps", plan.steps.len()),
        Event::Observed(seen) => {
            format!(
                "observed {}#{} number {} {:?}",
                seen.attempt.step, seen.attempt.number, seen.number, seen.fact
            )
        }
        Event::Verb { step, verb, .. } => format!("{verb:?} {step}"),
        other => format!("{other:?}"),
    };
    let result = match result {
        Err(rejected) => format!("rejected: {rejected}"),
        Ok(transition) => {
            let changes: Vec<String> = transition.changes.iter().map(change).collect();
            let actions: Vec<String> = transition.actions.iter().map(action).collect();
            format!("[{}] [{}]", changes.join(", "), actions.join(", "))
        }
    };
    format!("manager {} {event} -> {result}", short(id))
}

fn short(id: OperationId) -> String {
    id.to_string().split_off(32)
}

fn change(change: &Change) -> String {
    match change {
        Change::Operation(operation) => format!("{:?}", operation.state),
        Change::Step(step) => format!("{} {:?}", step.hook, step.state),
        Change::Attempt(attempt) => {
            let unknown = if attempt.unknown_since.is_some() { " unknown" } else { "" };
            let kill =
                attempt.kill.as_ref().map(|kill| format!(" kill:{:?}", kill.cause)).unwrap_or_default();
            format!("{}#{} {:?}{unknown}{kill}", attempt.id.step, attempt.id.number, attempt.state)
        }
    }
}

fn action(action: &Action) -> String {
    match action {
        Action::Start(id) => format!("start {}#{}", id.step, id.number),
        Action::Kill { attempt, .. } => format!("kill {}#{}", attempt.step, attempt.number),
        Action::Release(id) => format!("release {}#{}", id.step, id.number),
        Action::Raise(raised) => format!("raise {}", raised.message),
        Action::Settle { key } => format!("settle {key}"),
        other => format!("{other:?}"),
    }
}

/// What happens outside the manager.
pub fn outside(event: &Ev) -> Option<String> {
    let text = match event {
        Ev::Deliver { region, attempt, order, .. } => format!("region {region} is told: {order:?} {attempt}"),
        Ev::Run { region, attempt } => format!("region {region} runs {attempt}"),
        Ev::End { region, attempt, outcome } => {
            format!("region {region} ends {attempt}: {:?}", outcome.reason)
        }
        Ev::Crash { region } => format!("agent {region} crashes"),
        Ev::Restart { region } => format!("agent {region} is back"),
        Ev::Partition { region } => format!("region {region} is cut off"),
        Ev::Heal { region } => format!("region {region} is reachable"),
        Ev::NodeVanishes { region } => format!("a node of region {region} vanishes"),
        Ev::NodeBack { region, node } => format!("node {node} of region {region} is back"),
        Ev::FaultsStop => "the faults stop".to_owned(),
        _ => return None,
    };
    Some(text)
}
