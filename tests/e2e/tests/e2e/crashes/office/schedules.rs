//! Schedules: one whose time comes in this life, one that is asked for by hand and changed, and what cannot run.

use super::desk::{Desk, from};
use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use tenantry_api_types::v1::{PageQuery, Schedule, ScheduleRun};
use tenantry_client::Call;
use tenantry_model::{AttentionKind, EnvironmentId, OperationState, RunState, ScheduleName};

/// Its time comes once.
const TIMED: &str = "timed";
/// Its time comes at New Year.
const ASKED: &str = "asked";
/// For an environment that is no more.
const GONE: &str = "gone";

pub fn begin(desk: &mut Desk) -> Result<()> {
    // The next full minute, unless it is all but here.
    let soon = (Timestamp::now() + SignedDuration::from_secs(65)).to_zoned(TimeZone::UTC);
    let clock = desk.clock()?;
    create(desk, TIMED, clock, "team.tick", &soon.strftime("%M %H %d %m *").to_string())?;
    let night = desk.night()?;
    create(desk, ASKED, night, "team.night", "0 0 1 1 *")?;
    update(desk, json!({ "description": "by hand", "deadline": "1s" }))?;
    let (schedule, body) = (name(ASKED)?, from(json!({ "reason": "not yet" }))?);
    desk.ask(move |client| async move { client.pause_schedule(&schedule, &body, &Call::default()).await })?;
    let (schedule, body) = (name(ASKED)?, from(json!({}))?);
    desk.ask(move |client| async move { client.resume_schedule(&schedule, &body, &Call::default()).await })
        .map(drop)
}

/// A run stays at work, another one waits for it.
pub fn before_a_restart(desk: &mut Desk) -> Result<()> {
    run(desk, ASKED)?;
    desk.until("a run at work", |desk| {
        let runs = runs(desk, ASKED)?;
        Ok(runs.iter().find(|run| run.state == RunState::Requested).map(drop))
    })?;
    let (schedule, body) = (
        name(ASKED)?,
        from(json!({
            "from": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z", "reason": "it was left out"
        }))?,
    );
    desk.ask(move |client| async move { client.backfill_schedule(&schedule, &body, &Call::default()).await })
        .map(drop)
}

/// The run at work has missed its deadline; then both end.
pub fn after_a_restart(desk: &mut Desk) -> Result<()> {
    desk.until("a deadline that is missed", |desk| {
        Ok(runs(desk, ASKED)?.iter().find(|run| run.missed).map(drop))
    })?;
    desk.until_raised(AttentionKind::DeadlineMissed)?;
    desk.open_gate("night")?;
    until_all_ended(desk, ASKED, 2)?;
    update(desk, json!({ "deadline": null }))
}

/// A schedule for an environment that is decommissioned: its run is left out, and somebody is told.
pub fn of_what_is_no_more(desk: &mut Desk, environment: EnvironmentId) -> Result<()> {
    create(desk, GONE, environment, "team.night", "0 0 1 1 *")?;
    run(desk, GONE)?;
    until_skipped(desk, GONE)?;
    delete(desk, GONE)
}

/// What its environment refuses is left out, and can be run afterwards; then there are no schedules any more.
pub fn end(desk: &mut Desk) -> Result<()> {
    let night = desk.night()?;
    for suspend in [true, false] {
        let body = from(json!({ "reason": "an audit" }))?;
        let accepted = desk.ask(move |client| async move {
            let call = Call::default();
            if suspend {
                client.suspend(night, &body, &call).await
            } else {
                client.resume(night, &body, &call).await
            }
        })?;
        desk.until_ended(accepted.operation.context("an operation")?.id, OperationState::Succeeded)?;
        run(desk, ASKED)?;
        if suspend {
            until_skipped(desk, ASKED)?;
        }
    }
    until_all_ended(desk, ASKED, 4)?;
    until_all_ended(desk, TIMED, 1)?;
    Ok(())
}

/// Removes the schedules that are left.
pub fn remove(desk: &mut Desk) -> Result<()> {
    delete(desk, TIMED)?;
    delete(desk, ASKED)
}

/// A schedule and its runs, without ids and times.
pub fn rows(desk: &mut Desk) -> Result<Vec<String>> {
    let mut rows = Vec::new();
    for which in [TIMED, ASKED] {
        let schedule = get(desk, which)?;
        rows.push(format!(
            "schedule {which}: {} {:?} {:?}",
            schedule.description, schedule.paused, schedule.deadline
        ));
        let mut runs = runs(desk, which)?;
        runs.sort_by_key(|run| run.created_at);
        rows.extend(runs.iter().map(|run| {
            format!("  {:?} {:?} {} {}", run.cause, run.state, run.operation.is_some(), run.missed)
        }));
    }
    Ok(rows)
}

fn name(text: &str) -> Result<ScheduleName> {
    Ok(text.parse()?)
}

fn create(
    desk: &mut Desk,
    name: &str,
    environment: EnvironmentId,
    operation: &str,
    cron: &str,
) -> Result<()> {
    let body = from(json!({
        "name": name, "operation": operation, "target": {"environment": environment},
        "cron": cron, "timeZone": "UTC"
    }))?;
    desk.ask(move |client| async move { client.create_schedule(&body, &Call::default()).await }).map(drop)
}

fn get(desk: &mut Desk, which: &str) -> Result<Schedule> {
    let schedule = name(which)?;
    desk.ask(move |client| async move { client.schedule(&schedule).await })
}

fn update(desk: &mut Desk, change: Value) -> Result<()> {
    let call = Call::if_match(get(desk, ASKED)?.etag);
    let (schedule, body) = (name(ASKED)?, from(change)?);
    desk.ask(move |client| async move { client.update_schedule(&schedule, &body, &call).await }).map(drop)
}

fn delete(desk: &mut Desk, which: &str) -> Result<()> {
    // Its next time moves when it fires.
    let call = Call::if_match(get(desk, which)?.etag);
    let schedule = name(which)?;
    desk.ask(move |client| async move { client.delete_schedule(&schedule, &call).await })
}

fn run(desk: &mut Desk, which: &str) -> Result<()> {
    let (schedule, body) = (name(which)?, from(json!({ "reason": "now" }))?);
    let asked =
        desk.ask(move |client| async move { client.run_schedule(&schedule, &body, &Call::default()).await })?;
    ensure!(asked.runs.len() == 1, "{asked:?}");
    Ok(())
}

fn runs(desk: &mut Desk, which: &str) -> Result<Vec<ScheduleRun>> {
    let schedule = name(which)?;
    let runs =
        desk.ask(move |client| async move { client.schedule_runs(&schedule, &PageQuery::default()).await })?;
    Ok(runs.items)
}

fn until_skipped(desk: &mut Desk, which: &str) -> Result<()> {
    desk.until("a run that is left out", |desk| {
        Ok(runs(desk, which)?.iter().find(|run| run.state == RunState::Skipped).map(drop))
    })?;
    desk.until_raised(AttentionKind::ScheduleSkipped)
}

/// So many runs, which have ended or were left out.
fn until_all_ended(desk: &mut Desk, which: &str, count: usize) -> Result<()> {
    desk.until(&format!("the end of all runs of {which}"), |desk| {
        let runs = runs(desk, which)?;
        ensure!(runs.len() <= count, "a time ran twice: {runs:?}");
        let over = |run: &&ScheduleRun| matches!(run.state, RunState::Ended | RunState::Skipped);
        Ok((runs.iter().filter(over).count() == count).then_some(()))
    })
}
