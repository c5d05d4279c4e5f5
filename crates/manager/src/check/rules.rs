//! What must hold between an operation's row, its steps and their attempts, at any moment. Pure.

use tenantry_engine::Run;
use tenantry_model::{Attempt, AttemptState, HookRef, OperationState, Step, StepState};

/// A broken rule.
pub(super) struct Fault {
    pub(super) check: &'static str,
    /// Which step; `None`: the operation.
    pub(super) place: Option<String>,
    pub(super) message: String,
    pub(super) remedy: &'static str,
}

const LOOK: &str = "tenantry op get ID shows it; steer the step by a verb, or cancel the operation; keep a copy of the \
                    data folder and report it";

/// Every rule that is broken.
pub(super) fn faults(run: &Run) -> Vec<Fault> {
    let mut faults = Vec::new();
    operation(run, &mut faults);
    for step in run.steps().values() {
        let attempts: Vec<&Attempt> = attempts(run, &step.hook).collect();
        numbers(step, &attempts, &mut faults);
        open_attempts(step, &attempts, &mut faults);
        dependencies(run, step, &mut faults);
    }
    for attempt in run.attempts().values() {
        if !run.steps().contains_key(&attempt.id.step) {
            let message = format!("attempt {} belongs to no step", attempt.id.number);
            faults.push(at_step("attempt-step", &attempt.id.step, message));
        }
    }
    faults
}

fn attempts<'r>(run: &'r Run, hook: &HookRef) -> impl Iterator<Item = &'r Attempt> {
    let (first, last) = ((hook.clone(), 0), (hook.clone(), u32::MAX));
    run.attempts().range(first..=last).map(|(_, attempt)| attempt)
}

fn at_step(check: &'static str, hook: &HookRef, message: String) -> Fault {
    Fault { check, place: Some(format!("step {hook}")), message, remedy: LOOK }
}

fn operation(run: &Run, faults: &mut Vec<Fault>) {
    let operation = run.operation();
    let mut fault = |check, message: String| faults.push(Fault { check, place: None, message, remedy: LOOK });
    let last = operation.state.is_final();
    if last != operation.ended_at.is_some() {
        fault(
            "operation-end",
            format!("it is {:?}, and its end is {:?}", operation.state, operation.ended_at),
        );
    }
    let waits = matches!(operation.state, OperationState::Pending | OperationState::Planning);
    if waits && !run.steps().is_empty() {
        fault("operation-steps", format!("it is {:?} and has steps", operation.state));
    }
    if operation.state.holds_lock() && operation.started_at.is_none() {
        fault("operation-start", format!("it is {:?} and has not begun", operation.state));
    }
    if operation.state == OperationState::Succeeded
        && let Some(step) = run.steps().values().find(|step| !step.is_done())
    {
        fault("operation-succeeded", format!("it succeeded, and step {} is not done", step.hook));
    }
    let unsettled = |step: &&Step| {
        step.waiting || matches!(step.state, StepState::Blocked | StepState::Ready | StepState::Running)
    };
    if last && let Some(step) = run.steps().values().find(unsettled) {
        fault("operation-over", format!("it has ended, and step {} has not: {:?}", step.hook, step.state));
    }
}

/// Attempts are numbered 1, 2, … up to the step's own number.
fn numbers(step: &Step, attempts: &[&Attempt], faults: &mut Vec<Fault>) {
    let gap = attempts.iter().zip(1..).find(|(attempt, number)| attempt.id.number != *number);
    if let Some((attempt, expected)) = gap {
        let message = format!("attempt {expected} is missing; {} stands there", attempt.id.number);
        faults.push(at_step("attempt-numbers", &step.hook, message));
    } else if attempts.len() != step.attempt as usize {
        let message = format!("its newest attempt is {}, and there are {}", step.attempt, attempts.len());
        faults.push(at_step("attempt-numbers", &step.hook, message));
    }
}

/// One attempt at most is not over: the newest, and exactly while the step runs.
fn open_attempts(step: &Step, attempts: &[&Attempt], faults: &mut Vec<Fault>) {
    let open: Vec<u32> =
        attempts.iter().filter(|attempt| !attempt.state.is_over()).map(|attempt| attempt.id.number).collect();
    let fault = |message: String| at_step("open-attempts", &step.hook, message);
    match open.as_slice() {
        [] if step.state == StepState::Running => {
            faults.push(fault("it runs, and all of its attempts are over".to_owned()));
        }
        [] => {}
        [one] if *one == step.attempt && step.state == StepState::Running => {}
        [one] if *one == step.attempt => {
            faults.push(fault(format!("it is {:?}, and attempt {one} is not over", step.state)));
        }
        [one] => faults.push(fault(format!("attempt {one} is not over, and {} is newer", step.attempt))),
        several => faults.push(fault(format!("attempts {several:?} are not over, all at once"))),
    }
    if let Some(attempt) = attempts.iter().find(|attempt| attempt.state.is_over() && !has_end(attempt)) {
        let message = format!("attempt {} is {:?} without an end", attempt.id.number, attempt.state);
        faults.push(at_step("attempt-end", &step.hook, message));
    }
    let newest = attempts.last().map(|attempt| attempt.state);
    let by_its_attempt = step.state == StepState::Succeeded && step.attempt > 0;
    if by_its_attempt && newest.is_some_and(|state| state != AttemptState::Succeeded) {
        let message = format!("it succeeded, and its newest attempt is {newest:?}");
        faults.push(at_step("step-succeeded", &step.hook, message));
    }
}

/// What was thrown away before it ran has no outcome.
fn has_end(attempt: &Attempt) -> bool {
    attempt.state == AttemptState::Superseded || attempt.ended_at.is_some() && attempt.outcome.is_some()
}

/// What runs or has run waited for what comes before it.
fn dependencies(run: &Run, step: &Step, faults: &mut Vec<Fault>) {
    let began = matches!(step.state, StepState::Running | StepState::Succeeded) && step.attempt > 0;
    let newest = run.newest_attempt(step);
    for target in &step.after {
        let Some(before) = run.steps().get(target) else {
            let message = format!("it waits for {target}, which is no step of the operation");
            faults.push(at_step("step-edge", &step.hook, message));
            continue;
        };
        // A person decided about one of the two since: run again, or not to be waited for.
        let decided = newest.is_some_and(|attempt| {
            before.decision.as_ref().is_some_and(|decision| decision.at >= attempt.created_at)
        });
        if began && !before.is_done() && !decided && !excused(step, target) {
            let message =
                format!("it is {:?}, and {target}, which it waits for, is {:?}", step.state, before.state);
            faults.push(at_step("dependency-jumped", &step.hook, message));
        }
    }
    let goes_on = matches!(run.operation().state, OperationState::Running | OperationState::Paused);
    let settled = |target: &HookRef| run.steps().get(target).is_none_or(Step::is_settled);
    let free = step.after.iter().all(|target| step.ignored.contains_key(target) || settled(target));
    if goes_on && step.state == StepState::Blocked && free {
        let message = "nothing is left that it waits for, and it does not get ready".to_owned();
        faults.push(at_step("step-forgotten", &step.hook, message));
    }
}

/// A person told it not to wait, or it is known to have used what is out of date.
fn excused(step: &Step, target: &HookRef) -> bool {
    step.is_stale() || step.ignored.contains_key(target)
}
