//! One operation with its rows, and what is derived from them so that an event does not scan them all.
//!
//! The rows are the truth; the index is only ever built from them. It must never know where rows are stored.

use crate::{Change, Transition};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::{Attempt, HookRef, Operation, Step, StepState};

/// An operation, its steps and their attempts, as they are in the store.
#[derive(Clone, Debug)]
pub struct Run {
    operation: Operation,
    steps: BTreeMap<HookRef, Step>,
    attempts: BTreeMap<(HookRef, u32), Attempt>,
    /// Reversed edges, without targets that are no steps.
    successors: BTreeMap<HookRef, BTreeSet<HookRef>>,
    /// Steps on which a timer or an answer may be outstanding (ready, running or held).
    live: BTreeSet<HookRef>,
    /// How many steps are not settled.
    unsettled: usize,
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
    ) -> Self {
        let mut run = Self {
            operation,
            steps: BTreeMap::new(),
            attempts: BTreeMap::new(),
            successors: BTreeMap::new(),
            live: BTreeSet::new(),
            unsettled: 0,
        };
        for step in steps {
            run.put_step(step);
        }
        for attempt in attempts {
            run.attempts.insert((attempt.id.step.clone(), attempt.id.number), attempt);
        }
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
        for change in &transition.changes {
            match change {
                Change::Operation(operation) => self.operation = (**operation).clone(),
                Change::Step(step) => self.put_step(step.clone()),
                Change::Attempt(attempt) => {
                    self.attempts.insert((attempt.id.step.clone(), attempt.id.number), attempt.clone());
                }
            }
        }
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
        if is_live(&step) {
            self.live.insert(step.hook.clone());
        } else {
            self.live.remove(&step.hook);
        }
        let settled = step.is_settled();
        for target in &step.after {
            // Edges never change after planning, so that inserting again is all there is to do.
            self.successors.entry(target.clone()).or_default().insert(step.hook.clone());
        }
        let before = self.steps.insert(step.hook.clone(), step);
        match before {
            Some(old) if old.is_settled() == settled => {}
            Some(_) if settled => self.unsettled -= 1,
            None if settled => {}
            _ => self.unsettled += 1,
        }
    }
}

/// A timer or an answer may be outstanding.
pub(crate) fn is_live(step: &Step) -> bool {
    matches!(step.state, StepState::Ready | StepState::Running) || step.is_held()
}
