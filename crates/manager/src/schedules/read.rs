//! Reading schedules, their runs and their next times.

use super::Occurrence;
use super::check::{named, times};
use crate::{Manager, Principal, Result};
use jiff::Timestamp;
use tenantry_model::{Page, Paged, Role, Schedule, ScheduleName, ScheduleRun};

/// Most times that a preview shows.
const MOST_SHOWN: u32 = 1000;

impl Manager {
    /// One schedule.
    pub async fn schedule(&self, name: &ScheduleName) -> Result<Schedule> {
        named(&mut *self.store.read().await?, name).await
    }

    /// The schedules that the caller may see, by name.
    pub async fn schedules(&self, who: &Principal) -> Result<Vec<Schedule>> {
        let all = self.store.read().await?.schedules().await?;
        if who.filter().is_none() {
            return Ok(all);
        }
        let mut seen = Vec::new();
        for schedule in all {
            // A schedule of an environment that is no more is its owner's no more either.
            if let Ok(target) = self.target_of(&schedule.target).await
                && who.may(Role::Viewer, &target)
            {
                seen.push(schedule);
            }
        }
        Ok(seen)
    }

    /// Runs of a schedule, the newest time first.
    pub async fn schedule_runs(&self, name: &ScheduleName, page: &Page) -> Result<Paged<ScheduleRun>> {
        let mut read = self.store.read().await?;
        let schedule = named(&mut *read, name).await?;
        Ok(read.schedule_runs(schedule.id, page).await?)
    }

    /// The next `count` times (at most 1,000) after `after`, or after now; as if the schedule was not paused.
    pub async fn preview_schedule(
        &self,
        name: &ScheduleName,
        after: Option<Timestamp>,
        count: u32,
    ) -> Result<(Schedule, Vec<Occurrence>)> {
        let schedule = self.schedule(name).await?;
        let count = usize::try_from(count.clamp(1, MOST_SHOWN)).unwrap_or_default();
        let after = after.unwrap_or_else(|| self.now());
        let shown = times(&schedule.cron, &schedule.time_zone)?.after(after).take(count).collect();
        Ok((schedule, shown))
    }
}
