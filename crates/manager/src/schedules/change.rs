//! Making, changing, pausing and deleting schedules.
//!
//! Whatever is changed, the next time is computed anew and lies after now and after the newest time that has come: a
//! change never runs a time twice, and never catches up.

use super::check::named;
use super::{NewSchedule, ScheduleChange, attend};
use crate::error::{ManagerError, Result};
use crate::operations::check_reason;
use crate::repeat::repeating;
use crate::tenants::check_revision;
use crate::work::{Note, Work};
use crate::{KeptAnswer, Manager, Principal, outbox};
use serde_json::Value;
use tenantry_failpoints::Point;
use tenantry_model::{Paused, Schedule, ScheduleId, ScheduleName};
use tenantry_schedule::{Times, next_after_change};
use uuid::Uuid;

impl Manager {
    /// Makes a schedule; it fires from the next time on.
    pub async fn create_schedule(&self, who: &Principal, new: NewSchedule) -> Result<Schedule> {
        repeating(|| async {
            let new = new.clone();
            let mut work = self.begin(who).await?;
            if work.tx.schedule_by_name(&new.name).await?.is_some() {
                return Err(ManagerError::Exists(format!("schedule {}", new.name)));
            }
            let mut schedule = Schedule {
                id: ScheduleId(Uuid::now_v7()),
                name: new.name,
                description: new.description,
                operation: new.operation,
                parameters: new.parameters,
                target: new.target,
                cron: new.cron,
                time_zone: new.time_zone,
                catch_up: new.catch_up,
                overlap: new.overlap,
                deadline: new.deadline,
                paused: None,
                last_time: None,
                next_time: None,
                revision: 0,
                created_by: who.actor.clone(),
                created_at: work.now,
                updated_at: work.now,
            };
            let times = work.check_schedule(&schedule).await?;
            work.check_count().await?;
            work.put_changed(None, &mut schedule, &times, "schedule.create", None).await?;
            if !new.validate_only {
                work.answer(kept(&schedule, true), Point::ScheduleCreate).await?;
            }
            Ok(schedule)
        })
        .await
    }

    /// Changes a schedule.
    pub async fn update_schedule(
        &self,
        who: &Principal,
        name: &ScheduleName,
        expected: Option<u64>,
        change: ScheduleChange,
    ) -> Result<Schedule> {
        repeating(|| async {
            let change = change.clone();
            let mut work = self.begin(who).await?;
            let before = work.locked_schedule(name).await?;
            check_revision(|| format!("schedule {name}"), before.revision, expected)?;
            let mut after = before.clone();
            let ScheduleChange { description, operation, parameters, target, cron, time_zone, .. } = change;
            set(&mut after.description, description);
            set(&mut after.operation, operation);
            set(&mut after.parameters, parameters);
            set(&mut after.target, target);
            set(&mut after.cron, cron);
            set(&mut after.time_zone, time_zone);
            set(&mut after.catch_up, change.catch_up);
            set(&mut after.overlap, change.overlap);
            set(&mut after.deadline, change.deadline);
            let times = work.check_schedule(&after).await?;
            if after == before {
                work.unchanged(kept(&before, false)).await?;
                return Ok(before);
            }
            work.put_changed(Some(&before), &mut after, &times, "schedule.update", None).await?;
            work.answer(kept(&after, false), Point::ScheduleUpdate).await?;
            Ok(after)
        })
        .await
    }

    /// No time runs from now on; runs that wait or were requested go on.
    pub async fn pause_schedule(
        &self,
        who: &Principal,
        name: &ScheduleName,
        reason: String,
    ) -> Result<Schedule> {
        check_reason(Some(&reason))?;
        let paused = Paused { by: who.actor.clone(), reason: reason.clone(), at: self.now() };
        self.set_paused(who, name, Some(paused), "schedule.pause", Some(reason)).await
    }

    /// Runs again, from the next time on: times that came during the pause are left out (`backfill` runs them).
    pub async fn resume_schedule(
        &self,
        who: &Principal,
        name: &ScheduleName,
        reason: Option<String>,
    ) -> Result<Schedule> {
        check_reason(reason.as_deref())?;
        self.set_paused(who, name, None, "schedule.resume", reason).await
    }

    /// Pausing what is paused changes nothing, and neither does resuming what runs.
    async fn set_paused(
        &self,
        who: &Principal,
        name: &ScheduleName,
        paused: Option<Paused>,
        action: &str,
        reason: Option<String>,
    ) -> Result<Schedule> {
        repeating(|| async {
            let paused = paused.clone();
            let mut work = self.begin(who).await?;
            let before = work.locked_schedule(name).await?;
            if before.paused.is_some() == paused.is_some() {
                work.unchanged(kept(&before, false)).await?;
                return Ok(before);
            }
            let mut after = Schedule { paused, ..before.clone() };
            let times = work.check_schedule(&after).await?;
            work.put_changed(Some(&before), &mut after, &times, action, reason.as_deref()).await?;
            work.answer(kept(&after, false), Point::SchedulePause).await?;
            Ok(after)
        })
        .await
    }

    /// Removes a schedule and its runs that wait; operations that were requested go on.
    pub async fn delete_schedule(
        &self,
        who: &Principal,
        name: &ScheduleName,
        expected: Option<u64>,
    ) -> Result<()> {
        repeating(|| async {
            let mut work = self.begin(who).await?;
            let before = work.locked_schedule(name).await?;
            check_revision(|| format!("schedule {name}"), before.revision, expected)?;
            work.remove_schedule(&before, None).await?;
            work.answer(KeptAnswer::Gone, Point::ScheduleDelete).await
        })
        .await
    }
}

fn kept(schedule: &Schedule, made: bool) -> KeptAnswer {
    KeptAnswer::Schedule { schedule: Box::new(schedule.clone()), made }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

impl Work<'_> {
    pub(super) async fn locked_schedule(&mut self, name: &ScheduleName) -> Result<Schedule> {
        let found = named(&mut *self.tx, name).await?;
        let locked = self.tx.lock_schedule(found.id).await?;
        locked.ok_or_else(|| ManagerError::not_found("schedule", name))
    }

    /// Removes a locked schedule and its runs that wait.
    pub(crate) async fn remove_schedule(&mut self, before: &Schedule, reason: Option<&str>) -> Result<()> {
        self.tx.delete_schedule(before.id).await?;
        self.settle_attention(&attend::keys::late(before.id)).await?;
        self.settle_attention(&attend::keys::clock(before.id)).await?;
        self.settle_attention(&attend::keys::left_out(before.id)).await?;
        self.common_event(outbox::SCHEDULE_DELETED, outbox::schedule(before)).await?;
        let target = format!("schedules/{}", before.name);
        let (before, after) = (outbox::schedule(before), Value::Null);
        self.audit(Note { action: "schedule.delete", target, reason, before, after }).await
    }

    /// Stores a person's change, with its next time, its audit entry and its event.
    async fn put_changed(
        &mut self,
        before: Option<&Schedule>,
        after: &mut Schedule,
        times: &Times,
        action: &str,
        reason: Option<&str>,
    ) -> Result<()> {
        after.revision += 1;
        after.updated_at = self.now;
        after.next_time = next_after_change(after, times, self.now);
        self.tx.put_schedule(after).await?;
        self.wakes_schedules = true;
        let shown = outbox::schedule(after);
        self.common_event(outbox::SCHEDULE_CHANGED, shown.clone()).await?;
        let target = format!("schedules/{}", after.name);
        let before = before.map(outbox::schedule).unwrap_or_default();
        self.audit(Note { action, target, reason, before, after: shown }).await
    }
}
