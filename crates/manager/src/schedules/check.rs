//! What a schedule must keep to, and what its line and its target mean.

use super::{MOST_RUNS, MOST_SCHEDULES};
use crate::definitions::{RESERVED, meaning};
use crate::error::{ManagerError, Result};
use crate::work::Work;
use crate::{Manager, Target, schema};
use serde_json::Value;
use tenantry_hook::Selector;
use tenantry_model::{Environment, EnvironmentId, EnvironmentState, Page, Schedule, ScheduleTarget};
use tenantry_mutants::{self as mutants, Mutant};
use tenantry_schedule::{CronLine, Times, zone};
use tenantry_store::{EnvironmentFilter, Read};

/// What of `lifecycle.` may be scheduled: what needs no arguments and can be undone.
const SCHEDULABLE: [&str; 4] =
    ["lifecycle.backup", "lifecycle.resume", "lifecycle.suspend", "lifecycle.upsert"];

/// The times of a line in a zone.
pub(super) fn times(cron: &str, time_zone: &str) -> Result<Times> {
    let line: CronLine = cron.parse().map_err(ManagerError::Cron)?;
    let zone = zone(time_zone).map_err(ManagerError::TimeZone)?;
    Ok(Times::new(line, zone))
}

impl Manager {
    /// The times of a line that is in no schedule: what `preview` shows before one is made.
    pub fn times_of(cron: &str, time_zone: &str) -> Result<Times> {
        times(cron, time_zone)
    }

    /// What a caller must be allowed to act on to change a schedule with this target.
    pub async fn target_of(&self, target: &ScheduleTarget) -> Result<Target> {
        Ok(match target {
            ScheduleTarget::Environment(id) => {
                let environment = self.store.read().await?.environment(*id).await?;
                Target::of(&environment.ok_or_else(|| ManagerError::not_found("environment", id))?)
            }
            ScheduleTarget::Selector { tenant: Some(tenant), region: Some(region), .. } => {
                Target::Environment { tenant: tenant.clone(), region: region.clone() }
            }
            ScheduleTarget::Selector { tenant: Some(tenant), .. } => Target::Tenant(tenant.clone()),
            ScheduleTarget::Selector { region: Some(region), .. } => Target::Region(region.clone()),
            ScheduleTarget::Selector { .. } => Target::Installation,
        })
    }

    /// The environments for which a time runs now.
    pub(super) async fn environments_of(&self, target: &ScheduleTarget) -> Result<Vec<EnvironmentId>> {
        match target {
            ScheduleTarget::Environment(id) => Ok(vec![*id]),
            ScheduleTarget::Selector { tenant, region, labels, cap } => {
                let filter = EnvironmentFilter {
                    tenant: tenant.clone(),
                    region: region.clone(),
                    ..EnvironmentFilter::default()
                };
                self.matching(&filter, labels, *cap).await
            }
        }
    }

    async fn matching(
        &self,
        filter: &EnvironmentFilter,
        labels: &str,
        cap: u32,
    ) -> Result<Vec<EnvironmentId>> {
        let selector = selector(labels)?;
        let mut read = self.store.read().await?;
        let mut page = Page { after: None, limit: 1000 };
        let mut found = Vec::new();
        loop {
            let part = read.environments(filter, &page).await?;
            let matches =
                |environment: &&Environment| can_run(environment) && selector.matches(&environment.labels);
            found.extend(part.items.iter().filter(matches).map(|environment| environment.id));
            if part.next.is_none() {
                let count = found.len();
                let fits =
                    u32::try_from(count).is_ok_and(|count| count <= cap) || mutants::on(Mutant::CapIgnored);
                return if fits {
                    Ok(found)
                } else {
                    Err(ManagerError::ScheduleTooWide { matched: count, cap })
                };
            }
            page.after = part.next;
        }
    }
}

/// One that is torn down is nobody's target.
pub(super) fn can_run(environment: &Environment) -> bool {
    !matches!(environment.state, EnvironmentState::Decommissioned | EnvironmentState::Purged)
}

fn selector(labels: &str) -> Result<Selector> {
    labels.parse().map_err(|error| ManagerError::field("/target/selector/labels", format!("{error}")))
}

impl Work<'_> {
    /// Everything that can be wrong with a schedule, but its name being taken.
    pub(super) async fn check_schedule(&mut self, schedule: &Schedule) -> Result<Times> {
        let times = times(&schedule.cron, &schedule.time_zone)?;
        if schedule.description.chars().count() > 1000 {
            return Err(ManagerError::field("/description", "must have at most 1000 characters"));
        }
        let name = schedule.operation.as_str();
        if name.starts_with(RESERVED) && !SCHEDULABLE.contains(&name) && !mutants::on(Mutant::EndScheduled) {
            let message =
                format!("{name} cannot be scheduled; of {RESERVED}* only {}", SCHEDULABLE.join(", "));
            return Err(ManagerError::field("/operation", message));
        }
        let found = meaning(&mut *self.tx, &schedule.operation).await?;
        let definition =
            found.ok_or_else(|| ManagerError::not_found("operation definition", &schedule.operation))?;
        let parameters = Value::Object(schedule.parameters.clone());
        let (size, limit) = (parameters.to_string().len(), self.manager.config.max_parameters_bytes);
        if size > limit {
            return Err(ManagerError::TooLarge { what: "parameters", size, limit });
        }
        if let Some(rules) = &definition.parameters {
            let what = format!("the schema of the parameters of {name}");
            schema::check(&schema::compile(&what, rules)?, &parameters, "/parameters")?;
        }
        self.check_target(&schedule.target).await?;
        Ok(times)
    }

    async fn check_target(&mut self, target: &ScheduleTarget) -> Result<()> {
        match target {
            ScheduleTarget::Environment(id) => match self.tx.environment(*id).await? {
                Some(_) => Ok(()),
                None => Err(ManagerError::not_found("environment", id)),
            },
            ScheduleTarget::Selector { tenant, region, labels, cap } => {
                selector(labels)?;
                if *cap == 0 || usize::try_from(*cap).map_or(true, |cap| cap > MOST_RUNS) {
                    let message = format!("must be 1 to {MOST_RUNS}");
                    return Err(ManagerError::field("/target/selector/cap", message));
                }
                if let Some(tenant) = tenant
                    && self.tx.tenant(tenant).await?.is_none()
                {
                    return Err(ManagerError::not_found("tenant", tenant));
                }
                if let Some(region) = region
                    && self.tx.region(region).await?.is_none()
                {
                    return Err(ManagerError::not_found("region", region));
                }
                Ok(())
            }
        }
    }

    pub(super) async fn check_count(&mut self) -> Result<()> {
        if self.tx.schedules().await?.len() < MOST_SCHEDULES {
            return Ok(());
        }
        let message =
            format!("there are {MOST_SCHEDULES} schedules already: let one run for several environments");
        Err(ManagerError::field("/name", message))
    }
}

/// The schedule of this name, or that there is none.
pub(super) async fn named(
    read: &mut (dyn Read + '_),
    name: &tenantry_model::ScheduleName,
) -> Result<Schedule> {
    read.schedule_by_name(name).await?.ok_or_else(|| ManagerError::not_found("schedule", name))
}
