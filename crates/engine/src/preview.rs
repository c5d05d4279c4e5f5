//! What an event would do to an operation, read off the very transition that [`apply()`] makes: no second truth.

use crate::{Action, Change, Event, Moment, Rejected, Run, apply};
use std::collections::BTreeSet;
use tenantry_model::{AttemptId, Decision, HookRef, OperationState, Step, StepState};

/// What an event would do now. What follows from it later (a backoff, the end of what is killed) is not in it, but
/// for the steps that begin again then: those are `reset`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// Attempts that would start at once.
    pub started: Vec<AttemptId>,
    /// Attempts whose end would be asked for.
    pub killed: Vec<AttemptId>,
    /// Attempts of which nothing more would be expected: given up as lost.
    pub lost: Vec<AttemptId>,
    /// Steps that would begin again: what they did before does not count any more.
    pub reset: Vec<HookRef>,
    /// Steps that would become stale.
    pub stale: Vec<HookRef>,
    /// Steps that would be settled without running: skipped, confirmed, or what they made stands.
    pub settled: Vec<HookRef>,
    /// Steps that would be held and are not yet.
    pub held: Vec<HookRef>,
    /// Steps that nobody would hold any more.
    pub released: Vec<HookRef>,
    /// Steps that would end with the operation.
    pub cancelled: Vec<HookRef>,
    /// Earlier decisions of persons that would not hold any more.
    pub dropped: Vec<Dropped>,
    /// The state in which the operation would be, if that is another one.
    pub operation: Option<OperationState>,
}

/// A decision that would not hold any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// About which step.
    pub step: HookRef,
    /// What was decided, by whom and why.
    pub decision: Decision,
    /// The predecessor that it was told not to wait for, if that was it.
    pub dependency: Option<HookRef>,
}

/// What `event` would do. Nothing is changed.
///
/// # Errors
/// As [`apply()`].
pub fn preview(run: &Run, event: &Event, moment: Moment) -> Result<Preview, Rejected> {
    let transition = apply(run, event, moment)?;
    let mut preview = Preview::default();
    for action in &transition.actions {
        match action {
            Action::Start(attempt) => preview.started.push(attempt.clone()),
            Action::Kill { attempt, .. } => preview.killed.push(attempt.clone()),
            _ => {}
        }
    }
    let starting: BTreeSet<&HookRef> = preview.started.iter().map(|attempt| &attempt.step).collect();
    let mut steps = Steps { preview: Preview::default(), starting };
    for change in &transition.changes {
        match change {
            Change::Operation(operation) => {
                let other = operation.state != run.operation().state;
                steps.preview.operation = other.then_some(operation.state);
            }
            Change::Step(after) => {
                if let Some(before) = run.steps().get(&after.hook) {
                    steps.compare(before, after);
                }
            }
            Change::Attempt(after) => {
                let before = run.attempts().get(&(after.id.step.clone(), after.id.number));
                let open = before.is_none_or(|before| !before.state.is_over());
                if open && after.state == tenantry_model::AttemptState::Lost {
                    steps.preview.lost.push(after.id.clone());
                }
            }
        }
    }
    let compared = steps.preview;
    Ok(Preview { started: preview.started, killed: preview.killed, ..compared })
}

struct Steps<'a> {
    preview: Preview,
    starting: BTreeSet<&'a HookRef>,
}

impl Steps<'_> {
    fn compare(&mut self, before: &Step, after: &Step) {
        let preview = &mut self.preview;
        let hook = || after.hook.clone();
        let was_something = before.attempt > 0 || before.is_done();
        let begins = matches!(after.state, StepState::Blocked | StepState::Ready)
            && !matches!(before.state, StepState::Blocked | StepState::Ready);
        let restarts = after.restarting && !before.restarting;
        if was_something && (begins || restarts || self.starting.contains(&after.hook)) {
            preview.reset.push(hook());
        }
        if after.is_stale() && !before.is_stale() {
            preview.stale.push(hook());
        }
        let by_hand = matches!(after.state, StepState::Skipped | StepState::Confirmed);
        if by_hand && (before.state != after.state || before.is_stale()) {
            preview.settled.push(hook());
        }
        if after.is_held() && !before.is_held() {
            preview.held.push(hook());
        }
        if before.is_held() && !after.is_held() {
            preview.released.push(hook());
        }
        if after.state == StepState::Cancelled && before.state != StepState::Cancelled {
            preview.cancelled.push(hook());
        }
        self.drop_decisions(before, after);
    }

    fn drop_decisions(&mut self, before: &Step, after: &Step) {
        let dropped = |decision: &Decision, dependency| Dropped {
            step: after.hook.clone(),
            decision: decision.clone(),
            dependency,
        };
        let by_hand = matches!(before.state, StepState::Skipped | StepState::Confirmed);
        if let Some(decision) = before.decision.as_ref().filter(|_| by_hand && after.state != before.state) {
            self.preview.dropped.push(dropped(decision, None));
        }
        for (target, decision) in &before.ignored {
            if !after.ignored.contains_key(target) {
                self.preview.dropped.push(dropped(decision, Some(target.clone())));
            }
        }
    }
}
