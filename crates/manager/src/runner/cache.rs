//! Operations that were moved lately, so that one report does not read a thousand rows.
//!
//! Never the truth: a run is used only if its operation's row is still the one in the store, whose revision every
//! change of a step or an attempt raises. A manager that starts with nothing here is only slower.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tenantry_engine::Run;
use tenantry_model::{AttemptId, Operation, OperationId};

/// Most rows (steps and attempts) of the runs that are kept, some four kilobytes each: a thousand operations of ten
/// steps that have run, or a few very large ones.
const CAPACITY: usize = 20_000;

#[derive(Debug, Default)]
pub(crate) struct Runs(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    clock: u64,
    rows: usize,
    runs: HashMap<OperationId, (u64, Run)>,
    /// By when they were used last.
    order: BTreeMap<u64, OperationId>,
}

impl Runs {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the run out, if it belongs to this row.
    pub(super) fn take(&self, row: &Operation) -> Option<Run> {
        let run = self.kept().remove(row.id)?;
        (run.operation() == row).then_some(run)
    }

    /// Whether the attempt is certain to have a row, as kept runs are committed and attempts are never removed.
    /// `false` says nothing.
    pub(crate) fn has_attempt(&self, id: &AttemptId) -> bool {
        let kept = self.kept();
        let run = kept.runs.get(&id.operation);
        run.is_some_and(|(_, run)| run.attempts().contains_key(&(id.step.clone(), id.number)))
    }

    /// Keeps a run whose rows are committed. What has ended is not needed again.
    pub(crate) fn keep(&self, run: Run) {
        let mut kept = self.kept();
        let id = run.operation().id;
        // Another one of it may have come back first.
        kept.remove(id);
        if run.operation().state.is_final() {
            return;
        }
        kept.clock += 1;
        let now = kept.clock;
        kept.rows += size(&run);
        kept.order.insert(now, id);
        kept.runs.insert(id, (now, run));
        while kept.rows > CAPACITY && kept.runs.len() > 1 {
            let Some((_, oldest)) = kept.order.pop_first() else { return };
            kept.remove(oldest);
        }
    }
}

impl Kept {
    fn remove(&mut self, id: OperationId) -> Option<Run> {
        let (used, run) = self.runs.remove(&id)?;
        self.order.remove(&used);
        self.rows -= size(&run);
        Some(run)
    }
}

fn size(run: &Run) -> usize {
    run.steps().len() + run.attempts().len()
}
