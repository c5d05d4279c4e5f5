//! From a run that is due to its operation, under its environment's lock and in one transaction.

use super::attend::keys;
use super::check::can_run;
use super::{MOST_WAITING, types::AskedRun};
use crate::error::{ErrorClass, ManagerError, Result};
use crate::operations::{OperationAnswer, Wish};
use crate::work::Work;
use crate::{Manager, Principal, outbox};
use tenantry_engine::Event;
use tenantry_failpoints::Point;
use tenantry_model::{
    Actor, ActorKind, OperationId, OperationState, Overlap, RunCause, RunState, Schedule, ScheduleRun,
};
use tenantry_store::RunKey;

/// What is to be done with a run that is due.
enum Turn {
    /// Its operation is requested.
    Now,
    /// It waits for those before it.
    Waits(String),
    /// It is left out.
    Skip(String),
}

impl Manager {
    /// Begins a run that is due. One that somebody else has begun meanwhile is left alone.
    pub(super) async fn begin_run(&self, key: RunKey) -> Result<()> {
        match self.try_to_begin(key).await {
            // What the service refuses today it would refuse again: the time is skipped and somebody told. Whatever
            // the attempt had written is gone with its transaction.
            Err(error) if is_refusal(&error) => self.skip_run(key, &error.to_string()).await,
            other => other,
        }
    }

    async fn try_to_begin(&self, key: RunKey) -> Result<()> {
        let Some(schedule) = self.store.read().await?.schedule(key.schedule).await? else { return Ok(()) };
        let who = acting(&schedule);
        let mut work = self.begin(&who).await?;
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
    }

    async fn skip_run(&self, key: RunKey, why: &str) -> Result<()> {
        let Some(schedule) = self.store.read().await?.schedule(key.schedule).await? else { return Ok(()) };
        let who = acting(&schedule);
        let mut work = self.begin(&who).await?;
        // An environment that is not kept cannot be locked, and nobody waits for its run.
        if work.tx.environment(key.environment).await?.is_some() {
            work.lock(key.environment).await?;
        }
        let Some(run) = work.due_run(key).await? else { return Ok(()) };
        work.skip(&schedule, run, why).await?;
        work.commit(Point::RunSkip).await
    }
}

/// A schedule acts as itself: its audit entries and operations say which one it was.
fn acting(schedule: &Schedule) -> Principal {
    let actor = Actor { kind: ActorKind::System, name: format!("schedule {}", schedule.name) };
    Principal { actor, ..Principal::system() }
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
    async fn skip(&mut self, schedule: &Schedule, mut run: ScheduleRun, why: &str) -> Result<()> {
        run.note = Some(why.chars().take(1000).collect());
        let key = RunKey::of(&run);
        if self.environment().is_ok() {
            self.raise_skipped(schedule, &run, why).await?;
        }
        self.put_run(run, RunState::Skipped).await?;
        self.let_next_begin(key).await
    }

    /// What the overlap policy says. Runs that a person asked for always wait their turn and are never replaced: they
    /// were wanted one by one.
    async fn turn(&mut self, schedule: &Schedule, run: &ScheduleRun) -> Result<Turn> {
        let mut open = self.tx.open_schedule_runs(run.schedule, run.environment, MOST_WAITING + 1).await?;
        if open.len() > MOST_WAITING as usize {
            return Ok(Turn::Skip(format!("{MOST_WAITING} runs of it wait already")));
        }
        open.retain(|other| RunKey::of(other) != RunKey::of(run));
        let by_time = |run: &ScheduleRun| matches!(run.cause, RunCause::Time | RunCause::CatchUp);
        if by_time(run) && schedule.overlap == Overlap::Replace {
            self.replace(schedule, run, &mut open, by_time).await?;
        }
        let running = open.iter().find(|other| other.state == RunState::Requested);
        if let Some(running) = running {
            let operation = running.operation.map_or_else(String::new, |id| id.to_string());
            let note = format!("the run of {} has not ended (operation {operation})", running.scheduled_time);
            let skips = by_time(run) && schedule.overlap == Overlap::Skip;
            return Ok(if skips { Turn::Skip(note) } else { Turn::Waits(note) });
        }
        let ahead = |other: &&ScheduleRun| {
            other.state == RunState::Waiting && other.scheduled_time < run.scheduled_time
        };
        Ok(match open.iter().find(ahead) {
            Some(other) => Turn::Waits(format!("the run of {} comes first", other.scheduled_time)),
            None => Turn::Now,
        })
    }

    /// Takes out of `open` what the new run takes the place of: earlier ones that wait, as rows or as operations that
    /// have not got their lock.
    async fn replace(
        &mut self,
        schedule: &Schedule,
        run: &ScheduleRun,
        open: &mut Vec<ScheduleRun>,
        by_time: impl Fn(&ScheduleRun) -> bool,
    ) -> Result<()> {
        let why = format!("the run of {} took its place", run.scheduled_time);
        let mut kept = Vec::new();
        for other in open.drain(..) {
            let earlier = other.scheduled_time < run.scheduled_time && by_time(&other);
            match (other.state, other.operation) {
                (RunState::Waiting | RunState::Due, _) if earlier => {
                    let mut other = other;
                    other.note = Some(why.clone());
                    self.raise_skipped(schedule, &other, &why).await?;
                    self.put_run(other, RunState::Skipped).await?;
                }
                (RunState::Requested, Some(id)) if earlier && self.is_pending(id).await? => {
                    let by = self.who.actor.clone();
                    self.apply_each(id, vec![Event::Cancel { by, reason: why.clone() }]).await?;
                    // It ended at once and its run with it, or its end is on its way and is waited for.
                    if !self.is_over(id).await? {
                        kept.push(other);
                    }
                }
                _ => kept.push(other),
            }
        }
        *open = kept;
        Ok(())
    }

    async fn is_pending(&mut self, id: OperationId) -> Result<bool> {
        let operation = self.tx.operation(id).await?;
        Ok(operation.is_some_and(|operation| operation.state == OperationState::Pending))
    }

    async fn is_over(&mut self, id: OperationId) -> Result<bool> {
        Ok(self.tx.operation(id).await?.is_none_or(|operation| operation.state.is_final()))
    }

    async fn request_run(&mut self, schedule: &Schedule, run: &ScheduleRun) -> Result<OperationId> {
        let wish = Wish {
            name: schedule.operation.clone(),
            parameters: schedule.parameters.clone(),
            reason: Some(format!("schedule {}, {}", schedule.name, run.scheduled_time)),
            on_conflict: None,
            scheduled_time: Some(run.scheduled_time),
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
