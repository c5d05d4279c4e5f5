//! What one event has changed so far: copies of touched rows over the rows of the run.

use crate::mutants::{self, Mutant};
use crate::rows::Rows;
use crate::run::{Rules, is_live};
use crate::{Action, Change, Moment, Run, Transition};
use crate::{timers, work};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::{Attempt, AttemptId, HookRef, Operation, Step};

pub(super) struct Draft<'a> {
    run: &'a Run,
    moment: Moment,
    operation: Option<Operation>,
    steps: BTreeMap<HookRef, Step>,
    attempts: BTreeMap<(HookRef, u32), Attempt>,
    actions: Vec<Action>,
    /// Steps that became settled, or are settled no longer: their successors are still to be told.
    flipped: BTreeSet<HookRef>,
    /// By how much the number of unsettled predecessors differs from the run's.
    waits: BTreeMap<HookRef, isize>,
    /// Steps whose attempts are being thrown away.
    restarting: BTreeSet<HookRef>,
    /// An attempt that was being thrown away is over: whoever waited for that is still to be told.
    restarted: bool,
}

impl Rows for Draft<'_> {
    fn operation(&self) -> &Operation {
        self.operation.as_ref().unwrap_or_else(|| self.run.operation())
    }

    fn rules(&self) -> Rules {
        self.run.rules()
    }

    fn attempt(&self, step: &HookRef, number: u32) -> Option<&Attempt> {
        work::count();
        let key = (step.clone(), number);
        self.attempts.get(&key).or_else(|| self.run.attempts().get(&key))
    }
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
            waits: BTreeMap::new(),
            restarting: run.restarting().clone(),
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

    pub(super) fn operation_mut(&mut self) -> &mut Operation {
        self.operation.get_or_insert_with(|| self.run.operation().clone())
    }

    pub(super) fn step(&self, hook: &HookRef) -> Option<&Step> {
        work::count();
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
            for successor in self.run.successors(&step.hook).into_iter().flatten() {
                work::count();
                *self.waits.entry(successor.clone()).or_default() += if settled { 1 } else { -1 };
            }
        }
        self.restarted |= restarting && !step.restarting;
        if step.restarting {
            self.restarting.insert(step.hook.clone());
        } else {
            self.restarting.remove(&step.hook);
        }
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
        self.restarting.iter().filter_map(|hook| self.step(hook))
    }

    /// The steps whose failures count as done.
    pub(super) fn accepted(&self) -> BTreeSet<&HookRef> {
        let untouched = self.run.accepted().iter().filter(|hook| !self.steps.contains_key(*hook));
        let touched = self.steps.values().filter(|step| step.failure_accepted).map(|step| &step.hook);
        untouched.chain(touched).collect()
    }

    /// How many predecessors of a step of the run are not settled, ignored ones included. `None` for a step that a
    /// plan is just bringing in.
    pub(super) fn waits_for(&self, hook: &HookRef) -> Option<usize> {
        let before = self.run.waits_for(hook)?;
        let change = self.waits.get(hook).copied().unwrap_or(0);
        Some(before.saturating_add_signed(change))
    }

    /// When the first timer of a step is due, seen from the state after the event.
    pub(super) fn first_timer(&self) -> Option<Timestamp> {
        if self.operation().state != self.run.operation().state {
            // Every timer may be another one: once in each state of the operation.
            return self.live().filter_map(|step| timers::first(self, step)).min();
        }
        let touched = |hook: &HookRef| self.steps.contains_key(hook) || self.touches_attempt_of(hook);
        let untouched = self.run.timers().find(|(_, hook)| !touched(hook)).map(|(at, _)| *at);
        let changed = self.steps.keys().chain(self.attempts.keys().map(|(hook, _)| hook));
        let changed = changed.filter_map(|hook| timers::first(self, self.step(hook)?));
        changed.chain(untouched).min()
    }

    fn touches_attempt_of(&self, hook: &HookRef) -> bool {
        let of_step = (hook.clone(), 0)..=(hook.clone(), u32::MAX);
        self.attempts.range(of_step).next().is_some()
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
        let untouched = self.run.live().iter().inspect(|_| work::count());
        let untouched = untouched.filter(|hook| !self.steps.contains_key(*hook));
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
