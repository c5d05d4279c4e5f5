//! Runs that a person asks for: one now, or those of a range of past times.

use super::check::times;
use super::{AskedRun, Backfill, MOST_RUNS};
use crate::error::{ManagerError, Result};
use crate::operations::check_reason;
use crate::repeat::repeating;
use crate::work::{Note, Work};
use crate::{KeptAnswer, Manager, Principal};
use jiff::Timestamp;
use serde_json::{Value, json};
use tenantry_failpoints::Point;
use tenantry_model::{EnvironmentId, RunCause, Schedule, ScheduleName};
use tenantry_schedule::{Times, may_be_asked, new_run, past_times};
use tenantry_store::RunKey;

impl Manager {
    /// Runs a schedule's operation now, also while it is paused; its next time stays. With `validate_only` it only says
    /// for which environments.
    pub async fn run_schedule(
        &self,
        who: &Principal,
        name: &ScheduleName,
        reason: Option<String>,
        validate_only: bool,
    ) -> Result<Vec<AskedRun>> {
        check_reason(reason.as_deref())?;
        let schedule = self.schedule(name).await?;
        let environments = self.environments_of(&schedule.target).await?;
        repeating(|| async {
            let mut work = self.begin(who).await?;
            let schedule = work.same_schedule(&schedule).await?;
            let times = times(&schedule.cron, &schedule.time_zone)?;
            let now = work.now;
            let runs = work.ask_for(&schedule, &times, &environments, &[now], RunCause::Request).await?;
            if !validate_only {
                work.asked("schedule.run", &schedule, reason.as_deref(), &runs).await?;
                work.answer(KeptAnswer::Asked(runs.clone()), Point::ScheduleRunAsk).await?;
            }
            Ok(runs)
        })
        .await
    }

    /// Runs the times of a range that have passed, for the environments that match now, the earliest first and one
    /// after the other for each environment. What has a run already is left as it is, unless it was skipped.
    ///
    /// # Errors
    /// A range that has no time in the past, or more than a thousand runs.
    pub async fn backfill_schedule(
        &self,
        who: &Principal,
        name: &ScheduleName,
        backfill: Backfill,
    ) -> Result<Vec<AskedRun>> {
        check_reason(Some(&backfill.reason))?;
        let schedule = self.schedule(name).await?;
        let times = times(&schedule.cron, &schedule.time_zone)?;
        let environments = self.environments_of(&schedule.target).await?;
        let range = self.range(&times, &backfill, environments.len())?;
        repeating(|| async {
            let mut work = self.begin(who).await?;
            let schedule = work.same_schedule(&schedule).await?;
            let runs = work.ask_for(&schedule, &times, &environments, &range, RunCause::Backfill).await?;
            if !backfill.validate_only {
                work.asked("schedule.backfill", &schedule, Some(&backfill.reason), &runs).await?;
                work.answer(KeptAnswer::Asked(runs.clone()), Point::ScheduleBackfill).await?;
            }
            Ok(runs)
        })
        .await
    }

    /// The times of a range, `from` and `until` included.
    fn range(&self, times: &Times, backfill: &Backfill, environments: usize) -> Result<Vec<Timestamp>> {
        let Backfill { from, until, .. } = *backfill;
        if until < from {
            return Err(ManagerError::field("/until", "must not be before `from`"));
        }
        if from > self.now() {
            return Err(ManagerError::field("/from", "must have passed: the future is the schedule's own"));
        }
        let last = until.min(self.now());
        let most = MOST_RUNS / environments.max(1);
        let range = past_times(times, from, until, self.now(), most + 1);
        if range.len() > most {
            let message = format!(
                "the range has more than {MOST_RUNS} runs ({environments} environment(s), more than {most} times): \
                 take a part of it"
            );
            return Err(ManagerError::field("/until", message));
        }
        if range.is_empty() {
            let message = format!("the schedule has no time from {from} to {last}");
            return Err(ManagerError::field("/from", message));
        }
        Ok(range)
    }
}

impl Work<'_> {
    /// The schedule, locked, if it is still the one for which environments and times were looked up.
    async fn same_schedule(&mut self, seen: &Schedule) -> Result<Schedule> {
        let row = self.tx.lock_schedule(seen.id).await?;
        let row = row.ok_or_else(|| ManagerError::not_found("schedule", &seen.name))?;
        if row.revision != seen.revision {
            let what = format!("schedule {}", seen.name);
            return Err(ManagerError::Revision { what, present: row.revision, stated: seen.revision });
        }
        Ok(row)
    }

    /// Rows for every time and environment that has none, or was skipped.
    async fn ask_for(
        &mut self,
        schedule: &Schedule,
        times: &Times,
        environments: &[EnvironmentId],
        range: &[Timestamp],
        cause: RunCause,
    ) -> Result<Vec<AskedRun>> {
        let mut asked = Vec::with_capacity(range.len() * environments.len());
        for at in range {
            for environment in environments {
                let run = new_run(schedule, *environment, *at, cause, times.zone(), self.now);
                let key = RunKey::of(&run);
                let before = self.tx.schedule_run(&key).await?;
                asked.push(AskedRun::of(key, before.as_ref()));
                if may_be_asked(before.map(|before| before.state)) {
                    self.tx.put_schedule_run(&run).await?;
                }
            }
        }
        Ok(asked)
    }

    async fn asked(
        &mut self,
        action: &str,
        schedule: &Schedule,
        reason: Option<&str>,
        runs: &[AskedRun],
    ) -> Result<()> {
        self.wakes_schedules = true;
        let mut new = runs.iter().filter(|run| run.is_new()).map(|run| run.scheduled_time);
        let (first, last) = (new.clone().min(), new.clone().max());
        let after = json!({ "runs": new.by_ref().count(), "from": first, "until": last });
        let target = format!("schedules/{}", schedule.name);
        self.audit(Note { action, target, reason, before: Value::Null, after }).await
    }
}
