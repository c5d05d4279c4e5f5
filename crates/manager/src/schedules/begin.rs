//! From a run that is due to its operation, under its environment's lock and in one transaction. Whose turn it is is
//! decided by `tenantry_schedule::turn`.

use super::attend::keys;
use super::check::can_run;
use super::{MOST_WAITING, types::AskedRun};
use crate::error::{ErrorClass, ManagerError, Result};
use crate::operations::{OperationAnswer, Wish};
use crate::repeat::repeating;
use crate::work::Work;
use crate::{Manager, Principal, outbox};
use std::collections::BTreeSet;
use tenantry_engine::Event;
use tenantry_failpoints::Point;
use tenantry_model::{
    Actor, ActorKind, OperationId, OperationState, Overlap, RunState, Schedule, ScheduleRun,
};
use tenantry_schedule::{Replaced, Turn, replaced, request, skipped, turn};
use tenantry_store::RunKey;

impl Manager {
    /// Begins a run that is due. One that somebody else has begun meanwhile is left alone.
    pub(super) async fn begin_run(&self, who: &Principal, key: RunKey) -> Result<()> {
        match self.try_to_begin(who, key).await {
            // What the service refuses today it would refuse again: the time is skipped and somebody told. Whatever
            // the attempt had written is gone with its transaction.
            Err(error) if is_refusal(&error) => self.skip_run(who, key, &error.to_string()).await,
            other => other,
        }
    }

    async fn try_to_begin(&self, who: &Principal, key: RunKey) -> Result<()> {
        let Some(schedule) = self.store.read().await?.schedule(key.schedule).await? else { return Ok(()) };
        let who = acting(who, &schedule);
        repeating(|| async {
            let mut work = self.begin_one(&who).await?;
            work.lock(key.environment).await?;
            let Some(mut run) = work.due_run(key).await? else { return Ok(()) };
            if !can_run(work.environment()?) {
                work.skip(&schedule, run, "the environment is decommissioned").await?;
                return work.commit(Point::RunDecommissioned).await;
            }
            match work.turn(&schedule, &run).await? {
                Turn::Now => {
                    run.operation = Some(work.request_run(&schedule, &run).await?);
                    run.note = None;
                    work.put_run(run, RunState::Requested).await?;
                    work.settle_attention(&keys::skipped(schedule.id, key.environment)).await?;
                    work.end_if_over(key).await?;
                }
                Turn::Waits(note) => {
                    run.note = Some(note);
                    work.put_run(run, RunState::Waiting).await?;
                    // The one it waits for may itself have waited for this one's decision.
                    work.let_next_begin(key).await?;
                }
                Turn::Skip(why) => work.skip(&schedule, run, &why).await?,
            }
            work.commit(Point::RunBegin).await
        })
        .await
    }

    async fn skip_run(&self, who: &Principal, key: RunKey, why: &str) -> Result<()> {
        let Some(schedule) = self.store.read().await?.schedule(key.schedule).await? else { return Ok(()) };
        let who = acting(who, &schedule);
        repeating(|| async {
            let mut work = self.begin(&who).await?;
            // An environment that is not kept cannot be locked, and nobody waits for its run.
            if work.tx.environment(key.environment).await?.is_some() {
                work.lock(key.environment).await?;
            }
            let Some(run) = work.due_run(key).await? else { return Ok(()) };
            work.skip(&schedule, run, why).await?;
            work.commit(Point::RunSkip).await
        })
        .await
    }
}

/// A schedule acts as itself: its audit entries and operations say which one it was.
fn acting(who: &Principal, schedule: &Schedule) -> Principal {
    let actor = Actor { kind: ActorKind::System, name: format!("schedule {}", schedule.name) };
    Principal { actor, ..who.clone() }
}

fn is_refusal(error: &ManagerError) -> bool {
    matches!(
        error.class(),
        ErrorClass::Invalid | ErrorClass::NotFound | ErrorClass::Conflict | ErrorClass::Forbidden
    )
}

impl Work<'_> {
    /// The run, if it is still due.
    async fn due_run(&mut self, key: RunKey) -> Result<Option<ScheduleRun>> {
        Ok(self.tx.schedule_run(&key).await?.filter(|run| run.state == RunState::Due))
    }

    /// Stores a run's new state, with an event.
    pub(super) async fn put_run(&mut self, mut run: ScheduleRun, state: RunState) -> Result<()> {
        run.state = state;
        run.changed_at = self.now;
        self.tx.put_schedule_run(&run).await?;
        self.event(outbox::SCHEDULE_RUN_CHANGED, run.operation, outbox::schedule_run(&run)).await
    }

    /// Leaves a run out. What was behind it in the queue has its turn.
    async fn skip(&mut self, schedule: &Schedule, run: ScheduleRun, why: &str) -> Result<()> {
        let key = RunKey::of(&run);
        self.put_skipped(schedule, skipped(&run, why, self.now)).await?;
        self.let_next_begin(key).await
    }

    async fn put_skipped(&mut self, schedule: &Schedule, run: ScheduleRun) -> Result<()> {
        if self.environment().is_ok() {
            self.raise_skipped(schedule, &run).await?;
        }
        self.put_run(run, RunState::Skipped).await
    }

    /// What the overlap policy says, after the run has taken the place of those that it replaces.
    async fn turn(&mut self, schedule: &Schedule, run: &ScheduleRun) -> Result<Turn> {
        let most = MOST_WAITING + 1;
        let open = self.tx.open_schedule_runs(run.schedule, run.environment, most).await?;
        if schedule.overlap != Overlap::Replace {
            return Ok(turn(schedule.overlap, run, &open, MOST_WAITING as usize));
        }
        let mut not_begun = BTreeSet::new();
        for id in open.iter().filter_map(|other| other.operation) {
            if self.is_pending(id).await? {
                not_begun.insert(id);
            }
        }
        let replaced = replaced(schedule.overlap, run, &open, |id| not_begun.contains(&id), self.now);
        for other in replaced {
            match other {
                Replaced::Row(row) => self.put_skipped(schedule, row).await?,
                Replaced::Operation(id, reason) => {
                    let by = self.who.actor.clone();
                    self.apply_each(id, vec![Event::Cancel { by, reason }]).await?;
                }
            }
        }
        // What was cancelled has ended and its run with it, or its end is on its way and is waited for.
        let open = self.tx.open_schedule_runs(run.schedule, run.environment, most).await?;
        Ok(turn(schedule.overlap, run, &open, MOST_WAITING as usize))
    }

    async fn is_pending(&mut self, id: OperationId) -> Result<bool> {
        let operation = self.tx.operation(id).await?;
        Ok(operation.is_some_and(|operation| operation.state == OperationState::Pending))
    }

    async fn is_over(&mut self, id: OperationId) -> Result<bool> {
        Ok(self.tx.operation(id).await?.is_none_or(|operation| operation.state.is_final()))
    }

    async fn request_run(&mut self, schedule: &Schedule, run: &ScheduleRun) -> Result<OperationId> {
        let asked = request(schedule, run);
        let wish = Wish {
            name: asked.operation,
            parameters: asked.parameters,
            reason: Some(asked.reason),
            on_conflict: None,
            scheduled_time: Some(asked.scheduled_time),
            cause: None,
        };
        match self.ask(wish, false).await? {
            OperationAnswer::Requested(operation) => Ok(operation.id),
            OperationAnswer::Preview(_) => {
                Err(ManagerError::Internal("a request was only checked".to_owned()))
            }
        }
    }

    /// An operation without steps has ended in the transaction that requested it, before its run knew it.
    async fn end_if_over(&mut self, key: RunKey) -> Result<()> {
        let Some(run) = self.tx.schedule_run(&key).await? else { return Ok(()) };
        match run.operation {
            Some(id) if self.is_over(id).await? => self.end_run(run).await,
            _ => Ok(()),
        }
    }
}

impl AskedRun {
    /// What is there already, and what is not.
    pub(super) fn of(key: RunKey, before: Option<&ScheduleRun>) -> Self {
        Self {
            environment: key.environment,
            scheduled_time: key.scheduled_time,
            before: before.map(|run| run.state),
        }
    }
}
