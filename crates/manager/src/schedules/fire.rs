//! From a time that has come to rows: one for each time and environment, and the schedule's next time, in one
//! transaction. Which rows is decided by `tenantry_schedule::fire`.
//!
//! The next time follows from the newest one that has come, never from the clock alone, so that a clock that was set
//! back meets a schedule that waits (unless it was far ahead: `clock`). Two managers that see the same time meet at the
//! schedule's row lock, and the second finds another next time.

use super::check::times;
use super::{ANOTHER_HAS_IT, LONGEST_SLEEP, MOST_RUNS, MOST_TIMES};
use crate::duties::Duty;
use crate::error::{ManagerError, Result};
use crate::reconcile::Pause;
use crate::{Manager, Principal, outbox};
use std::collections::BTreeSet;
use std::time::Duration;
use tenantry_failpoints::Point;
use tenantry_model::{Actor, Paused, Schedule, with_causes};
use tenantry_schedule::{Bounds, fire, is_same};
use tenantry_store::{RunKey, Signal};
use tracing::warn;

/// Schedules or runs that are taken at a time.
const BATCH: u32 = 200;

impl Manager {
    /// The loop: fires what is due, then sleeps until the next time or until a change, at whichever manager, concerns it.
    pub(crate) async fn schedules_loop(&self) {
        let mut pause = Pause::new();
        loop {
            let sleep = match self.attend_to(Duty::Schedules).await {
                Ok(true) => self.until_next_schedule().await,
                Ok(false) => Ok(ANOTHER_HAS_IT),
                Err(error) => Err(error),
            };
            match sleep {
                Ok(sleep) => {
                    pause = Pause::new();
                    // A wake-up that came meanwhile was kept.
                    let _ = tokio::time::timeout(sleep, self.store.told(Signal::Schedules)).await;
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
        self.run_schedules_as(&Principal::system()).await
    }

    pub(crate) async fn run_schedules_as(&self, who: &Principal) -> Result<usize> {
        self.take_schedules_back(who).await?;
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
                if let Err(error) = self.fire(who, &schedule).await {
                    if error.is_lease_lost() {
                        return Err(error);
                    }
                    warn!(schedule = %schedule.name, error = %with_causes(&error), "a schedule could not be fired");
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
                if let Err(error) = self.begin_run(who, key).await {
                    if error.is_lease_lost() {
                        return Err(error);
                    }
                    warn!(run = %key, error = %with_causes(&error), "a scheduled run could not be begun");
                    first_error.get_or_insert(error);
                }
            }
        }
    }

    /// Fires one schedule as it was read. Whom it is for is looked up before the transaction, which stays short.
    async fn fire(&self, who: &Principal, schedule: &Schedule) -> Result<()> {
        let times = match times(&schedule.cron, &schedule.time_zone) {
            Ok(times) => times,
            Err(error) => return self.pause_unreadable(who, schedule, &error).await,
        };
        let found = self.environments_of(&schedule.target).await;
        let environments = match &found {
            Ok(environments) => environments.as_slice(),
            Err(ManagerError::Store(_)) => return found.map(|_| ()),
            // Too many, or its selector means nothing any more: nobody is run, and that is said.
            Err(_) => &[],
        };
        let bounds = Bounds { grace: self.config.schedules.grace, runs: MOST_RUNS, times: MOST_TIMES };
        let Some(firing) = fire(schedule, &times, environments, self.now(), &bounds) else { return Ok(()) };
        let mut work = self.begin(who).await?;
        let locked = work.tx.lock_schedule(schedule.id).await?;
        if !locked.is_some_and(|now| is_same(schedule, &now)) {
            return Ok(());
        }
        let row = &firing.schedule;
        work.tx.put_schedule(row).await?;
        for run in &firing.runs {
            work.tx.add_schedule_run(run).await?;
        }
        let data = outbox::fired(row, &firing.due.fire, firing.due.left_out, environments.len());
        work.common_event(outbox::SCHEDULE_FIRED, data).await?;
        work.attend_to_delay(row, firing.due.last, firing.delay).await?;
        work.attend_to_left_out(row, &firing.due, found.err()).await?;
        work.commit(Point::ScheduleFire).await
    }

    /// The line or the zone was good when it was stored: the zone database has changed under it. Nobody may wait for
    /// times that never come, so the schedule stops visibly.
    async fn pause_unreadable(
        &self,
        who: &Principal,
        schedule: &Schedule,
        error: &ManagerError,
    ) -> Result<()> {
        let mut work = self.begin(who).await?;
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
