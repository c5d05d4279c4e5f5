//! Deadlines of scheduled runs: missed, or expected to be missed.

use super::attend::keys;
use super::history::last_attempt;
use crate::error::Result;
use crate::repeat::repeating;
use crate::retention::believed;
use crate::{Manager, Principal};
use tenantry_failpoints::Point;
use tenantry_model::{Operation, Page, RunState, ScheduleRun, Step, StepState, with_causes};
use tenantry_schedule::{PastRun, Standing, StepLeft, standing};
use tenantry_store::{Read, RunKey};
use tracing::warn;

/// Runs that are read at a time.
const BATCH: u32 = 200;

impl Manager {
    /// Judges the deadline of every scheduled run that has one and has not ended; returns how many there are. One that fails does
    /// not keep the others from their turn.
    pub async fn watch_deadlines(&self) -> Result<usize> {
        self.watch_deadlines_as(&Principal::system()).await
    }

    pub(crate) async fn watch_deadlines_as(&self, who: &Principal) -> Result<usize> {
        let (mut page, mut watched, mut first_error) = (Page { after: None, limit: BATCH }, 0, None);
        loop {
            let part = self.store.read().await?.watched_schedule_runs(&page).await?;
            watched += part.items.len();
            for run in &part.items {
                if let Err(error) = self.watch(who, run).await {
                    if error.is_lease_lost() {
                        return Err(error);
                    }
                    warn!(run = %RunKey::of(run), error = %with_causes(&error), "a deadline could not be judged");
                    first_error.get_or_insert(error);
                }
            }
            if part.next.is_none() {
                return first_error.map_or(Ok(watched), Err);
            }
            page.after = part.next;
        }
    }

    /// Reads without a lock, and writes only when something is to be said.
    async fn watch(&self, who: &Principal, run: &ScheduleRun) -> Result<()> {
        let Some(id) = run.operation else { return Ok(()) };
        let mut read = self.store.read().await?;
        let Some(operation) = read.operation(id).await?.filter(|operation| !operation.state.is_final())
        else {
            return Ok(());
        };
        let standing = self.standing(&mut *read, run, &operation).await?;
        drop(read);
        // What the row says was said is not said again; most runs are fine, and cost no transaction.
        if !standing.is_news(run) {
            return Ok(());
        }
        repeating(|| self.say(who, run, &operation, &standing)).await
    }

    async fn say(
        &self,
        who: &Principal,
        run: &ScheduleRun,
        operation: &Operation,
        standing: &Standing,
    ) -> Result<()> {
        let mut work = self.begin_one(who).await?;
        work.lock(operation.environment).await?;
        // Somebody else may have seen the same, or its end.
        let Some(run) = work.tx.schedule_run(&RunKey::of(run)).await?.filter(|now| now == run) else {
            return Ok(());
        };
        let run = standing.said(&run);
        match standing {
            Standing::Missed => {
                work.settle_attention(&keys::at_risk(operation.id)).await?;
                work.raise_missed(operation, &run).await?;
            }
            Standing::AtRisk(prediction) => work.raise_at_risk(operation, &run, prediction).await?,
            Standing::Fine => work.settle_attention(&keys::at_risk(operation.id)).await?,
        }
        work.put_run(run, RunState::Requested).await?;
        work.commit(Point::RunWatch).await
    }

    async fn standing(
        &self,
        read: &mut (dyn Read + '_),
        run: &ScheduleRun,
        operation: &Operation,
    ) -> Result<Standing> {
        let now = self.now();
        if let Some(known) = Standing::at_once(run, now) {
            return Ok(known);
        }
        let past = self.past_runs.before(read, operation, self.config.schedules.history_runs).await?;
        let steps = read.steps(operation.id).await?;
        let left: Vec<StepLeft> = if steps.is_empty() {
            past.first().map(|newest| newest.steps.clone()).unwrap_or_default()
        } else {
            let attempts = read.attempts(operation.id).await?;
            let since = |step: &Step| {
                let running = step.state == StepState::Running;
                last_attempt(step, &attempts).filter(|_| running).map(|attempt| attempt.created_at)
            };
            steps
                .iter()
                .map(|step| StepLeft {
                    hook: step.hook.clone(),
                    after: step.after.clone(),
                    done: step.is_done(),
                    running_since: since(step),
                })
                .collect()
        };
        let took: Vec<PastRun> = past.iter().map(|past| past.took.clone()).collect();
        Ok(standing(run, &left, &took, now))
    }

    /// Removes runs of schedules that are older than their retention, unless the clock is in doubt.
    pub(crate) async fn expire_runs(&self, who: &Principal) -> Result<u32> {
        let now = believed(&mut *self.store.read().await?, self.now()).await?;
        // Retention says it.
        let Ok(now) = now else { return Ok(0) };
        let Ok(before) = now.checked_sub(self.config.schedules.run_retention) else { return Ok(0) };
        let mut removed = 0;
        loop {
            let part = repeating(|| async {
                let mut work = self.begin(who).await?;
                let part = work.tx.expire_schedule_runs(before, 1000).await?;
                work.commit(Point::RunsExpire).await?;
                Ok(part)
            })
            .await?;
            removed += part;
            if part < 1000 {
                return Ok(removed);
            }
        }
    }
}
