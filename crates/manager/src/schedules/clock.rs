//! A schedule whose newest time lies far ahead: it fired while a manager's clock was wrong, and would now wait until that
//! time comes again, maybe for years.
//!
//! A clock that was set back by days is left alone: the schedule waits, and no time runs twice. One that was more than a
//! week ahead is taken back to now, and somebody told. What did run keeps its rows, so that no time runs twice either.

use super::attend::{keys, local, raised};
use super::check::times;
use crate::error::Result;
use crate::repeat::repeating;
use crate::work::{Note, Work};
use crate::{Manager, Principal, outbox};
use jiff::{SignedDuration, Timestamp};
use tenantry_failpoints::Point;
use tenantry_model::{AttentionKind, Schedule};

/// No clock that anything keeps is further ahead.
const AHEAD: SignedDuration = SignedDuration::from_hours(7 * 24);

fn is_ahead(schedule: &Schedule, now: Timestamp) -> bool {
    schedule.last_time.is_some_and(|last| last.duration_since(now) > AHEAD)
}

impl Manager {
    /// Takes every schedule back that is far ahead.
    pub(super) async fn take_schedules_back(&self, who: &Principal) -> Result<()> {
        let schedules = self.store.read().await?.schedules().await?;
        for schedule in schedules.iter().filter(|schedule| is_ahead(schedule, self.now())) {
            repeating(|| async {
                let mut work = self.begin(who).await?;
                work.take_back(schedule).await?;
                work.commit(Point::ScheduleTakeBack).await
            })
            .await?;
        }
        Ok(())
    }
}

impl Work<'_> {
    async fn take_back(&mut self, seen: &Schedule) -> Result<()> {
        let now = self.now;
        let Some(before) = self.tx.lock_schedule(seen.id).await?.filter(|row| is_ahead(row, now)) else {
            return Ok(());
        };
        // A line that cannot be read any more is the business of its next firing.
        let next = times(&before.cron, &before.time_zone).ok().and_then(|times| times.next(now));
        let mut row = before.clone();
        row.last_time = None;
        row.next_time = next.map(|found| found.at).filter(|_| row.paused.is_none());
        row.updated_at = now;
        self.tx.put_schedule(&row).await?;
        self.raise_clock(&before, row.next_time).await?;
        let (before, after) = (outbox::schedule(&before), outbox::schedule(&row));
        self.common_event(outbox::SCHEDULE_CHANGED, after.clone()).await?;
        let (target, reason) = (format!("schedules/{}", row.name), Some("its newest time was far ahead"));
        self.audit(Note { action: "schedule.take-back", target, reason, before, after }).await
    }

    async fn raise_clock(&mut self, before: &Schedule, next: Option<Timestamp>) -> Result<()> {
        let show = |at: Option<Timestamp>| {
            at.map_or_else(|| "a time to come".to_owned(), |at| local(at, Some(before)))
        };
        let message = format!(
            "schedule {} fired up to {} while a manager's clock was wrong; it goes on with {}",
            before.name,
            show(before.last_time),
            show(next)
        );
        let remedy = format!(
            "check the clocks of all managers (timedatectl), and what ran: tenantry schedule runs {} (its next time on \
             time settles this)",
            before.name
        );
        let key = keys::clock(before.id);
        self.raise_for(None, &raised(AttentionKind::ScheduleClock, key, message, remedy)).await
    }
}
