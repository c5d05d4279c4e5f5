//! What the bridge says on stderr, besides the hook's log.

use super::workflow::Owner;
use crate::tell;
use std::time::Duration;
use tenantry_hook::attempt_name;
use tenantry_kube_run::RunError;
use tenantry_model::{AttemptId, Fact, FailureReason, Outcome, with_causes};

/// A reason as the contract writes it.
pub(crate) fn word(reason: FailureReason) -> String {
    let word = serde_json::to_value(reason).ok();
    word.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

fn say(attempt: &AttemptId, words: &str) {
    eprintln!("tenantry-bridge: {}/{}: {words}", attempt.step.namespace, attempt_name(attempt));
}

pub(super) fn adopted(attempt: &AttemptId) {
    say(attempt, "found the attempt of an earlier bridge; its log from the start:");
}

pub(crate) fn fact(attempt: &AttemptId, fact: &Fact) {
    match fact {
        Fact::Starting { waiting_for: Some(what), .. } => say(attempt, &format!("waits for {what}")),
        Fact::Running { node: Some(node), .. } => say(attempt, &format!("runs on {node}")),
        Fact::Unknown { why } => say(attempt, &format!("not known whether it runs: {why}")),
        _ => {}
    }
}

pub(crate) fn outcome(attempt: &AttemptId, outcome: &Outcome) {
    let Some(reason) = outcome.reason else { return say(attempt, "succeeded") };
    let code = outcome.exit_code.map(|code| format!(" (exit code {code})")).unwrap_or_default();
    let words = format!("{}{code}: {}", word(reason), outcome.message);
    say(attempt, words.trim_end_matches(": "));
}

pub(super) fn retry(attempt: &AttemptId, pause: Duration) {
    say(attempt, &format!("another attempt in {} s (tenant.retries)", pause.as_secs()));
}

pub(super) fn unanswered(attempt: &AttemptId, error: &RunError) {
    say(attempt, &format!("the create was not answered, and is repeated: {}", with_causes(error)));
}

pub(crate) fn taken_up(attempt: &AttemptId, from: u64) {
    say(attempt, &format!("found the attempt of an earlier bridge; its log from byte {from} on:"));
}

pub(crate) fn repeated(attempt: &AttemptId, error: &RunError) {
    say(attempt, &format!("an order is repeated: {}", with_causes(error)));
}

pub(crate) fn timed_out(attempt: &AttemptId) {
    say(attempt, "its timeout is over");
}

pub(super) fn ending(attempt: &AttemptId, owner: &Owner) {
    say(attempt, &format!("is ended: its Workflow {owner} is over"));
}

pub(crate) fn cannot(verb: &str, attempt: &AttemptId, error: RunError) {
    say(attempt, &format!("cannot {verb} it"));
    tell(&error.into());
}
