//! One operation with its rows, and what is derived from them so that an event does not scan them all.
//!
//! The rows are the truth; the index is only ever built from them. It must never know where rows are stored.

use crate::rows::Rows;
use crate::{Change, Transition, timers, work};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::{Attempt, HookRef, Operation, Step, StepState};

/// What the installation has set about how operations go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A hold without an end, or a pause, that lasts longer than this raises attention: a silent night must never be a
    /// stuck night.
    pub held_too_long: SignedDuration,
}

/// An operation, its steps and their attempts, as they are in the store.
#[derive(Clone, Debug)]
pub struct Run {
    rules: Rules,
    operation: Operation,
    steps: BTreeMap<HookRef, Step>,
    attempts: BTreeMap<(HookRef, u32), Attempt>,
    /// Reversed edges, without targets that are no steps.
    successors: BTreeMap<HookRef, BTreeSet<HookRef>>,
    /// Steps on which a timer or an answer may be outstanding (ready, running or held).
    live: BTreeSet<HookRef>,
    /// How many steps are not settled.
    unsettled: usize,
    /// How many predecessors of each step are not settled.
    waits: BTreeMap<HookRef, usize>,
    /// Steps whose attempts are being thrown away.
    restarting: BTreeSet<HookRef>,
    /// Steps whose failures count as done.
    accepted: BTreeSet<HookRef>,
    /// When the first timer of a step is due, both ways.
    timers: BTreeSet<(Timestamp, HookRef)>,
    due: BTreeMap<HookRef, Timestamp>,
}

/// Equal rows; the index follows from them.
impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        self.operation == other.operation && self.steps == other.steps && self.attempts == other.attempts
    }
}

impl Run {
    /// From rows in any order.
    pub fn new(
        operation: Operation,
        steps: impl IntoIterator<Item = Step>,
        attempts: impl IntoIterator<Item = Attempt>,
        rules: Rules,
    ) -> Self {
        let mut run = Self {
            rules,
            operation,
            steps: BTreeMap::new(),
            attempts: BTreeMap::new(),
            successors: BTreeMap::new(),
            live: BTreeSet::new(),
            unsettled: 0,
            waits: BTreeMap::new(),
            restarting: BTreeSet::new(),
            accepted: BTreeSet::new(),
            timers: BTreeSet::new(),
            due: BTreeMap::new(),
        };
        for step in steps {
            run.put_step(step);
        }
        for attempt in attempts {
            run.attempts.insert((attempt.id.step.clone(), attempt.id.number), attempt);
        }
        run.set_all_timers();
        run
    }

    /// The operation's own row.
    #[must_use]
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Its steps; empty before it is planned.
    #[must_use]
    pub fn steps(&self) -> &BTreeMap<HookRef, Step> {
        &self.steps
    }

    /// All attempts, by step and number.
    #[must_use]
    pub fn attempts(&self) -> &BTreeMap<(HookRef, u32), Attempt> {
        &self.attempts
    }

    /// The newest attempt of a step.
    #[must_use]
    pub fn newest_attempt(&self, step: &Step) -> Option<&Attempt> {
        self.attempts.get(&(step.hook.clone(), step.attempt))
    }

    /// Takes in what [`crate::apply()`] gave, once it is committed.
    pub fn commit(&mut self, transition: &Transition) {
        let before = self.operation.state;
        for change in &transition.changes {
            match change {
                Change::Operation(operation) => self.operation = (**operation).clone(),
                Change::Step(step) => self.put_step(step.clone()),
                Change::Attempt(attempt) => {
                    self.attempts.insert((attempt.id.step.clone(), attempt.id.number), attempt.clone());
                }
            }
        }
        if self.operation.state != before {
            return self.set_all_timers();
        }
        for change in &transition.changes {
            match change {
                Change::Operation(_) => {}
                Change::Step(step) => self.set_timer(&step.hook),
                Change::Attempt(attempt) => self.set_timer(&attempt.id.step),
            }
        }
    }

    /// Timers depend on the operation's state as well: with it, all are set anew.
    fn set_all_timers(&mut self) {
        self.timers.clear();
        self.due.clear();
        for hook in self.live.clone() {
            self.set_timer(&hook);
        }
    }

    fn set_timer(&mut self, hook: &HookRef) {
        if let Some(at) = self.due.remove(hook) {
            self.timers.remove(&(at, hook.clone()));
        }
        let first = self.steps.get(hook).and_then(|step| timers::first(self, step));
        if let Some(at) = first {
            self.due.insert(hook.clone(), at);
            self.timers.insert((at, hook.clone()));
        }
    }

    /// The first timer of each step that has one, by time.
    pub(crate) fn timers(&self) -> impl Iterator<Item = &(Timestamp, HookRef)> {
        self.timers.iter().inspect(|_| work::count())
    }

    /// The steps with a timer that is due, in the order of steps.
    pub(crate) fn due(&self, now: Timestamp) -> BTreeSet<HookRef> {
        self.timers().take_while(|(at, _)| *at <= now).map(|(_, hook)| hook.clone()).collect()
    }

    /// The steps whose first timer is due only after this moment, in the order of steps.
    pub(crate) fn due_after(&self, moment: Timestamp) -> BTreeSet<HookRef> {
        let later = self.timers.iter().rev().inspect(|_| work::count());
        later.take_while(|(at, _)| *at > moment).map(|(_, hook)| hook.clone()).collect()
    }

    /// How many predecessors of a step are not settled.
    pub(crate) fn waits_for(&self, hook: &HookRef) -> Option<usize> {
        work::count();
        self.waits.get(hook).copied()
    }

    pub(crate) fn accepted(&self) -> &BTreeSet<HookRef> {
        &self.accepted
    }

    pub(crate) fn restarting(&self) -> &BTreeSet<HookRef> {
        &self.restarting
    }

    pub(crate) fn successors(&self, hook: &HookRef) -> Option<&BTreeSet<HookRef>> {
        self.successors.get(hook)
    }

    pub(crate) fn live(&self) -> &BTreeSet<HookRef> {
        &self.live
    }

    pub(crate) fn unsettled(&self) -> usize {
        self.unsettled
    }

    fn put_step(&mut self, step: Step) {
        let hook = step.hook.clone();
        let index = |set: &mut BTreeSet<HookRef>, belongs: bool| {
            if belongs {
                set.insert(hook.clone())
            } else {
                set.remove(&hook)
            };
        };
        index(&mut self.live, is_live(&step));
        index(&mut self.restarting, step.restarting);
        index(&mut self.accepted, step.failure_accepted);
        let after = !step.is_settled();
        let old = self.steps.get(&hook);
        let before = old.map(|old| !old.is_settled());
        if before.is_none() {
            // Edges never change after planning.
            let unsettled =
                |target: &&HookRef| self.steps.get(*target).is_some_and(|other| !other.is_settled());
            self.waits.insert(hook.clone(), step.after.iter().filter(unsettled).count());
            for target in &step.after {
                self.successors.entry(target.clone()).or_default().insert(hook.clone());
            }
        }
        self.steps.insert(hook.clone(), step);
        let change = isize::from(after) - isize::from(before.unwrap_or(false));
        if change != 0 {
            self.unsettled = self.unsettled.saturating_add_signed(change);
            for successor in self.successors.get(&hook).into_iter().flatten() {
                if let Some(waits) = self.waits.get_mut(successor) {
                    *waits = waits.saturating_add_signed(change);
                }
            }
        }
    }
}

impl Rows for Run {
    fn operation(&self) -> &Operation {
        &self.operation
    }

    fn rules(&self) -> Rules {
        self.rules
    }

    fn attempt(&self, step: &HookRef, number: u32) -> Option<&Attempt> {
        self.attempts.get(&(step.clone(), number))
    }
}

/// A timer or an answer may be outstanding.
pub(crate) fn is_live(step: &Step) -> bool {
    matches!(step.state, StepState::Ready | StepState::Running) || step.is_held()
}
