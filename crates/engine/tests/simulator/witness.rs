//! What really happened: every process that ran, from start to end, whoever saw or reported it.

use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::{AttemptId, HookRef, OperationId};

#[derive(Clone, Debug)]
pub struct Execution {
    pub started: i64,
    pub ended: Option<i64>,
    pub success: bool,
}

#[derive(Default)]
pub struct Witness {
    /// Objects that were made, by attempt.
    pub made: BTreeSet<AttemptId>,
    pub executions: BTreeMap<AttemptId, Execution>,
    /// What persons decided, as far as it was accepted.
    pub declared_lost: BTreeSet<AttemptId>,
    pub killed: BTreeSet<AttemptId>,
    pub settled_by_hand: BTreeSet<(OperationId, HookRef)>,
    /// When the manager ordered an attempt, and when persons last asked for another run of a step: counted.
    pub ordered: BTreeMap<AttemptId, u64>,
    pub asked_again: BTreeMap<(OperationId, HookRef), u64>,
    pub count: u64,
}

impl Witness {
    pub fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// The attempt was ordered before a person asked for another run of the step: it is stale, and that is said.
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
}
