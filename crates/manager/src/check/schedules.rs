//! Schedules and their runs: each run against its operation, each operation of a schedule against its run, each firing
//! against what it left, and whether anybody still comes when a time comes.

use super::{Checked, Checker, RESTORE};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::{
    ActorKind, EnvironmentId, Operation, Page, RunState, Schedule, ScheduleId, ScheduleName, ScheduleRun,
};
use tenantry_schedule::next_to_begin;
use tenantry_store::{EventFilter, EventRecord, Read, RunKey};

/// Runs of one environment, and due ones of all schedules, that are looked at.
const RUNS: u32 = 10_000;
/// A firing that is later than this although something else was done meanwhile is nobody's business any more. The
/// loop comes every few seconds; a manager that was away does it first.
const LATE: SignedDuration = SignedDuration::from_mins(10);

const REMEDY: &str = "look at its operation: tenantry op get ID; run the time again if it has none: tenantry schedule \
                      backfill NAME --from … --until … --reason …; keep a copy of the data folder and report it";

/// What the newest firing of a schedule said that it left.
pub(super) struct Fired {
    times: Vec<Timestamp>,
    environments: u64,
}

impl Fired {
    /// Of a schedule, as the event of its firing says.
    pub(super) fn of(event: &EventRecord) -> Option<(ScheduleId, Self)> {
        let id = serde_json::from_value(event.data.get("schedule")?.clone()).ok()?;
        let times = serde_json::from_value(event.data.get("times")?.clone()).ok()?;
        let environments = event.data.get("environments").and_then(Value::as_u64)?;
        Some((id, Self { times, environments }))
    }
}

impl Checker<'_> {
    pub(super) async fn schedules(&mut self) -> Checked {
        self.begin("schedules");
        let schedules = self.manager.store.read().await?.schedules().await?;
        for schedule in schedules {
            self.next_time(&schedule).await?;
            self.runs(&schedule).await?;
            self.count().await?;
        }
        let mut read = self.manager.store.read().await?;
        for run in read.due_schedule_runs(RUNS).await? {
            if read.schedule(run.schedule).await?.is_none() {
                let message = format!("it is due, and its schedule {} does not exist", run.schedule);
                self.error("schedule-run", row(&run), message, RESTORE).await?;
            }
        }
        Ok(())
    }

    /// Whether its next time follows from the newest that has come, and somebody comes for it.
    async fn next_time(&mut self, seen: &Schedule) -> Checked {
        let mut read = self.manager.store.read().await?;
        // Together with the newest event, of which the next time must not lie far behind.
        let Some(schedule) = read.schedule(seen.id).await? else { return Ok(()) };
        let newest = read.last_event().await?;
        let active = read.events(&EventFilter::default(), newest.saturating_sub(1), 1).await?;
        drop(read);
        let row = format!("schedule {}", schedule.name);
        if schedule.paused.is_some() && schedule.next_time.is_some() {
            let message = "it is paused and has a next time".to_owned();
            self.error("schedule-next", row.clone(), message, RESTORE).await?;
        }
        let Some(next) = schedule.next_time else { return Ok(()) };
        if let Some(last) = schedule.last_time.filter(|last| *last >= next) {
            let message = format!("its next time is {next}, and {last} has come already");
            self.error("schedule-next", row.clone(), message, RESTORE).await?;
        }
        if let Some(active) = active.first().map(|event| event.at)
            && active.duration_since(next) > LATE
        {
            let message = format!(
                "its time {next} came and nobody fired it, although a manager was at work at {active}"
            );
            let remedy = "read the manager's log; tenantry schedule pause NAME --reason … and resume it begin anew, \
                          backfill runs what was left out";
            self.error("schedule-behind", row, message, remedy).await?;
        }
        Ok(())
    }

    async fn runs(&mut self, schedule: &Schedule) -> Checked {
        let fired = self.fired.remove(&schedule.id);
        let mut left: BTreeMap<Timestamp, u64> = BTreeMap::new();
        let mut open: BTreeSet<EnvironmentId> = BTreeSet::new();
        let mut page = Page { after: None, limit: 500 };
        loop {
            let mut read = self.manager.store.read().await?;
            let part = read.schedule_runs(schedule.id, &page).await?;
            for run in &part.items {
                *left.entry(run.scheduled_time).or_default() += 1;
                if !matches!(run.state, RunState::Ended | RunState::Skipped) {
                    open.insert(run.environment);
                }
                self.run(&mut *read, run).await?;
            }
            match part.next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        for environment in open {
            let mut read = self.manager.store.read().await?;
            let waiting = read.open_schedule_runs(schedule.id, environment, RUNS).await?;
            if let Some(next) = next_to_begin(&waiting) {
                let message = "it waits, and nothing is left that it waits for".to_owned();
                let remedy =
                    "the next run of the schedule brings it on: tenantry schedule run NAME --reason …";
                self.error("schedule-queue", row(next), message, remedy).await?;
            }
        }
        self.left(schedule, fired, &left).await
    }

    /// What fired has a row for each environment, unless it is so old that its rows are gone.
    async fn left(
        &mut self,
        schedule: &Schedule,
        fired: Option<Fired>,
        left: &BTreeMap<Timestamp, u64>,
    ) -> Checked {
        let Some(fired) = fired else { return Ok(()) };
        let kept = self.manager.now().checked_sub(self.manager.config.schedules.run_retention).ok();
        // It may have been deleted, with what had not begun, since it was read.
        if self.manager.store.read().await?.schedule(schedule.id).await?.is_none() {
            return Ok(());
        }
        for at in fired.times.iter().filter(|at| kept.is_none_or(|kept| **at > kept)) {
            let found = left.get(at).copied().unwrap_or_default();
            if found < fired.environments {
                let message = format!(
                    "{at} fired for {} environment(s), and {found} of them have a run",
                    fired.environments
                );
                self.error("schedule-record", format!("schedule {}", schedule.name), message, REMEDY).await?;
            }
        }
        Ok(())
    }

    async fn run(&mut self, read: &mut dyn Read, run: &ScheduleRun) -> Checked {
        let operation = match run.operation {
            Some(id) => read.operation(id).await?,
            None => None,
        };
        let (begun, goes_on) = match run.state {
            RunState::Due | RunState::Waiting | RunState::Skipped => (false, false),
            RunState::Requested => (true, true),
            RunState::Ended => (true, false),
        };
        let mut wrong = Vec::new();
        if begun != run.operation.is_some() {
            wrong.push(format!("it is {:?}, and its operation is {:?}", run.state, run.operation));
        }
        match &operation {
            // Of one that has ended the operation may have been removed since.
            None if goes_on => wrong.push("it was requested, and its operation does not exist".to_owned()),
            Some(operation) if operation.state.is_final() == goes_on => {
                wrong.push(format!(
                    "it is {:?}, and operation {} is {:?}",
                    run.state, operation.id, operation.state
                ));
            }
            Some(operation)
                if (operation.environment, operation.scheduled_time)
                    != (run.environment, Some(run.scheduled_time)) =>
            {
                wrong.push(format!("operation {} is for another environment or time", operation.id));
            }
            None | Some(_) => {}
        }
        if run.state == RunState::Skipped && run.note.is_none() {
            wrong.push("it was skipped without a reason".to_owned());
        }
        for message in wrong {
            self.error("schedule-run", row(run), message, REMEDY).await?;
        }
        Ok(())
    }

    /// From the other side: what a schedule has requested is the operation of a run, and of one only.
    pub(super) async fn scheduled(&mut self, read: &mut dyn Read, operation: &Operation) -> Checked {
        let by = &operation.requested_by;
        let name = by.name.strip_prefix("schedule ").filter(|_| by.kind == ActorKind::System);
        let (Some(at), Some(name)) = (operation.scheduled_time, name) else { return Ok(()) };
        if read.schedule_run_of(operation.id).await?.is_some() {
            return Ok(());
        }
        let place = format!("operation {}", operation.id);
        let schedule = match name.parse::<ScheduleName>() {
            Ok(name) => read.schedule_by_name(&name).await?,
            Err(_) => None,
        };
        if let Some(schedule) = schedule {
            let key =
                RunKey { schedule: schedule.id, environment: operation.environment, scheduled_time: at };
            let other = read.schedule_run(&key).await?.and_then(|run| run.operation);
            if let Some(other) = other {
                let message = format!("schedule {name} requested it for {at}, and {other} for the same time");
                return self.error("schedule-twice", place, message, REMEDY).await;
            }
        }
        if !operation.state.is_final() {
            let message = format!("schedule {name} requested it for {at}, and no run knows of it");
            self.error("schedule-run", place, message, REMEDY).await?;
        }
        Ok(())
    }
}

fn row(run: &ScheduleRun) -> String {
    format!("schedule run {}", RunKey::of(run))
}
