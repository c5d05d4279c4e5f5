//! A person steers a step.

use super::draft::Draft;
use super::{cancel, over, start};
use crate::mutants::{self, Mutant};
use crate::verbs::{Legality, Situation, VerbKind, legality};
use crate::{Action, AppliedChange, Expected, Rejected, StepVerb};
use jiff::Timestamp;
use std::collections::BTreeMap;
use tenantry_hook::OUTPUTS_LIMIT;
use tenantry_model::{Actor, Decision, HookRef, KillCause, KillRequest, OperationState, Step, StepState};

pub(super) struct Request<'a> {
    pub(super) step: &'a HookRef,
    pub(super) verb: &'a StepVerb,
    pub(super) by: &'a Actor,
    pub(super) reason: Option<&'a str>,
    pub(super) expected: Option<&'a Expected>,
}

pub(super) fn apply(draft: &mut Draft<'_>, request: &Request<'_>) -> Result<(), Rejected> {
    let Some(step) = draft.take_step(request.step) else {
        return Err(Rejected::UnknownStep(request.step.clone()));
    };
    check(draft, &step, request)?;
    match request.verb {
        StepVerb::Rerun => rerun(draft, step, request),
        StepVerb::Kill => kill(draft, &step, request),
        StepVerb::Skip => finish(draft, step, StepState::Skipped, BTreeMap::new(), request),
        StepVerb::Confirm { outputs } => finish(draft, step, StepState::Confirmed, outputs.clone(), request),
        StepVerb::DeclareLost => declare_lost(draft, step, request),
    }
    Ok(())
}

/// What the caller wrote, then what the caller saw, then whether it is possible: whoever saw an old state must be
/// told the present one first.
fn check(draft: &Draft<'_>, step: &Step, request: &Request<'_>) -> Result<(), Rejected> {
    let kind = request.verb.kind();
    if kind.requires_reason() && request.reason.is_none_or(|reason| reason.trim().is_empty()) {
        return Err(Rejected::ReasonRequired(kind.name()));
    }
    if let StepVerb::Confirm { outputs } = request.verb {
        let size = serde_json::to_string(outputs).map_or(usize::MAX, |text| text.len());
        if size > OUTPUTS_LIMIT {
            return Err(Rejected::OutputsTooLarge { size, limit: OUTPUTS_LIMIT });
        }
    }
    let state = draft.operation().state;
    let possible = match state {
        OperationState::Running | OperationState::Paused => true,
        // The way out when an attempt that is to end is never heard of again.
        OperationState::Cancelling => kind == VerbKind::DeclareLost,
        _ => false,
    };
    if !possible {
        return Err(Rejected::OperationState { what: kind.name(), state });
    }
    if let Some(expected) = request.expected {
        let other_state = expected.state.is_some_and(|state| state != step.state);
        if other_state || expected.attempt.is_some_and(|attempt| attempt != step.attempt) {
            let hook = step.hook.clone();
            return Err(Rejected::Expectation { step: hook, state: step.state, attempt: step.attempt });
        }
    }
    let situation = Situation::of(step, draft.attempt(&step.hook, step.attempt));
    let refused = match legality(kind, situation) {
        Legality::Yes => return Ok(()),
        Legality::UnlessSuccessorStarted => match started_successor(draft, step) {
            None => return Ok(()),
            Some(successor) => format!(", and step {successor} has started after it"),
        },
        Legality::No(why) => format!(": {why}"),
    };
    let (hook, state) = (step.hook.clone(), step.state);
    Err(Rejected::WrongState { verb: kind.name(), step: hook, state, detail: refused })
}

fn started_successor(draft: &Draft<'_>, step: &Step) -> Option<HookRef> {
    let started = |hook: &HookRef| draft.step(hook).is_some_and(|successor| successor.attempt > 0);
    draft.successors(&step.hook).into_iter().find(started)
}

fn rerun(draft: &mut Draft<'_>, mut step: Step, request: &Request<'_>) {
    decide(draft, &mut step, request);
    step.retries_used = 0;
    step.not_before = None;
    step.failure_accepted = false;
    // Not ready: one that was skipped beforehand still has to wait for its predecessors.
    step.state = StepState::Blocked;
    let hook = step.hook.clone();
    draft.put_step(step);
    start::if_unblocked(draft, &hook);
}

fn kill(draft: &mut Draft<'_>, step: &Step, request: &Request<'_>) {
    let Some(mut attempt) = draft.open_attempt(step).cloned() else { return };
    let mut decided = step.clone();
    decide(draft, &mut decided, request);
    draft.put_step(decided);
    let asked = kill_request(draft.now(), request);
    if let Some(earlier) = attempt.kill.take() {
        // Its timeout has already asked for the end: the region knows, but no retry may follow any more.
        attempt.kill = Some(KillRequest { at: earlier.at, ..asked });
        draft.put_attempt(attempt);
    } else {
        cancel::kill(draft, attempt, asked);
    }
}

/// Skip and confirm. An attempt of which nothing is known counts as declared lost by it.
fn finish(
    draft: &mut Draft<'_>,
    mut step: Step,
    state: StepState,
    outputs: BTreeMap<String, String>,
    request: &Request<'_>,
) {
    give_up(draft, &step, request);
    decide(draft, &mut step, request);
    step.state = state;
    step.not_before = None;
    step.outputs = outputs;
    step.ended_at = Some(draft.now());
    let hook = step.hook.clone();
    draft.put_step(step);
    if state == StepState::Confirmed || mutants::on(Mutant::SkipApplies) {
        draft.act(Action::Applied { hook: hook.clone(), change: AppliedChange::Succeeded });
    }
    start::successors(draft, &hook);
}

/// Afterwards the step waits for a decision, whatever its on-failure says: a person is already steering it.
fn declare_lost(draft: &mut Draft<'_>, mut step: Step, request: &Request<'_>) {
    let number = step.attempt;
    give_up(draft, &step, request);
    decide(draft, &mut step, request);
    if draft.is(OperationState::Cancelling) {
        step.state = StepState::Cancelled;
        step.ended_at = Some(draft.now());
        return draft.put_step(step);
    }
    if let Some(attempt) = draft.attempt(&step.hook, number).cloned() {
        over::wait(draft, step, &attempt);
    }
}

/// Closes the open attempt as lost. One that its region never spoke of may still be waiting there to be started: it
/// must not run after it was given up, so that its end is asked for as well.
fn give_up(draft: &mut Draft<'_>, step: &Step, request: &Request<'_>) {
    let Some(attempt) = draft.open_attempt(step).cloned() else { return };
    if attempt.observed == 0 && attempt.kill.is_none() {
        cancel::kill(draft, attempt, kill_request(draft.now(), request));
    }
    if let Some(attempt) = draft.open_attempt(step).cloned() {
        over::lose(draft, attempt, declared(request));
    }
}

fn kill_request(at: Timestamp, request: &Request<'_>) -> KillRequest {
    let reason = request.reason.unwrap_or_default().to_owned();
    KillRequest { by: request.by.clone(), reason, cause: KillCause::Operator, at }
}

fn declared(request: &Request<'_>) -> String {
    let (verb, by, reason) =
        (request.verb.kind().name(), &request.by.name, request.reason.unwrap_or_default());
    format!("{verb} by {by}: {reason}")
}

fn decide(draft: &mut Draft<'_>, step: &mut Step, request: &Request<'_>) {
    start::no_longer_waiting(draft, step);
    step.decision = Some(Decision {
        verb: request.verb.kind().name().to_owned(),
        by: request.by.clone(),
        reason: request.reason.map(str::to_owned),
        at: draft.now(),
    });
}
