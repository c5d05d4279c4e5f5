//! The end of a scheduled run, in the transaction in which its operation ends: the next in the queue is due at once.

use super::MOST_WAITING;
use super::attend::keys;
use crate::error::Result;
use crate::work::Work;
use tenantry_model::{Operation, RunState, ScheduleRun};
use tenantry_schedule::{ended_late, next_to_begin};
use tenantry_store::RunKey;

impl Work<'_> {
    /// Called for every operation that ends; most have no schedule, and their row says so.
    pub(crate) async fn scheduled_run_ended(&mut self, operation: &Operation) -> Result<()> {
        if operation.scheduled_time.is_none() {
            return Ok(());
        }
        match self.tx.schedule_run_of(operation.id).await? {
            Some(run) if run.state == RunState::Requested => self.end_run(run).await,
            _ => Ok(()),
        }
    }

    pub(super) async fn end_run(&mut self, mut run: ScheduleRun) -> Result<()> {
        if let Some(id) = run.operation {
            // Ended late before anybody looked: it is said all the same, and over at once.
            if ended_late(&run, self.now)
                && let Some(operation) = self.tx.operation(id).await?
            {
                run.missed = true;
                self.raise_missed(&operation, &run).await?;
            }
            self.settle_attention(&keys::at_risk(id)).await?;
            self.settle_attention(&keys::missed(id)).await?;
        }
        let key = RunKey::of(&run);
        self.put_run(run, RunState::Ended).await?;
        self.let_next_begin(key).await
    }

    /// Makes the first run that waits for the same environment due, unless one before it is still open.
    pub(super) async fn let_next_begin(&mut self, over: RunKey) -> Result<()> {
        let open = self.tx.open_schedule_runs(over.schedule, over.environment, MOST_WAITING).await?;
        if let Some(next) = next_to_begin(&open).cloned() {
            self.put_run(next, RunState::Due).await?;
            self.wakes_schedules = true;
        }
        Ok(())
    }
}
