//! From a time that has come to rows: one for each time and environment, and the schedule's next time, in one
//! transaction.
//!
//! The next time follows from the newest one that has come, never from the clock alone, so that a clock that was set
//! back meets a schedule that waits. Two managers that see the same time meet at the schedule's row lock, and the second
//! finds another next time.

use super::check::times;
use super::{LONGEST_SLEEP, MOST_RUNS, MOST_TIMES};
use crate::error::{ManagerError, Result};
use crate::reconcile::Pause;
use crate::work::Work;
use crate::{Manager, Principal, outbox};
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use tenantry_failpoints::Point;
use tenantry_model::{Actor, EnvironmentId, Paused, RunCause, RunState, Schedule, ScheduleRun};
use tenantry_schedule::{Due, deadline_after, due};
use tenantry_store::RunKey;
use tracing::warn;

/// Schedules or runs that are taken at a time.
const BATCH: u32 = 200;

impl Manager {
    /// The loop: fires what is due, then sleeps until the next time or until a commit of this process concerns it.
    pub(crate) async fn schedules_loop(&self) {
        let mut pause = Pause::new();
        loop {
            let sleep = match self.run_schedules().await {
                Ok(_) => self.until_next_schedule().await,
                Err(error) => Err(error),
            };
            match sleep {
                Ok(sleep) => {
                    pause = Pause::new();
                    // A wake-up that came meanwhile was kept.
                    let _ = tokio::time::timeout(sleep, self.schedules_changed.notified()).await;
                }
                Err(error) => pause.after("schedules", &error).await,
            }
        }
    }

    async fn until_next_schedule(&self) -> Result<Duration> {
        let next = self.store.read().await?.next_schedule().await?;
        let sleep = next.map_or(LONGEST_SLEEP, |next| {
            Duration::try_from(next.duration_since(self.now())).unwrap_or(Duration::ZERO)
        });
        Ok(sleep.clamp(Duration::from_millis(10), LONGEST_SLEEP))
    }

    /// Fires every schedule whose time has come and begins every run that is due; returns how many rows it looked at.
    /// One that fails does not keep the others from their turn; the first error comes back at the end.
    pub async fn run_schedules(&self) -> Result<usize> {
        let mut first_error = None;
        let mut fired: BTreeSet<_> = BTreeSet::new();
        loop {
            let due = self.store.read().await?.due_schedules(self.now(), BATCH).await?;
            let fresh: Vec<Schedule> =
                due.into_iter().filter(|schedule| fired.insert((schedule.id, schedule.next_time))).collect();
            if fresh.is_empty() {
                break;
            }
            for schedule in fresh {
                if let Err(error) = self.fire(&schedule).await {
                    warn!(schedule = %schedule.name, %error, "a schedule could not be fired");
                    first_error.get_or_insert(error);
                }
            }
        }
        let mut begun: BTreeSet<RunKey> = BTreeSet::new();
        loop {
            let due = self.store.read().await?.due_schedule_runs(BATCH).await?;
            let fresh: Vec<RunKey> = due.iter().map(RunKey::of).filter(|key| begun.insert(*key)).collect();
            if fresh.is_empty() {
                return first_error.map_or(Ok(fired.len() + begun.len()), Err);
            }
            for key in fresh {
                if let Err(error) = self.begin_run(key).await {
                    warn!(run = %key, %error, "a scheduled run could not be begun");
                    first_error.get_or_insert(error);
                }
            }
        }
    }

    /// Fires one schedule as it was read. Whom it is for is looked up before the transaction, which stays short.
    async fn fire(&self, schedule: &Schedule) -> Result<()> {
        let Some(next) = schedule.next_time else { return Ok(()) };
        let times = match times(&schedule.cron, &schedule.time_zone) {
            Ok(times) => times,
            Err(error) => return self.pause_unreadable(schedule, &error).await,
        };
        let found = self.environments_of(&schedule.target).await;
        let environments = match &found {
            Ok(environments) => environments.as_slice(),
            Err(ManagerError::Store(_)) => return found.map(|_| ()),
            // Too many, or its selector means nothing any more: nobody is run, and that is said.
            Err(_) => &[],
        };
        let most = (MOST_RUNS / environments.len().max(1)).clamp(1, MOST_TIMES);
        let grace = self.config.schedules.grace;
        let due = due(&times, next, self.now(), schedule.catch_up, grace, most);
        let who = Principal::system();
        let mut work = self.begin(&who).await?;
        let unchanged = |now: &Schedule| now.next_time == Some(next) && now.revision == schedule.revision;
        let Some(mut row) = work.tx.lock_schedule(schedule.id).await?.filter(unchanged) else {
            return Ok(());
        };
        row.last_time = row.last_time.max(Some(due.last));
        row.next_time = due.next;
        work.tx.put_schedule(&row).await?;
        for at in &due.fire {
            let late = work.now.duration_since(*at) > grace;
            let cause = if late { RunCause::CatchUp } else { RunCause::Time };
            for environment in environments {
                let run = new_run(&row, *environment, *at, cause, times.zone(), work.now);
                work.tx.add_schedule_run(&run).await?;
            }
        }
        let data = json!({
            "schedule": row.id, "name": row.name, "times": due.fire, "leftOut": due.left_out,
            "environments": environments.len(), "nextTime": row.next_time,
        });
        work.common_event(outbox::SCHEDULE_FIRED, data).await?;
        work.attend_to_firing(&row, &due, found.err()).await?;
        work.commit(Point::ScheduleFire).await
    }

    /// The line or the zone was good when it was stored: the zone database has changed under it. Nobody may wait for
    /// times that never come, so the schedule stops visibly.
    async fn pause_unreadable(&self, schedule: &Schedule, error: &ManagerError) -> Result<()> {
        let who = Principal::system();
        let mut work = self.begin(&who).await?;
        let Some(mut row) = work.tx.lock_schedule(schedule.id).await? else { return Ok(()) };
        row.paused = Some(Paused { by: Actor::system(), reason: error.to_string(), at: work.now });
        row.next_time = None;
        row.revision += 1;
        work.tx.put_schedule(&row).await?;
        work.common_event(outbox::SCHEDULE_CHANGED, outbox::schedule(&row)).await?;
        work.raise_unreadable(&row, error).await?;
        work.commit(Point::SchedulePauseUnreadable).await
    }
}

/// A run that is due now.
pub(super) fn new_run(
    schedule: &Schedule,
    environment: EnvironmentId,
    at: Timestamp,
    cause: RunCause,
    zone: &jiff::tz::TimeZone,
    now: Timestamp,
) -> ScheduleRun {
    ScheduleRun {
        schedule: schedule.id,
        environment,
        scheduled_time: at,
        cause,
        state: RunState::Due,
        operation: None,
        note: None,
        // A past time's deadline has passed with it.
        deadline_at: schedule
            .deadline
            .filter(|_| cause != RunCause::Backfill)
            .and_then(|deadline| deadline_after(deadline, at, zone)),
        at_risk: false,
        missed: false,
        created_at: now,
        changed_at: now,
    }
}

impl Work<'_> {
    /// What a firing tells people: that it was late, that times or everybody were left out; or that all is well again.
    async fn attend_to_firing(
        &mut self,
        schedule: &Schedule,
        due: &Due,
        nobody: Option<ManagerError>,
    ) -> Result<()> {
        let delay = self.now.duration_since(due.last);
        self.attend_to_delay(schedule, due.last, delay).await?;
        self.attend_to_left_out(schedule, due, nobody).await
    }
}
