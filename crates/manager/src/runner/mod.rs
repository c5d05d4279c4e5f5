//! Moves operations: one event in, rows, commands, attention and events out, in one transaction.
//!
//! The engine decides; this turns what it says into rows. A crash before the commit is as if the event had never
//! come, a crash after it loses nothing: commands, timers and attention are rows.

mod actions;
mod attend;
mod cache;
mod drive;
mod effect;
mod limits;
mod pending;
mod plan;
mod start;

pub(crate) use cache::Runs;
pub(crate) use effect::RETENTION_PARAMETER;
pub(crate) use plan::{PlanBasis, region_silent, region_silent_key};
pub(crate) use tenantry_hook::{BACKUP_PARAMETER, WRITES_BACKUP};

use crate::error::{ManagerError, Result};
use crate::outbox;
use crate::work::Work;
use actions::Context;
use pending::Pending;
use std::collections::VecDeque;
use tenantry_engine::{Change, Event, Moment, Rejected, Run, Transition};
use tenantry_model::OperationId;
use tenantry_store::TimerChange;
use uuid::Uuid;

/// What a list of events did to one operation.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    /// A row was changed.
    pub(crate) changed: bool,
    /// The operation reached a final state: others may start.
    pub(crate) ended: bool,
    /// For each event in order: why it was not applied.
    pub(crate) rejected: Vec<Option<Rejected>>,
}

impl Work<'_> {
    /// Applies events in order and, if the operation ended by them, lets others of the environment go on.
    pub(crate) async fn advance(&mut self, id: OperationId, events: Vec<Event>) -> Result<Moved> {
        self.lock_of(id).await?;
        let moved = self.apply_each(id, events).await?;
        if moved.ended {
            self.drive().await?;
        }
        Ok(moved)
    }

    /// Applies events to one operation of the locked environment. What the first of them asks for may bring further
    /// ones (a start that is withdrawn is an attempt that is over).
    pub(crate) async fn apply_each(&mut self, id: OperationId, events: Vec<Event>) -> Result<Moved> {
        let mut run = self.load(id).await?;
        let mut context = Context::new(&events);
        let mut moved = Moved::default();
        let mut follow_ups = VecDeque::new();
        let mut timer = TimerChange::None;
        for event in events {
            match self.step(&mut run, &event, &mut context, &mut moved, &mut follow_ups).await? {
                Ok(tick) => {
                    timer = tick.into();
                    moved.rejected.push(None);
                }
                Err(rejected) => moved.rejected.push(Some(rejected)),
            }
            while let Some(event) = follow_ups.pop_front() {
                if let Ok(tick) =
                    self.step(&mut run, &event, &mut context, &mut moved, &mut follow_ups).await?
                {
                    timer = tick.into();
                }
            }
        }
        if let Some(rows) = context.pending.moved(&run, timer) {
            self.tx.put_moved(&rows).await?;
        }
        self.runs.push(run);
        Ok(moved)
    }

    /// One event: outer errors are the store's, inner ones the engine's.
    async fn step(
        &mut self,
        run: &mut Run,
        event: &Event,
        context: &mut Context,
        moved: &mut Moved,
        follow_ups: &mut VecDeque<Event>,
    ) -> Result<std::result::Result<Option<jiff::Timestamp>, Rejected>> {
        let moment = Moment { now: self.now, seed: Uuid::new_v4() };
        let transition = match tenantry_engine::apply(run, event, moment) {
            Ok(transition) => transition,
            Err(rejected) => return Ok(Err(rejected)),
        };
        moved.changed |= !transition.is_empty();
        self.write(run, &transition, &mut context.pending).await?;
        run.commit(&transition);
        context.applied.expect(&transition.actions);
        for action in &transition.actions {
            moved.ended |= self.act(run, action, context, follow_ups).await?;
        }
        Ok(Ok(transition.next_tick))
    }

    /// Keeps changed rows to be stored with the others, and their events. An event is only written for what a reader
    /// of the resource can see: not for a counter.
    async fn write(&mut self, run: &Run, transition: &Transition, pending: &mut Pending) -> Result<()> {
        let id = run.operation().id;
        for change in &transition.changes {
            pending.change(change);
            match change {
                Change::Operation(operation) => {
                    let data = outbox::operation(operation);
                    if outbox::differs(&outbox::operation(run.operation()), &data) {
                        self.event(outbox::OPERATION_CHANGED, Some(id), data).await?;
                    }
                }
                Change::Step(step) => {
                    self.event(outbox::STEP_CHANGED, Some(id), outbox::step(step)).await?;
                }
                Change::Attempt(attempt) => {
                    let data = outbox::attempt(attempt);
                    let before = run.attempts().get(&(attempt.id.step.clone(), attempt.id.number));
                    if before.is_none_or(|before| outbox::attempt(before) != data) {
                        self.event(outbox::ATTEMPT_CHANGED, Some(id), data).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The operation with its rows, as this unit sees them.
    pub(crate) async fn load(&mut self, id: OperationId) -> Result<Run> {
        let operation =
            self.tx.operation(id).await?.ok_or_else(|| ManagerError::not_found("operation", id))?;
        // Moved before in this unit, or lately; either way only if the row is still the same.
        let earlier = self.runs.iter().position(|run| run.operation().id == id);
        let earlier = earlier.map(|at| self.runs.swap_remove(at)).filter(|run| *run.operation() == operation);
        match earlier.or_else(|| self.manager.runs.take(&operation)) {
            Some(run) => Ok(run),
            None => {
                let (steps, attempts) = (self.tx.steps(id).await?, self.tx.attempts(id).await?);
                Ok(Run::new(operation, steps, attempts, self.manager.rules()))
            }
        }
    }
}
