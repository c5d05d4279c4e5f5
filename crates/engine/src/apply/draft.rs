//! What one event has changed so far: copies of touched rows over the rows of the run.

use crate::mutants::{self, Mutant};
use crate::run::is_live;
use crate::{Action, Change, Moment, Run, Transition};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::{Attempt, AttemptId, HookRef, Operation, OperationState, Step};

pub(super) struct Draft<'a> {
    run: &'a Run,
    moment: Moment,
    operation: Option<Operation>,
    steps: BTreeMap<HookRef, Step>,
    attempts: BTreeMap<(HookRef, u32), Attempt>,
    actions: Vec<Action>,
    /// Steps that became settled, or are settled no longer: their successors are still to be told.
    flipped: BTreeSet<HookRef>,
    /// An attempt that was being thrown away is over: whoever waited for that is still to be told.
    restarted: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn new(run: &'a Run, moment: Moment) -> Self {
        Self {
            run,
            moment,
            operation: None,
            steps: BTreeMap::new(),
            attempts: BTreeMap::new(),
            actions: Vec::new(),
            flipped: BTreeSet::new(),
            restarted: false,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.moment.now
    }

    pub(super) fn moment(&self) -> Moment {
        self.moment
    }

    pub(super) fn run(&self) -> &'a Run {
        self.run
    }

    pub(super) fn operation(&self) -> &Operation {
        self.operation.as_ref().unwrap_or_else(|| self.run.operation())
    }

    pub(super) fn is(&self, state: OperationState) -> bool {
        self.operation().state == state
    }

    pub(super) fn operation_mut(&mut self) -> &mut Operation {
        self.operation.get_or_insert_with(|| self.run.operation().clone())
    }

    pub(super) fn step(&self, hook: &HookRef) -> Option<&Step> {
        self.steps.get(hook).or_else(|| self.run.steps().get(hook))
    }

    /// A copy to work on; [`Draft::put_step`] puts it back.
    pub(super) fn take_step(&self, hook: &HookRef) -> Option<Step> {
        self.step(hook).cloned()
    }

    pub(super) fn put_step(&mut self, step: Step) {
        let (settled, restarting) =
            self.step(&step.hook).map_or((false, false), |old| (old.is_settled(), old.restarting));
        if settled != step.is_settled() {
            self.flipped.insert(step.hook.clone());
        }
        self.restarted |= restarting && !step.restarting;
        self.steps.insert(step.hook.clone(), step);
    }

    /// A step whose successors have not been told yet that it is settled, or no longer.
    pub(super) fn take_flipped(&mut self) -> Option<HookRef> {
        self.flipped.pop_first()
    }

    /// Whether an attempt that was being thrown away is over since this was last asked.
    pub(super) fn take_restarted(&mut self) -> bool {
        std::mem::take(&mut self.restarted)
    }

    /// Steps whose attempts are being ended and thrown away.
    pub(super) fn restarting(&self) -> impl Iterator<Item = &Step> {
        self.live().filter(|step| step.restarting)
    }

    pub(super) fn attempt(&self, step: &HookRef, number: u32) -> Option<&Attempt> {
        let key = (step.clone(), number);
        self.attempts.get(&key).or_else(|| self.run.attempts().get(&key))
    }

    /// The newest attempt of a step, if it is not over.
    pub(super) fn open_attempt(&self, step: &Step) -> Option<&Attempt> {
        self.attempt(&step.hook, step.attempt).filter(|attempt| !attempt.state.is_over())
    }

    pub(super) fn put_attempt(&mut self, attempt: Attempt) {
        self.attempts.insert((attempt.id.step.clone(), attempt.id.number), attempt);
    }

    pub(super) fn act(&mut self, action: Action) {
        let planted = match &action {
            Action::Settle { .. } => mutants::on(Mutant::NeverSettle),
            Action::Release(_) => mutants::on(Mutant::NeverRelease),
            _ => false,
        };
        if !planted {
            self.actions.push(action);
        }
    }

    /// Steps that are ready, running or held: untouched ones from the run's index, touched ones as they are now.
    pub(super) fn live(&self) -> impl Iterator<Item = &Step> {
        let untouched = self.run.live().iter().filter(|hook| !self.steps.contains_key(*hook));
        let untouched = untouched.filter_map(|hook| self.run.steps().get(hook));
        untouched.chain(self.steps.values().filter(|step| is_live(step)))
    }

    /// The same, in order, to go through while they change.
    pub(super) fn live_hooks(&self) -> BTreeSet<HookRef> {
        self.live().map(|step| step.hook.clone()).collect()
    }

    /// No attempt is open.
    pub(super) fn all_over(&self) -> bool {
        self.live().all(|step| self.open_attempt(step).is_none())
    }

    /// Whether every step is settled.
    pub(super) fn all_settled(&self) -> bool {
        let before =
            self.steps.keys().filter(|hook| self.run.steps().get(*hook).is_some_and(|s| !s.is_settled()));
        let after = self.steps.values().filter(|step| !step.is_settled());
        self.run.unsettled() - before.count() + after.count() == 0
    }

    /// The steps that wait for `hook`, in order. While planning, no step has an attempt yet and this is empty.
    pub(super) fn successors(&self, hook: &HookRef) -> Vec<HookRef> {
        self.run.successors(hook).into_iter().flatten().cloned().collect()
    }

    pub(super) fn attempt_id(&self, step: &HookRef, number: u32) -> AttemptId {
        AttemptId { operation: self.operation().id, step: step.clone(), number }
    }

    /// Rows that are as they were are left out. Any other change raises the operation's revision.
    pub(super) fn finish(mut self, next_tick: Option<Timestamp>) -> Transition {
        self.steps.retain(|hook, step| self.run.steps().get(hook) != Some(step));
        self.attempts.retain(|key, attempt| self.run.attempts().get(key) != Some(attempt));
        if mutants::on(Mutant::Unordered) && mutants::flip() {
            self.actions.reverse();
        }
        let operation = self.operation.take().filter(|operation| operation != self.run.operation());
        let mut changes = Vec::new();
        if operation.is_some() || !self.steps.is_empty() || !self.attempts.is_empty() {
            let mut operation = operation.unwrap_or_else(|| self.run.operation().clone());
            operation.revision += u64::from(!mutants::on(Mutant::RevisionStands));
            changes.push(Change::Operation(Box::new(operation)));
        } else if mutants::on(Mutant::UnchangedRows) {
            changes.push(Change::Operation(Box::new(self.run.operation().clone())));
        }
        changes.extend(self.steps.into_values().map(Change::Step));
        changes.extend(self.attempts.into_values().map(Change::Attempt));
        Transition { changes, actions: self.actions, next_tick }
    }
}
