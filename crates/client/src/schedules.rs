//! Schedules and their runs.

use crate::{Call, Client, Result};
use reqwest::Method;
use tenantry_api_types::v1::{
    AskSchedule, AskedRuns, BackfillSchedule, CreateSchedule, List, PageQuery, PauseSchedule, PreviewQuery,
    Schedule, SchedulePreview, ScheduleRun, UpdateSchedule,
};
use tenantry_model::ScheduleName;

fn path(name: &ScheduleName) -> String {
    format!("v1/schedules/{name}")
}

impl Client {
    /// One page of schedules, by name.
    pub async fn schedules(&self, page: &PageQuery) -> Result<List<Schedule>> {
        self.get("v1/schedules", page).await
    }
    /// One schedule.
    pub async fn schedule(&self, name: &ScheduleName) -> Result<Schedule> {
        self.get(&path(name), &()).await
    }
    /// Makes a schedule.
    pub async fn create_schedule(&self, body: &CreateSchedule, call: &Call) -> Result<Schedule> {
        self.post("v1/schedules", body, call).await
    }
    /// Changes a schedule; needs its ETag.
    pub async fn update_schedule(
        &self,
        name: &ScheduleName,
        body: &UpdateSchedule,
        call: &Call,
    ) -> Result<Schedule> {
        let request = self.change(Method::PATCH, &path(name), Some(body), call)?;
        self.json(&self.send(&request).await?)
    }
    /// Removes a schedule; needs its ETag.
    pub async fn delete_schedule(&self, name: &ScheduleName, call: &Call) -> Result<()> {
        self.send(&self.change(Method::DELETE, &path(name), None::<&()>, call)?).await.map(|_| ())
    }
    /// Holds back its times.
    pub async fn pause_schedule(
        &self,
        name: &ScheduleName,
        body: &PauseSchedule,
        call: &Call,
    ) -> Result<Schedule> {
        self.post(&format!("{}:pause", path(name)), body, call).await
    }
    /// Lets it go on with its next time.
    pub async fn resume_schedule(
        &self,
        name: &ScheduleName,
        body: &AskSchedule,
        call: &Call,
    ) -> Result<Schedule> {
        self.post(&format!("{}:resume", path(name)), body, call).await
    }
    /// Runs it now.
    pub async fn run_schedule(
        &self,
        name: &ScheduleName,
        body: &AskSchedule,
        call: &Call,
    ) -> Result<AskedRuns> {
        self.post(&format!("{}:run", path(name)), body, call).await
    }
    /// Runs past times.
    pub async fn backfill_schedule(
        &self,
        name: &ScheduleName,
        body: &BackfillSchedule,
        call: &Call,
    ) -> Result<AskedRuns> {
        self.post(&format!("{}:backfill", path(name)), body, call).await
    }
    /// Its next times.
    pub async fn preview_schedule(
        &self,
        name: &ScheduleName,
        query: &PreviewQuery,
    ) -> Result<SchedulePreview> {
        self.get(&format!("{}:preview", path(name)), query).await
    }
    /// One page of its runs, the newest time first.
    pub async fn schedule_runs(&self, name: &ScheduleName, page: &PageQuery) -> Result<List<ScheduleRun>> {
        self.get(&format!("{}/runs", path(name)), page).await
    }
}
