//! From an intent to calls of the manager, and from what a verb would do to lines for people.

use super::verbs::Verb;
use super::view::Intent;
use crate::commands::explain;
use crate::output::word;
use tenantry_api_types::v1::{
    Accepted, CancelOperation, ConfirmStep, HoldStep, IgnoreDependency, Operation, Preview, ReleaseStep,
    ReplayOperation, RerunStep, SteerOperation, SteerStep, VerbPreview,
};
use tenantry_client::{Call, Client, OperationVerb, Steered, StepVerb};
use tenantry_model::{AttemptId, HookRef, OperationId};

/// What became of a verb.
pub enum Outcome {
    /// Of one that steers the operation.
    Steered(Steered),
    /// The new operation of a replay.
    Replayed(Box<Operation>),
}

/// What the verb would do, in lines for people; nothing is changed.
pub async fn preview(client: &Client, id: OperationId, intent: &Intent) -> Result<Vec<String>, String> {
    let call = Call { validate_only: true, ..Call::default() };
    if intent.verb.replays() {
        let accepted = replay(client, id, intent, &call).await?;
        let preview = accepted.preview.ok_or("the manager did not say what would happen")?;
        return planned(&preview);
    }
    match send(client, id, intent, &call).await? {
        Steered::Preview(preview) => Ok(lines(&preview)),
        Steered::Pending(_) => Ok(vec!["a second person must approve it".to_owned()]),
        Steered::Done(_) => Err("the manager did it without being asked to".to_owned()),
    }
}

/// Does it.
pub async fn act(client: &Client, id: OperationId, intent: &Intent) -> Result<Outcome, String> {
    let call = Call::default();
    if intent.verb.replays() {
        let accepted = replay(client, id, intent, &call).await?;
        let made = accepted.operation.ok_or("the manager made no operation")?;
        return Ok(Outcome::Replayed(Box::new(made)));
    }
    send(client, id, intent, &call).await.map(Outcome::Steered)
}

/// Of the whole operation, or from the intent's step on.
async fn replay(client: &Client, id: OperationId, intent: &Intent, call: &Call) -> Result<Accepted, String> {
    let body = ReplayOperation {
        reason: intent.reason.clone(),
        from: intent.step.iter().cloned().collect(),
        ..ReplayOperation::default()
    };
    client.replay(id, &body, call).await.map_err(|error| explain(&error))
}

async fn send(client: &Client, id: OperationId, intent: &Intent, call: &Call) -> Result<Steered, String> {
    let (reason, expected) = (intent.reason.clone(), intent.expected.clone());
    let answer = match (&intent.step, step_verb(intent)) {
        (Some(step), Some(verb)) => client.steer(id, step, &verb.with(reason, expected), call).await,
        _ => {
            let expected_state = intent.expected_state;
            let steer = SteerOperation { reason: reason.clone(), expected_state };
            let verb = match intent.verb {
                Verb::Pause => OperationVerb::Pause(steer),
                Verb::Resume => OperationVerb::Resume(steer),
                _ => OperationVerb::Cancel(CancelOperation {
                    reason: reason.unwrap_or_default(),
                    expected_state,
                }),
            };
            client.steer_operation(id, &verb, call).await
        }
    };
    answer.map_err(|error| explain(&error))
}

fn step_verb(intent: &Intent) -> Option<StepVerb> {
    Some(match intent.verb {
        Verb::Hold => StepVerb::Hold(HoldStep::default()),
        Verb::Stop => StepVerb::Stop(HoldStep::default()),
        Verb::Release => StepVerb::Release(ReleaseStep::default()),
        Verb::Rerun => StepVerb::Rerun(RerunStep::default()),
        Verb::RerunWithSuccessors => {
            StepVerb::Rerun(RerunStep { with_successors: true, ..RerunStep::default() })
        }
        Verb::Skip => StepVerb::Skip(SteerStep::default()),
        Verb::Confirm => {
            StepVerb::Confirm(ConfirmStep { outputs: intent.outputs.clone(), ..ConfirmStep::default() })
        }
        Verb::Kill => StepVerb::Kill(SteerStep::default()),
        Verb::IgnoreDependency => StepVerb::IgnoreDependency(IgnoreDependency::default()),
        Verb::DeclareLost => StepVerb::DeclareLost(SteerStep::default()),
        Verb::Pause | Verb::Resume | Verb::Cancel | Verb::Replay | Verb::ReplayFrom => return None,
    })
}

/// What is ended first: that is what cannot be taken back.
fn lines(preview: &VerbPreview) -> Vec<String> {
    let mut lines = Vec::new();
    let mut attempts = |what: &str, which: &[AttemptId]| {
        lines.extend(which.iter().map(|id| format!("{what:<10}{} attempt {}", id.step.path(), id.number)));
    };
    attempts("killed", &preview.killed);
    attempts("given up", &preview.lost);
    attempts("started", &preview.started);
    let mut steps = |what: &str, which: &[HookRef]| {
        lines.extend(which.iter().map(|hook| format!("{what:<10}{}", hook.path())));
    };
    steps("again", &preview.reset);
    steps("stale", &preview.stale);
    steps("settled", &preview.settled);
    steps("held", &preview.held);
    steps("released", &preview.released);
    steps("cancelled", &preview.cancelled);
    for dropped in &preview.dropped {
        let reason = dropped.decision.reason.as_deref().unwrap_or("no reason given");
        let (verb, by) = (&dropped.decision.verb, &dropped.decision.by.name);
        lines.push(format!("{:<10}{}: {verb} by {by} ({reason})", "dropped", dropped.step.path()));
    }
    if let Some(state) = &preview.operation {
        lines.push(format!("the operation becomes {}", word(state)));
    }
    if lines.is_empty() {
        lines.push("nothing that can be seen at once".to_owned());
    }
    lines
}

/// What a replay would run and keep, or why it cannot.
fn planned(preview: &Preview) -> Result<Vec<String>, String> {
    if let Some(refusal) = &preview.refusal {
        return Err(format!("there would be no plan: {}", refusal.detail));
    }
    let mut lines: Vec<String> =
        preview.cancels.iter().map(|id| format!("{:<10}operation {id}", "cancelled")).collect();
    lines.extend(preview.waits_for.iter().map(|id| format!("{:<10}operation {id}", "waits for")));
    lines.extend(preview.steps.iter().map(|step| {
        let what = if step.state.is_done() { "kept" } else { "runs" };
        format!("{what:<10}{}", step.hook.path())
    }));
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_preview_names_what_is_ended_first_and_every_decision_that_is_dropped() {
        let preview: VerbPreview = serde_json::from_value(json!({
            "killed": [{"operation": "01a1fe68-9586-74bf-b868-1d21f8883203", "step": "eu1/bank/sum", "number": 2}],
            "reset": ["eu1/bank/load", "eu1/bank/sum"],
            "dropped": [{"step": "eu1/bank/check", "decision": {
                "verb": "skip", "by": {"kind": "token", "name": "anna"}, "reason": "known gap",
                "at": "2026-03-03T21:02:00Z"}}],
        }))
        .expect("a sample is a preview");
        assert_eq!(
            lines(&preview),
            [
                "killed    bank/sum attempt 2",
                "again     bank/load",
                "again     bank/sum",
                "dropped   bank/check: skip by anna (known gap)",
            ]
        );
        assert_eq!(lines(&VerbPreview::default()), ["nothing that can be seen at once"]);
    }
    #[test]
    fn a_replay_says_what_runs_and_what_is_kept_or_why_it_cannot() {
        let sample = |refusal: serde_json::Value| -> Preview {
            let step = |name: &str, state: &str| {
                let hook = format!("eu1/bank/{name}");
                json!({"hook": hook, "templateHash": "0".repeat(64), "after": [], "state": state})
            };
            serde_json::from_value(json!({
                "name": "risk.nightly", "generation": 3, "waitsFor": ["01a1fe68-9586-74bf-b868-1d21f8883203"],
                "cancels": [], "waitsForRegions": [], "quarantined": [], "refusal": refusal,
                "steps": [step("load", "succeeded"), step("sum", "blocked")],
            }))
            .expect("a sample is a preview")
        };
        assert_eq!(
            planned(&sample(json!(null))),
            Ok(vec![
                "waits for operation 01a1fe68-9586-74bf-b868-1d21f8883203".to_owned(),
                "kept      bank/load".to_owned(),
                "runs      bank/sum".to_owned(),
            ])
        );
        let refused = sample(json!({"code": "plan-empty", "detail": "nobody has anything to do"}));
        assert_eq!(planned(&refused), Err("there would be no plan: nobody has anything to do".to_owned()));
    }
}
