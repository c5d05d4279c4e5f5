//! A person steers a step.

use super::draft::Draft;
use super::{cancel, hold, over, rerun, start};
use crate::mutants::{self, Mutant};
use crate::rows::Rows;
use crate::verbs::{Legality, Situation, VerbKind, legality};
use crate::{Action, AppliedChange, Expected, Rejected, StepVerb};
use jiff::Timestamp;
use std::collections::BTreeMap;
use tenantry_hook::OUTPUTS_LIMIT;
use tenantry_model::{
    Actor, Decision, HoldId, HookRef, KillCause, KillRequest, OperationState, Step, StepHold, StepState,
};

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
        StepVerb::Hold { until } => hold(draft, step, *until, request),
        StepVerb::Stop { until } => stop(draft, step, *until, request),
        StepVerb::Release { hold } => hold::lift(draft, request.step, |other| other.id == *hold),
        StepVerb::Rerun { with_successors } => rerun(draft, step, *with_successors, request),
        StepVerb::IgnoreDependency { on } => ignore(draft, step, on.as_ref(), request),
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
    let silent = request.reason.is_none_or(|reason| reason.trim().is_empty());
    if kind.requires_reason() && silent && !mutants::on(Mutant::ReasonOptional) {
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
    if let Some(expected) = request.expected.filter(|_| !mutants::on(Mutant::ExpectationIgnored)) {
        let other_state = expected.state.is_some_and(|state| state != step.state);
        if other_state || expected.attempt.is_some_and(|attempt| attempt != step.attempt) {
            let hook = step.hook.clone();
            return Err(Rejected::Expectation { step: hook, state: step.state, attempt: step.attempt });
        }
    }
    let situation = Situation::of(step, draft.attempt(&step.hook, step.attempt));
    let refused = match legality(kind, situation) {
        Legality::Yes => return dependency(step, request.verb),
        Legality::IfHeld => match not_held(step, request.verb) {
            None => return Ok(()),
            Some(why) => why,
        },
        Legality::IfStale if step.is_stale() => return Ok(()),
        Legality::IfStale => ": it already counts as done".to_owned(),
        Legality::No(why) => format!(": {why}"),
    };
    let (hook, state) = (step.hook.clone(), step.state);
    Err(Rejected::WrongState { verb: kind.name(), step: hook, state, detail: refused })
}

/// Why there is no such hold to release.
fn not_held(step: &Step, verb: &StepVerb) -> Option<String> {
    let StepVerb::Release { hold: wanted } = verb else { return None };
    if step.holds.iter().any(|hold| hold.id == *wanted) {
        return None;
    }
    let by_predicate: Vec<HoldId> = step.holds.iter().filter_map(|hold| hold.id).collect();
    Some(match (wanted, by_predicate.first()) {
        (Some(wanted), _) => format!(": hold {wanted} does not hold it"),
        (None, Some(hold)) => format!(
            ": nobody holds this very step; hold {hold} caught it: name that hold to release this step from it, or lift \
             it for all"
        ),
        (None, None) => ": nobody holds it".to_owned(),
    })
}

/// A dependency that is to be ignored must be one, and be waited for.
fn dependency(step: &Step, verb: &StepVerb) -> Result<(), Rejected> {
    let StepVerb::IgnoreDependency { on } = verb else { return Ok(()) };
    let waited_for = |target: &HookRef| step.after.contains(target) && !step.ignored.contains_key(target);
    let found = match on {
        Some(target) => waited_for(target),
        None => step.after.iter().any(waited_for),
    };
    if found {
        Ok(())
    } else {
        Err(Rejected::NoDependency { step: step.hook.clone(), on: on.clone().map(Box::new) })
    }
}

fn hold(draft: &mut Draft<'_>, mut step: Step, until: Option<Timestamp>, request: &Request<'_>) {
    hold::put(&mut step, own_hold(draft.now(), until, request));
    draft.put_step(step);
}

fn own_hold(since: Timestamp, until: Option<Timestamp>, request: &Request<'_>) -> StepHold {
    let reason = request.reason.unwrap_or_default().to_owned();
    StepHold { id: None, by: request.by.clone(), reason, since, until }
}

fn stop(draft: &mut Draft<'_>, mut step: Step, until: Option<Timestamp>, request: &Request<'_>) {
    let now = draft.now();
    hold::put(&mut step, own_hold(now, until, request));
    decide(draft, &mut step, request);
    rerun::throw_away(draft, step, &kill_request(now, request));
}

fn rerun(draft: &mut Draft<'_>, mut step: Step, with_successors: bool, request: &Request<'_>) {
    decide(draft, &mut step, request);
    if !with_successors {
        return rerun::alone(draft, step);
    }
    let mut kill = kill_request(draft.now(), request);
    kill.reason = format!("{} of {}: {}", request.verb.kind().name(), step.hook, kill.reason);
    rerun::with_successors(draft, step, &kill);
}

fn ignore(draft: &mut Draft<'_>, mut step: Step, on: Option<&HookRef>, request: &Request<'_>) {
    let mut targets: Vec<HookRef> = match on {
        Some(target) if !mutants::on(Mutant::IgnoresAll) => vec![target.clone()],
        _ => step.after.iter().filter(|target| !step.ignored.contains_key(*target)).cloned().collect(),
    };
    if on.is_none() {
        targets.retain(|target| draft.step(target).is_some_and(|other| !other.is_settled()));
    }
    let decision = decision(draft.now(), request);
    step.ignored.extend(targets.into_iter().map(|target| (target, decision.clone())));
    let hook = step.hook.clone();
    draft.put_step(step);
    start::advance(draft, &hook);
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
    // Of a stale step, confirm without outputs says that what it made stands.
    let stands = state == StepState::Confirmed && step.is_stale() && step.is_done() && outputs.is_empty();
    if !stands {
        step.outputs = outputs;
    }
    start::no_longer_stale(draft, &mut step);
    step.state = state;
    step.restarting = false;
    step.failure_accepted = false;
    step.not_before = None;
    step.kept = None;
    step.ended_at = Some(draft.now());
    let hook = step.hook.clone();
    draft.put_step(step);
    if state == StepState::Confirmed || mutants::on(Mutant::SkipApplies) {
        draft.act(Action::Applied { hook, change: AppliedChange::Succeeded });
    }
}

/// Afterwards the step waits for a decision, whatever its on-failure says: a person is already steering it. If they
/// decided already that it begins again, it does.
fn declare_lost(draft: &mut Draft<'_>, mut step: Step, request: &Request<'_>) {
    let number = step.attempt;
    give_up(draft, &step, request);
    decide(draft, &mut step, request);
    if draft.is(OperationState::Cancelling) {
        step.state = StepState::Cancelled;
        step.ended_at = Some(draft.now());
        return draft.put_step(step);
    }
    if step.restarting {
        return rerun::begin_again(draft, step);
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
    step.decision = Some(decision(draft.now(), request));
}

fn decision(at: Timestamp, request: &Request<'_>) -> Decision {
    Decision {
        verb: request.verb.kind().name().to_owned(),
        by: request.by.clone(),
        reason: request.reason.map(str::to_owned),
        at,
    }
}
