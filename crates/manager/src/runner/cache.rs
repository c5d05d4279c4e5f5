//! Operations that were moved lately, so that one report does not read a thousand rows.
//!
//! Never the truth: a run is used only if its operation's row is still the one in the store, whose revision every
//! change of a step or an attempt raises. A manager that starts with nothing here is only slower.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tenantry_engine::Run;
use tenantry_model::{AttemptId, Operation, OperationId};

/// Most runs that are kept.
const CAPACITY: usize = 128;

#[derive(Debug, Default)]
pub(crate) struct Runs(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    clock: u64,
    runs: HashMap<OperationId, (u64, Run)>,
}

impl Runs {
    /// Takes the run out, if it belongs to this row.
    pub(super) fn take(&self, row: &Operation) -> Option<Run> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, run) = kept.runs.remove(&row.id)?;
        (run.operation() == row).then_some(run)
    }

    /// Whether the attempt is certain to have a row, as kept runs are committed and attempts are never removed.
    /// `false` says nothing.
    pub(crate) fn has_attempt(&self, id: &AttemptId) -> bool {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let run = kept.runs.get(&id.operation);
        run.is_some_and(|(_, run)| run.attempts().contains_key(&(id.step.clone(), id.number)))
    }

    /// Keeps a run whose rows are committed. What has ended is not needed again.
    pub(crate) fn keep(&self, run: Run) {
        if run.operation().state.is_final() {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let now = kept.clock;
        kept.runs.insert(run.operation().id, (now, run));
        if kept.runs.len() > CAPACITY
            && let Some(oldest) = kept.runs.iter().min_by_key(|(_, (used, _))| *used).map(|(id, _)| *id)
        {
            kept.runs.remove(&oldest);
        }
    }
}
