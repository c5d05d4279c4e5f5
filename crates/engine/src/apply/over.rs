//! An attempt is over: what that means for its step; and when the operation is over.

use super::draft::Draft;
use super::{cancel, start};
use crate::attention::{self, keys};
use crate::mutants::{self, Mutant};
use crate::rows::Rows;
use crate::timers::later;
use crate::{Action, AppliedChange};
use jiff::SignedDuration;
use tenantry_hook::{PLATFORM_RETRIES, RetryRule, backoff, retry_rule};
use tenantry_model::{
    Attempt, AttemptState, FailureReason, OnFailure, OperationState, Outcome, Step, StepState,
};

/// Puts the row of an attempt that is over, and settles what was raised about it.
pub(super) fn close(draft: &mut Draft<'_>, mut attempt: Attempt) {
    attempt.unknown_since = None;
    attempt.waiting_for = None;
    if attempt.unknown_reported {
        attempt.unknown_reported = false;
        draft.act(Action::Settle { key: keys::attempt_unknown(&attempt.id) });
    }
    draft.put_attempt(attempt);
}

/// Closes an attempt of which nothing more is expected. Its object is not released: it may still be there.
pub(super) fn lose(draft: &mut Draft<'_>, mut attempt: Attempt, message: String) {
    attempt.state = AttemptState::Lost;
    attempt.outcome = Some(Outcome {
        reason: Some(FailureReason::Lost),
        exit_code: None,
        message,
        outputs: std::collections::BTreeMap::new(),
    });
    attempt.ended_at = Some(draft.now());
    close(draft, attempt);
}

/// Moves the step of an attempt that the region saw to its end.
pub(super) fn ended(draft: &mut Draft<'_>, mut step: Step, attempt: &Attempt) {
    let outcome = attempt.outcome.clone().unwrap_or_default();
    step.ended_at = Some(draft.now());
    if outcome.is_success() {
        step.state = StepState::Succeeded;
        step.outputs = outcome.outputs;
        let hook = step.hook.clone();
        draft.put_step(step);
        return draft.act(Action::Applied { hook, change: AppliedChange::Succeeded });
    }
    if draft.is(OperationState::Cancelling) {
        let stopped = attempt.state == AttemptState::Killed;
        step.state = if stopped { StepState::Cancelled } else { StepState::Failed };
        return draft.put_step(step);
    }
    let used = step.retries_used;
    let streak = draft.platform_streak(&step, step.attempt);
    match retry_rule(outcome.reason.unwrap_or(FailureReason::HookFailed)) {
        RetryRule::Counted if used < step.policy.retries || mutants::on(Mutant::EndlessRetries) => {
            step.retries_used += 1;
            retry_later(draft, step, backoff(used));
        }
        RetryRule::Platform if streak <= PLATFORM_RETRIES => {
            retry_later(draft, step, backoff(streak.saturating_sub(1)));
        }
        _ if attempt.state == AttemptState::Killed => {
            if mutants::on(Mutant::RetryAfterKill) {
                return retry_later(draft, step, backoff(0));
            }
            // A person is already steering this step: its author's on-failure does not decide over their head.
            wait(draft, step, attempt);
        }
        _ => give_up(draft, step, attempt),
    }
}

/// The step is ready again, after a pause; unless a predecessor was run again meanwhile: then it waits for that. Its
/// next attempt uses what is there then, so that it is not stale any more.
pub(super) fn retry_later(draft: &mut Draft<'_>, mut step: Step, pause: SignedDuration) {
    start::no_longer_stale(draft, &mut step);
    step.state = if start::is_free(draft, &step) { StepState::Ready } else { StepState::Blocked };
    step.not_before = Some(later(draft.now(), pause));
    step.ended_at = None;
    draft.put_step(step);
}

/// The step waits for a decision.
pub(super) fn wait(draft: &mut Draft<'_>, mut step: Step, attempt: &Attempt) {
    step.state = StepState::Failed;
    step.ended_at = Some(draft.now());
    step.waiting = true;
    // Whoever decides about its failure decides about what it used as well.
    start::no_longer_stale(draft, &mut step);
    let outcome = attempt.outcome.clone().unwrap_or_default();
    let raised = attention::step_waiting(&step, attempt.id.number, &outcome);
    draft.put_step(step);
    if !mutants::on(Mutant::SilentWaiting) {
        draft.act(Action::Raise(raised));
    }
}

/// No retry is left: what the hook's author asked for.
fn give_up(draft: &mut Draft<'_>, mut step: Step, attempt: &Attempt) {
    match step.policy.on_failure {
        OnFailure::Wait => wait(draft, step, attempt),
        OnFailure::Continue => {
            step.state = StepState::Failed;
            step.failure_accepted = true;
            draft.put_step(step);
        }
        OnFailure::Fail => {
            step.state = StepState::Failed;
            let outcome = attempt.outcome.clone().unwrap_or_default();
            let note =
                format!("step {}: attempt {} {}", step.hook, attempt.id.number, attention::ended(&outcome));
            draft.put_step(step);
            cancel::fail(draft, note);
        }
    }
}

/// Ends the operation when nothing is left to do. Runs after every event.
pub(super) fn conclude(draft: &mut Draft<'_>) {
    match draft.operation().state {
        OperationState::Running if draft.all_settled() => {
            if let Some(note) = accepted_failures(draft) {
                draft.operation_mut().note = Some(note);
            }
            end(draft, OperationState::Succeeded);
        }
        OperationState::Cancelling if draft.all_over() || mutants::on(Mutant::CancelDoesNotWait) => {
            let becomes = draft.operation().cancel.as_ref().map(|cancel| cancel.becomes);
            end(draft, becomes.unwrap_or(OperationState::Cancelled));
        }
        _ => {}
    }
}

/// What `on-failure: continue` let pass, for people.
fn accepted_failures(draft: &Draft<'_>) -> Option<String> {
    let failed: Vec<String> = draft.accepted().iter().map(ToString::to_string).collect();
    let (count, verb) = match failed.len() {
        0 => return None,
        1 => ("1 step", "counts"),
        n => (&*format!("{n} steps"), "count"),
    };
    let named = failed.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
    let more = if failed.len() > 10 { ", …" } else { "" };
    Some(format!("{count} failed and {verb} as done: {named}{more}"))
}

/// The operation's final state.
pub(super) fn end(draft: &mut Draft<'_>, state: OperationState) {
    let now = draft.now();
    let operation = draft.operation_mut();
    operation.state = state;
    operation.ended_at = Some(now);
    let late = operation.late.then(|| keys::operation_late(operation.id));
    if let Some(key) = late {
        draft.act(Action::Settle { key });
    }
    draft.act(Action::Ended(state));
}
