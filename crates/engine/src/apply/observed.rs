//! A region saw something of an attempt.
//!
//! An end is a fact that no later report undoes, so it counts whenever it arrives; anything else counts only if its
//! number is higher than all taken in. Of an attempt that is already over, only history is kept.

use super::{draft::Draft, over, rerun};
use crate::attention::keys;
use crate::mutants::{self, Mutant};
use crate::rows::Rows;
use crate::{Action, Rejected};
use jiff::Timestamp;
use tenantry_hook::OUTPUTS_LIMIT;
use tenantry_model::{
    Attempt, AttemptState, Fact, FailureReason, KillCause, KillRequest, Observation, Outcome,
};

/// Longest message that is kept of an outcome, in characters.
const MESSAGE_LIMIT: usize = 1_000;

pub(super) fn apply(draft: &mut Draft<'_>, observation: &Observation) -> Result<(), Rejected> {
    let id = &observation.attempt;
    let attempt = draft.attempt(&id.step, id.number).filter(|attempt| attempt.id == *id).cloned();
    let Some(mut attempt) = attempt else { return Err(Rejected::UnknownAttempt(id.clone())) };
    let newer = observation.number > attempt.observed;
    attempt.observed = attempt.observed.max(observation.number);
    match &observation.fact {
        Fact::Ended { started_at, ended_at, outcome, images } => {
            let ended_at = within(*ended_at, &attempt, draft.now());
            if let Some(at) = started_at {
                let at = within(*at, &attempt, draft.now());
                attempt.started_at.get_or_insert(at);
            }
            attempt.images.extend(images.clone());
            end(draft, attempt, outcome, ended_at);
        }
        Fact::NotStarted { outcome } => {
            let ended_at = within(observation.at, &attempt, draft.now());
            let mut outcome = outcome.clone();
            outcome.reason.get_or_insert(FailureReason::Rejected);
            end(draft, attempt, &outcome, ended_at);
        }
        _ if attempt.state.is_over() || !newer => {}
        Fact::Unknown { why } => {
            attempt.unknown_since.get_or_insert(draft.now());
            attempt.waiting_for = Some(cut(why));
            draft.put_attempt(attempt);
        }
        Fact::Starting { object, waiting_for } => {
            // A container that ran does not start again.
            attempt.waiting_for = None;
            if attempt.state != AttemptState::Running {
                attempt.state = AttemptState::Starting;
                attempt.waiting_for = waiting_for.as_deref().map(cut);
            }
            attempt.object = Some(object.clone());
            seen(draft, attempt);
        }
        Fact::Running { object, started_at, node, images } => {
            attempt.state = AttemptState::Running;
            let at = within(*started_at, &attempt, draft.now());
            attempt.started_at.get_or_insert(at);
            attempt.object = Some(object.clone());
            attempt.node = node.clone().or(attempt.node);
            attempt.images.extend(images.clone());
            attempt.waiting_for = None;
            seen(draft, attempt);
        }
    }
    Ok(())
}

/// The region looked and it is there.
fn seen(draft: &mut Draft<'_>, mut attempt: Attempt) {
    attempt.unknown_since = None;
    // While a kill is unanswered, what was raised stays: that it still runs is the very cause.
    if attempt.unknown_reported && attempt.kill.is_none() {
        attempt.unknown_reported = false;
        draft.act(Action::Settle { key: keys::attempt_unknown(&attempt.id) });
    }
    draft.put_attempt(attempt);
}

fn end(draft: &mut Draft<'_>, mut attempt: Attempt, outcome: &Outcome, ended_at: Timestamp) {
    let (state, outcome) = judge(attempt.kill.as_ref(), outcome);
    if attempt.state.is_over() && !mutants::on(Mutant::CountEndTwice) && !mutants::on(Mutant::LateEndCounts) {
        if attempt.state == AttemptState::Lost && attempt.late_outcome.is_none() {
            attempt.late_outcome = Some(outcome);
            draft.act(Action::Release(attempt.id.clone()));
            draft.put_attempt(attempt);
        }
        return;
    }
    let step = draft.take_step(&attempt.id.step).filter(|step| step.attempt == attempt.id.number);
    let thrown_away = step.as_ref().is_some_and(|step| step.restarting);
    attempt.state = if thrown_away { AttemptState::Superseded } else { state };
    attempt.outcome = Some(outcome);
    attempt.ended_at = Some(ended_at);
    draft.act(Action::Release(attempt.id.clone()));
    over::close(draft, attempt.clone());
    match step {
        Some(step) if thrown_away => rerun::begin_again(draft, step),
        Some(step) => over::ended(draft, step, &attempt),
        None => {}
    }
}

/// What an end counts as. Once a kill was asked for, an exit code says nothing about whether the work was done (many
/// programs leave with 0 when they are told to stop), so that even 0 counts as killed; a person who knows better
/// can `confirm`.
fn judge(kill: Option<&KillRequest>, seen: &Outcome) -> (AttemptState, Outcome) {
    let mut outcome = Outcome { message: cut(&seen.message), ..seen.clone() };
    match kill.map(|kill| kill.cause) {
        Some(KillCause::Timeout) => {
            outcome.reason = Some(FailureReason::Deadline);
            return (AttemptState::Failed, outcome);
        }
        Some(KillCause::Operator | KillCause::Cancel) => outcome.reason = Some(FailureReason::Killed),
        None if outcome.is_success() => {
            let size = serde_json::to_string(&outcome.outputs).map_or(usize::MAX, |text| text.len());
            if size <= OUTPUTS_LIMIT {
                return (AttemptState::Succeeded, outcome);
            }
            outcome.reason = Some(FailureReason::BadOutput);
            outcome.message =
                format!("outputs are {size} bytes as JSON; at most {OUTPUTS_LIMIT} are allowed");
            outcome.outputs.clear();
        }
        None => {}
    }
    let killed = outcome.reason == Some(FailureReason::Killed);
    (if killed { AttemptState::Killed } else { AttemptState::Failed }, outcome)
}

/// A time by the region's clock, kept within what the manager knows (after the row, before the report): a wrong
/// clock there must neither end an attempt early nor let it run past its timeout.
fn within(at: Timestamp, attempt: &Attempt, now: Timestamp) -> Timestamp {
    at.min(now).max(attempt.created_at)
}

fn cut(text: &str) -> String {
    text.chars().take(MESSAGE_LIMIT).collect()
}
