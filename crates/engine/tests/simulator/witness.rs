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
}

impl Witness {
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
