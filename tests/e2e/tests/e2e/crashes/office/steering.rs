//! An operator steers: pause, hold, kill, rerun, skip, replay; and a region stands still for a while.

use super::desk::{Desk, from, step_of};
use super::{REGION, schedules};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::json;
use tenantry_client::{Call, OperationVerb, StepVerb};
use tenantry_model::{AttemptState, AttentionKind, OperationId, OperationState, StepState};

pub fn all(desk: &mut Desk) -> Result<()> {
    let first = steered(desk)?;
    replayed(desk, first)?;
    never_started(desk)?;
    silent(desk)?;
    // Last: it is looked at twice in a minute.
    schedules::after_a_restart(desk)
}

/// Paused and resumed, held far ahead, killed and run again.
fn steered(desk: &mut Desk) -> Result<OperationId> {
    let prod = desk.prod()?;
    let id = desk.run(prod, "team.work")?;
    desk.until_running(id, "slow", 1)?;
    desk.steer_operation(id, OperationVerb::Pause(from(json!({ "reason": "a moment" }))?))?;
    desk.until_raised(AttentionKind::OperationPaused)?;
    desk.steer_operation(id, OperationVerb::Resume(from(json!({}))?))?;

    let far = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 60);
    desk.steer(id, "next", StepVerb::Hold(from(json!({ "until": far }))?))?;
    // A manager that starts looks at what is far ahead, at deadlines, and at what is old.
    schedules::before_a_restart(desk)?;
    desk.restart_manager()?;
    desk.steer(id, "next", StepVerb::Release(from(json!({}))?))?;

    desk.steer(id, "slow", StepVerb::Kill(from(json!({}))?))?;
    desk.until_waiting(id, "slow")?;
    let killed = desk.until_of(id, "the killed attempt", |operation| {
        step_of(operation, "slow")?.attempts.last().map(|attempt| attempt.state)
    })?;
    ensure!(killed == AttemptState::Killed, "{killed:?}");
    desk.until_raised(AttentionKind::StepWaiting)?;
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    desk.steer(id, "next", StepVerb::Hold(from(json!({ "until": soon }))?))?;
    desk.steer(id, "slow", StepVerb::rerun())?;
    desk.until_running(id, "slow", 2)?;
    desk.open_gate("slow")?;
    // The hold ends by itself.
    desk.until_ended(id, OperationState::Succeeded)?;
    desk.close_gate("slow")?;
    Ok(id)
}

/// The last step alone, once more.
fn replayed(desk: &mut Desk, first: OperationId) -> Result<()> {
    let from_step = format!("{REGION}/team/next");
    let body = from(json!({ "reason": "the report was lost", "from": [from_step] }))?;
    let again = desk.ask(move |client| async move { client.replay(first, &body, &Call::default()).await })?;
    desk.until_ended(again.operation.context("an operation")?.id, OperationState::Succeeded)
}

/// What it needs is not there: nothing runs, and somebody leaves it out.
fn never_started(desk: &mut Desk) -> Result<()> {
    let prod = desk.prod()?;
    let id = desk.run(prod, "team.broken")?;
    desk.until_waiting(id, "broken")?;
    desk.steer(id, "broken", StepVerb::skip())?;
    desk.until_ended(id, OperationState::Succeeded)
}

/// The agent stands still while a hook is at work, for longer than the manager bears; then it goes on.
fn silent(desk: &mut Desk) -> Result<()> {
    let prod = desk.prod()?;
    let id = desk.run(prod, "team.work")?;
    desk.until_running(id, "slow", 1)?;
    desk.until("an agent that stands still", |desk| {
        // It may just have ended at a failpoint.
        desk.site.revive()?;
        Ok(desk.site.signal_agent(REGION, Signal::STOP).ok())
    })?;
    desk.until_raised(AttentionKind::RegionSilent)?;
    desk.until_of(id, "an attempt that nobody knows of", |operation| {
        step_of(operation, "slow")?.attempts.last()?.unknown_since.map(drop)
    })?;
    desk.site.signal_agent(REGION, Signal::CONT)?;
    desk.until_of(id, "an attempt that is known again", |operation| {
        let attempt = step_of(operation, "slow")?.attempts.last()?;
        (attempt.unknown_since.is_none() && attempt.state == AttemptState::Running).then_some(())
    })?;
    desk.open_gate("slow")?;
    desk.until_ended(id, OperationState::Succeeded)?;
    desk.until_of(id, "its steps", |operation| {
        (step_of(operation, "next")?.state == StepState::Succeeded).then_some(())
    })?;
    desk.close_gate("slow")
}
