//! What really happened: every process that ran, from start to end, whoever saw or reported it; and what persons
//! decided, as far as it was accepted. Steps are judged by this, never by the engine's rows.

use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::{AttemptId, HoldId, HookRef, OperationId};

#[derive(Clone, Debug)]
pub struct Execution {
    pub started: i64,
    pub ended: Option<i64>,
    pub success: bool,
}

pub type Key = (OperationId, HookRef);

#[derive(Default)]
pub struct Witness {
    /// Objects that were made, by attempt.
    pub made: BTreeSet<AttemptId>,
    pub executions: BTreeMap<AttemptId, Execution>,
    pub declared_lost: BTreeSet<AttemptId>,
    pub killed: BTreeSet<AttemptId>,
    /// Confirmed and skipped steps, and when that was said.
    pub confirmed: BTreeMap<Key, u64>,
    pub skipped: BTreeSet<Key>,
    /// When the manager ordered an attempt, and when persons last asked for another run of a step that was
    /// done.
    pub ordered: BTreeMap<AttemptId, u64>,
    pub asked_again: BTreeMap<Key, u64>,
    /// Attempts that `rerun --with-successors` and `stop` throw away.
    pub thrown_away: BTreeSet<AttemptId>,
    /// Holds with the time at which they end.
    pub holds: BTreeMap<Key, BTreeMap<Option<HoldId>, Option<i64>>>,
    /// Which step was told not to wait for which.
    pub ignored: BTreeSet<(Key, HookRef)>,
    pub paused: BTreeSet<OperationId>,
    /// Steps that a replay is to keep.
    pub kept: BTreeSet<Key>,
    /// Orders and decisions, counted.
    count: u64,
}

impl Witness {
    pub fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    pub fn is_held(&self, key: &Key, now: i64) -> bool {
        let active = |until: &Option<i64>| until.is_none_or(|until| until > now);
        self.holds.get(key).is_some_and(|holds| holds.values().any(active))
    }

    pub fn ignores(&self, key: &Key, target: &HookRef) -> bool {
        self.ignored.contains(&(key.clone(), target.clone()))
    }

    pub fn settled_by_hand(&self, key: &Key) -> bool {
        self.confirmed.contains_key(key) || self.skipped.contains(key)
    }

    /// The attempt was ordered before a person asked for another run of the step.
    pub fn ordered_before_rerun(&self, attempt: &AttemptId, of: &HookRef) -> bool {
        let asked = self.asked_again.get(&(attempt.operation, of.clone()));
        asked.is_some_and(|asked| self.ordered.get(attempt).is_some_and(|ordered| ordered < asked))
    }

    pub fn running(&self) -> impl Iterator<Item = &AttemptId> {
        self.executions.iter().filter(|(_, execution)| execution.ended.is_none()).map(|(id, _)| id)
    }

    /// Executions of one step.
    pub fn of<'a>(
        &'a self,
        operation: OperationId,
        step: &'a HookRef,
    ) -> impl Iterator<Item = (&'a AttemptId, &'a Execution)> {
        let first = AttemptId { operation, step: step.clone(), number: 0 };
        let last = AttemptId { operation, step: step.clone(), number: u32::MAX };
        self.executions.range(first..=last)
    }

    /// The newest attempt that was ordered.
    pub fn newest(&self, operation: OperationId, step: &HookRef) -> Option<&AttemptId> {
        let first = AttemptId { operation, step: step.clone(), number: 0 };
        let last = AttemptId { operation, step: step.clone(), number: u32::MAX };
        self.ordered.range(first..=last).next_back().map(|(id, _)| id)
    }
}
