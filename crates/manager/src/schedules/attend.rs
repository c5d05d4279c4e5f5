//! What schedules tell people: late, skipped, at risk, missed. Each has the command that resolves it.

use crate::error::{ManagerError, Result};
use crate::work::Work;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tenantry_engine::Raised;
use tenantry_model::{AttentionKind, Operation, Schedule, ScheduleRun};
use tenantry_schedule::{Due, Prediction};

/// Keys of attention: an equal key is the same cause.
pub(super) mod keys {
    use tenantry_model::{EnvironmentId, OperationId, ScheduleId};

    pub(in super::super) fn late(schedule: ScheduleId) -> String {
        format!("schedule-late/{schedule}")
    }
    pub(in super::super) fn clock(schedule: ScheduleId) -> String {
        format!("schedule-clock/{schedule}")
    }
    /// Times of the schedule that nobody got.
    pub(in super::super) fn left_out(schedule: ScheduleId) -> String {
        format!("schedule-skipped/{schedule}")
    }
    /// A time that one environment did not get.
    pub(in super::super) fn skipped(schedule: ScheduleId, environment: EnvironmentId) -> String {
        format!("schedule-skipped/{schedule}/{environment}")
    }
    pub(in super::super) fn at_risk(operation: OperationId) -> String {
        format!("deadline-at-risk/{operation}")
    }
    pub(in super::super) fn missed(operation: OperationId) -> String {
        format!("deadline-missed/{operation}")
    }
}

pub(super) fn raised(kind: AttentionKind, key: String, message: String, remedy: String) -> Raised {
    Raised { kind, key, step: None, region: None, message, remedy }
}

/// A time as people of the schedule's zone read it.
pub(super) fn local(at: Timestamp, schedule: Option<&Schedule>) -> String {
    let zone = schedule.and_then(|schedule| tenantry_schedule::zone(&schedule.time_zone).ok());
    at.to_zoned(zone.unwrap_or(TimeZone::UTC)).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

/// Whole minutes, for sentences.
fn minutes(time: SignedDuration) -> String {
    let minutes = time.as_mins();
    if minutes < 120 {
        format!("{minutes} min")
    } else {
        format!("{} h {:02} min", minutes / 60, minutes % 60)
    }
}

fn backfill(schedule: &Schedule, at: Timestamp) -> String {
    format!("tenantry schedule backfill {} --from {at} --until {at} --reason …", schedule.name)
}

impl Work<'_> {
    pub(super) async fn attend_to_delay(
        &mut self,
        schedule: &Schedule,
        at: Timestamp,
        delay: SignedDuration,
    ) -> Result<()> {
        let key = keys::late(schedule.id);
        if delay <= self.manager.config.schedules.grace {
            self.settle_attention(&keys::clock(schedule.id)).await?;
            return self.settle_attention(&key).await;
        }
        let message = format!(
            "schedule {} came to its time {} only {} later: no manager ran, or none could",
            schedule.name,
            local(at, Some(schedule)),
            minutes(delay)
        );
        let remedy = format!("tenantry schedule runs {} (its next time on time settles this)", schedule.name);
        self.raise_for(None, &raised(AttentionKind::ScheduleLate, key, message, remedy)).await
    }

    pub(super) async fn attend_to_left_out(
        &mut self,
        schedule: &Schedule,
        due: &Due,
        nobody: Option<ManagerError>,
    ) -> Result<()> {
        let key = keys::left_out(schedule.id);
        let (message, remedy) = match (nobody, due.left_out_until) {
            (Some(error), _) => (
                format!(
                    "schedule {} ran for nobody at {}: {error}",
                    schedule.name,
                    local(due.last, Some(schedule))
                ),
                format!(
                    "tenantry schedule update {} …, then: {}",
                    schedule.name,
                    backfill(schedule, due.last)
                ),
            ),
            (None, Some(until)) => (
                format!(
                    "{} time(s) of schedule {} up to {} came while no manager ran and were left out",
                    due.left_out,
                    schedule.name,
                    local(until, Some(schedule))
                ),
                backfill(schedule, until),
            ),
            (None, None) => return self.settle_attention(&key).await,
        };
        self.raise_for(None, &raised(AttentionKind::ScheduleSkipped, key, message, remedy)).await
    }

    pub(super) async fn raise_unreadable(&mut self, schedule: &Schedule, error: &ManagerError) -> Result<()> {
        let message = format!("schedule {} was paused: {error}", schedule.name);
        let remedy = format!(
            "tenantry schedule update {0} --cron … --time-zone …, then: tenantry schedule resume {0}",
            schedule.name
        );
        let key = keys::left_out(schedule.id);
        self.raise_for(None, &raised(AttentionKind::ScheduleSkipped, key, message, remedy)).await
    }

    /// A time that the locked environment did not get.
    pub(super) async fn raise_skipped(&mut self, schedule: &Schedule, run: &ScheduleRun) -> Result<()> {
        let why = run.note.as_deref().unwrap_or("no reason is known");
        let environment = self.environment()?;
        let message = format!(
            "{} of schedule {} was skipped for {}/{}: {why}",
            local(run.scheduled_time, Some(schedule)),
            schedule.name,
            environment.tenant,
            environment.name
        );
        let id = environment.id;
        let remedy = backfill(schedule, run.scheduled_time);
        let key = keys::skipped(schedule.id, id);
        let raised = raised(AttentionKind::ScheduleSkipped, key, message, remedy);
        self.raise_about(Some(id), None, &raised).await
    }

    pub(super) async fn raise_at_risk(
        &mut self,
        operation: &Operation,
        run: &ScheduleRun,
        prediction: &Prediction,
    ) -> Result<()> {
        let Some(deadline) = run.deadline_at else { return Ok(()) };
        let schedule = self.tx.schedule(run.schedule).await?;
        let path: Vec<String> = prediction.path.iter().take(10).map(|hook| hook.path().to_string()).collect();
        let message = format!(
            "{} will probably end at {}, {} after its deadline: still to come are {} (longest way, from {} past runs)",
            operation.name,
            local(prediction.ends_at, schedule.as_ref()),
            minutes(prediction.ends_at.duration_since(deadline)),
            path.join(" → "),
            prediction.runs
        );
        let remedy = format!(
            "tenantry op get {0} (then: tenantry op skip {0} … or tenantry op confirm {0} …)",
            operation.id
        );
        let raised = raised(AttentionKind::DeadlineAtRisk, keys::at_risk(operation.id), message, remedy);
        self.raise_for(Some((operation.environment, operation.id)), &raised).await
    }

    pub(super) async fn raise_missed(&mut self, operation: &Operation, run: &ScheduleRun) -> Result<()> {
        let Some(deadline) = run.deadline_at else { return Ok(()) };
        let schedule = self.tx.schedule(run.schedule).await?;
        let message = format!(
            "{} of {} should have ended by {}",
            operation.name,
            local(run.scheduled_time, schedule.as_ref()),
            local(deadline, schedule.as_ref())
        );
        let remedy = format!("tenantry op get {}", operation.id);
        let raised = raised(AttentionKind::DeadlineMissed, keys::missed(operation.id), message, remedy);
        self.raise_for(Some((operation.environment, operation.id)), &raised).await
    }
}
