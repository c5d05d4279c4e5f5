//! What a bridge says and gets: the commands of its one step, until that is settled.

use super::discovery::is_over;
use super::rounds::next_round;
use super::{bridge, ended, missing_key, rounds_of};
use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::wait::Waiter;
use crate::work::{Note, Work};
use crate::{LogPiece, Manager, OpenAttempt};
use jiff::SignedDuration;
use serde_json::json;
use std::time::Duration;
use tenantry_api_types::bridge::{StepEnd, StepRef, WorkflowEnd, WorkflowRef};
use tenantry_engine::Event;
use tenantry_failpoints::Point;
use tenantry_model::{
    Actor, ActorKind, AttemptId, CommandId, HookRef, Observation, Operation, OperationState, Step, StepState,
};
use tenantry_store::{BridgeRow, Command, Read, WorkflowEnded, WorkflowRow};

/// A bridge's `seen_at` is stored at most this often: it is a heartbeat, not a log.
const HEARTBEAT_GRAIN: SignedDuration = SignedDuration::from_secs(20);
/// Characters of a reason that are kept.
const MOST_OF_WHY: usize = 500;
/// Between two looks of a poll: a commit wakes every one of them.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// What a step is to do next.
#[derive(Debug, Default)]
pub struct StepLease {
    /// Commands that are the bridge's alone for a while.
    pub commands: Vec<Command>,
    /// Attempts that are not over by the rows; only for a session's first poll.
    pub open: Vec<OpenAttempt>,
    /// Why there is nothing to do.
    pub note: String,
    /// Nothing of the step is left.
    pub end: Option<StepEnd>,
}

fn hook_of(step: &StepRef) -> HookRef {
    HookRef::new(step.workflow.region.clone(), step.hook.clone())
}

impl Manager {
    /// Leases the commands of a step, waiting up to `wait` for the first or for the step's end. A bridge that is new gets
    /// what an earlier one had.
    pub async fn bridge_lease(&self, from: &StepRef, wait: Duration, poll: StepPoll) -> Result<StepLease> {
        let open = match self.bridge_hello(from, poll).await? {
            Hello::New => self.open_attempts_of(from).await?,
            // The answer that named them may be the one that was lost.
            Hello::Known if poll.unanswered => self.open_attempts_of(from).await?,
            Hello::Known => Vec::new(),
            Hello::Superseded => return Ok(superseded()),
        };
        // What was found is told at once: the bridge follows it before anything new comes.
        let wait = if open.is_empty() { wait } else { Duration::ZERO };
        let mut waiter = Waiter::new(&self.store, wait);
        loop {
            waiter.listen();
            let mut lease = self.look_for_step(from).await?;
            let found = !lease.commands.is_empty() || lease.end.is_some();
            if found || !waiter.wait().await {
                lease.open = open;
                return Ok(lease);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn bridge_hello(&self, from: &StepRef, poll: StepPoll) -> Result<Hello> {
        let (who, hook) = (bridge(&from.workflow.region), hook_of(from));
        let operation = from.workflow.operation;
        repeating(|| async {
            // Most polls change nothing and lock nothing.
            let before = self.store.read().await?.bridge(operation, &hook).await?;
            if !poll.unanswered && before.is_some_and(|row| self.is_fresh(&row, from)) {
                return Ok(Hello::Known);
            }
            let mut work = self.begin_one(&who).await?;
            work.lock_of(operation).await?;
            let before = work.tx.bridge(operation, &hook).await?;
            if before.as_ref().is_some_and(|row| is_taken(row, from, poll.first)) {
                return Ok(Hello::Superseded);
            }
            let known = before.as_ref().filter(|row| row.session == from.session);
            // Of one that was silent for long the attempts may be unknown: it is asked to look for them.
            let silent = self.silent_limit();
            let is_new = known.is_none_or(|row| work.now.duration_since(row.seen_at).abs() >= silent);
            work.workflow(&from.workflow).await?;
            if work.tx.step(operation, &hook).await?.is_none() {
                return Err(ManagerError::not_found("step", &hook));
            }
            let spared = (!poll.unanswered).then_some(from.session);
            work.tx.break_step_leases(operation, &hook, spared).await?;
            let row = BridgeRow {
                operation,
                hook: hook.clone(),
                round: from.workflow.round,
                session: from.session,
                seen_at: work.now,
                left_at: None,
            };
            work.tx.put_bridge(&row).await?;
            work.commit(Point::BridgeHello).await?;
            Ok(if is_new { Hello::New } else { Hello::Known })
        })
        .await
    }

    fn is_fresh(&self, row: &BridgeRow, from: &StepRef) -> bool {
        row.session == from.session
            && row.round == from.workflow.round
            && row.left_at.is_none()
            // Also of a clock that has gone back meanwhile.
            && self.now().duration_since(row.seen_at).abs() < HEARTBEAT_GRAIN
    }

    async fn open_attempts_of(&self, from: &StepRef) -> Result<Vec<OpenAttempt>> {
        let hook = hook_of(from);
        let mut attempts = self.store.read().await?.attempts(from.workflow.operation).await?;
        attempts.retain(|attempt| attempt.id.step == hook && !attempt.state.is_over());
        let mut open = Vec::new();
        for attempt in attempts {
            let log_offset = self.log_end(&attempt.id).await?;
            open.push(OpenAttempt {
                unknown: attempt.unknown_since.is_some(),
                attempt: attempt.id,
                nonce: attempt.nonce,
                observed: attempt.observed,
                log_offset,
            });
        }
        Ok(open)
    }

    /// One look; writes only when there is something to give, since every commit wakes everybody.
    async fn look_for_step(&self, from: &StepRef) -> Result<StepLease> {
        let (operation, hook) = (from.workflow.operation, hook_of(from));
        let (commands, standing) = {
            let mut read = self.store.read().await?;
            let commands = read.step_commands(operation, &hook).await?;
            // While one of them is out, the step cannot be over.
            let standing =
                if commands.is_empty() { Some(stand(&mut *read, operation, &hook).await?) } else { None };
            (commands, standing)
        };
        let Some((note, end)) = standing else {
            let now = self.now();
            let free =
                commands.iter().any(|command| command.lease.as_ref().is_none_or(|lease| lease.until <= now));
            let commands = if free { self.lease_for_step(from, &hook).await? } else { Vec::new() };
            return Ok(StepLease {
                commands,
                note: "its commands are being carried out".to_owned(),
                ..StepLease::default()
            });
        };
        if end.is_some() {
            self.bridge_leaves(from, &hook).await?;
        }
        Ok(StepLease { note, end, ..StepLease::default() })
    }

    async fn lease_for_step(&self, from: &StepRef, hook: &HookRef) -> Result<Vec<Command>> {
        let who = bridge(&from.workflow.region);
        repeating(|| async {
            let mut work = self.begin_one(&who).await?;
            let (operation, now) = (from.workflow.operation, work.now);
            work.lock_of(operation).await?;
            // Another bridge may have the step since this one's hello.
            if !work.has_step(from).await? {
                return Ok(Vec::new());
            }
            let until = now.checked_add(self.config.lease_time).unwrap_or(jiff::Timestamp::MAX);
            let leased = work.tx.lease_step_commands(operation, hook, from.session, now, until).await?;
            if !leased.is_empty() {
                work.commit(Point::BridgeLease).await?;
            }
            Ok(leased)
        })
        .await
    }

    /// From now on nobody takes the step's commands: should it begin again, another Workflow is needed. Noted before the
    /// bridge is told, and looked at again by whoever looks for such steps.
    async fn bridge_leaves(&self, from: &StepRef, hook: &HookRef) -> Result<()> {
        let who = bridge(&from.workflow.region);
        repeating(|| async {
            let mut work = self.begin_one(&who).await?;
            work.lock_of(from.workflow.operation).await?;
            let row = work.tx.bridge(from.workflow.operation, hook).await?;
            let Some(mut row) = row.filter(|row| row.session == from.session && row.left_at.is_none()) else {
                return Ok(());
            };
            row.left_at = Some(work.now);
            work.tx.put_bridge(&row).await?;
            let (_, workflow) = work.workflow(&from.workflow).await?;
            work.heard_again(workflow).await?;
            work.commit(Point::BridgeLeave).await
        })
        .await
    }

    /// These commands of the step are carried out. One that is done already changes nothing; of a bridge that does not have the
    /// step any more nothing is believed: another one has been given the same commands.
    pub async fn bridge_finish(&self, from: &StepRef, commands: &[CommandId]) -> Result<()> {
        let (who, hook) = (bridge(&from.workflow.region), hook_of(from));
        repeating(|| async {
            let mut work = self.begin_one(&who).await?;
            work.lock_of(from.workflow.operation).await?;
            if !work.has_step(from).await? {
                return Ok(());
            }
            let own = work.tx.step_commands(from.workflow.operation, &hook).await?;
            let own: Vec<CommandId> =
                own.into_iter().map(|command| command.id).filter(|id| commands.contains(id)).collect();
            if own.is_empty() {
                return Ok(());
            }
            work.tx.finish_commands(&from.workflow.region, &own).await?;
            work.commit(Point::BridgeFinish).await
        })
        .await
    }

    /// Takes in facts about attempts of the step; answers with the attempts that are not its own, or not known.
    pub async fn bridge_observe(
        &self,
        from: &StepRef,
        observations: Vec<Observation>,
    ) -> Result<Vec<AttemptId>> {
        let (own, others): (Vec<_>, Vec<_>) =
            observations.into_iter().partition(|observation| is_own(from, &observation.attempt));
        let mut unknown = self.agent_observe(&from.workflow.region, own).await?;
        unknown.extend(others.into_iter().map(|observation| observation.attempt));
        Ok(unknown)
    }

    /// Stores log text of attempts of the step; answers with the attempts that are not its own, or not known.
    pub async fn bridge_logs(&self, from: &StepRef, pieces: Vec<LogPiece>) -> Result<Vec<AttemptId>> {
        let (own, others): (Vec<_>, Vec<_>) =
            pieces.into_iter().partition(|piece| is_own(from, &piece.attempt));
        let mut unknown = self.agent_logs(&from.workflow.region, own).await?;
        unknown.extend(others.into_iter().map(|piece| piece.attempt));
        Ok(unknown)
    }

    /// A Workflow was ended before its operation. While that runs, it pauses: nobody is left to carry its commands out, and
    /// what a person has ended a person lets go on. While it is planned, nothing runs yet, and the next Workflow is asked for.
    pub async fn bridge_workflow_ended(&self, from: &WorkflowRef, how: WorkflowEnd, why: &str) -> Result<()> {
        let who = bridge(&from.region);
        let how = match how {
            WorkflowEnd::Shutdown => "shutdown",
            WorkflowEnd::Deleted => "deleted",
            WorkflowEnd::Over => "over",
            WorkflowEnd::GaveUp => "gave-up",
        };
        let why: String = why.chars().take(MOST_OF_WHY).collect();
        repeating(|| async {
            let mut work = self.begin_one(&who).await?;
            work.lock_of(from.operation).await?;
            let (operation, mut row) = work.workflow(from).await?;
            let rounds = rounds_of(&mut *work.tx, from.operation, &from.region).await?;
            let stale = rounds.last().is_some_and(|newest| newest.round > row.round);
            // Every bridge of the Workflow says it.
            if row.ended.is_some() {
                return Ok(());
            }
            let ended = WorkflowEnded { at: work.now, how: how.to_owned(), why: why.clone() };
            row.ended = Some(ended.clone());
            row.deliver_at = None;
            work.heard_again(row.clone()).await?;
            row.asked_again_at = None;
            work.tx.put_workflow(&row).await?;
            // After the operation's end: should it have left something, the next Workflow comes by itself.
            if !stale && !operation.state.is_final() {
                work.after_end(&operation, &row, &ended).await?;
            }
            work.commit(Point::WorkflowEnd).await
        })
        .await
    }
}

/// What a poll says of the ones before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepPoll {
    /// None of the session's polls was answered yet.
    pub first: bool,
    /// The one before got no answer.
    pub unanswered: bool,
}

/// Whether somebody else has the step. Only who has just begun takes it over: two that live at once would take it from each other
/// for ever.
fn is_taken(row: &BridgeRow, from: &StepRef, first: bool) -> bool {
    row.round > from.workflow.round || (row.session != from.session && !first)
}

fn superseded() -> StepLease {
    let end = StepEnd { done: true, state: "superseded".to_owned(), outcome: None };
    let note = "another bridge has taken this step over".to_owned();
    StepLease { note, end: Some(end), ..StepLease::default() }
}

enum Hello {
    New,
    Known,
    /// Another bridge has the step.
    Superseded,
}

fn is_own(from: &StepRef, attempt: &AttemptId) -> bool {
    attempt.operation == from.workflow.operation && attempt.step == hook_of(from)
}

/// What the step waits for, or how it ended.
async fn stand(
    read: &mut (dyn Read + '_),
    operation: tenantry_model::OperationId,
    hook: &HookRef,
) -> Result<(String, Option<StepEnd>)> {
    let row =
        read.operation(operation).await?.ok_or_else(|| ManagerError::not_found("operation", operation))?;
    let step = read.step(operation, hook).await?.ok_or_else(|| ManagerError::not_found("step", hook))?;
    if !is_over(&step) && !row.state.is_final() {
        return Ok((why_waiting(&row, &step), None));
    }
    let outcome = if step.attempt == 0 {
        None
    } else {
        let id = AttemptId { operation, step: hook.clone(), number: step.attempt };
        read.attempt(&id).await?.and_then(|attempt| attempt.outcome)
    };
    let end = StepEnd { done: step.is_done(), state: word(step.state), outcome };
    Ok((String::new(), Some(end)))
}

fn word(state: StepState) -> String {
    let word = serde_json::to_value(state).ok();
    word.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

fn why_waiting(operation: &Operation, step: &Step) -> String {
    let why = match (operation.state, step.state) {
        _ if step.is_held() => "is held",
        _ if step.waiting => "waits for a person's decision",
        _ if step.is_stale() => "has used what was made anew since, and waits for a person's decision",
        (OperationState::Paused, _) => "waits: the operation is paused",
        (_, StepState::Blocked) => "waits for other steps",
        (_, StepState::Ready) => "waits for its time",
        _ => "runs",
    };
    format!("step {} {why}", step.hook)
}

impl Work<'_> {
    /// Whether this bridge is the one that has the step.
    async fn has_step(&mut self, from: &StepRef) -> Result<bool> {
        let row = self.tx.bridge(from.workflow.operation, &hook_of(from)).await?;
        Ok(row.is_some_and(|row| !is_taken(&row, from, false)))
    }

    async fn after_end(
        &mut self,
        operation: &Operation,
        row: &WorkflowRow,
        how: &WorkflowEnded,
    ) -> Result<()> {
        match operation.state {
            OperationState::Running => {
                self.pause_for(operation, &format!("its Workflow was ended ({})", how.how)).await?;
            }
            OperationState::Pending | OperationState::Planning => {
                let rounds = rounds_of(&mut *self.tx, operation.id, &row.region).await?;
                let next = next_round(&rounds, operation, &row.region, self.now);
                self.tx.put_workflow(&next).await?;
            }
            // What it ends needs a Workflow, which is looked for; a paused one waits as it did.
            _ => {}
        }
        let unknown = || ManagerError::not_found("operation", operation.id);
        let now = self.tx.operation(operation.id).await?.ok_or_else(unknown)?;
        self.settle_attention(&missing_key(row)).await?;
        self.raise_for(Some((operation.environment, operation.id)), &ended(row, how, &now)).await
    }

    async fn pause_for(&mut self, operation: &Operation, why: &str) -> Result<()> {
        let by = Actor { kind: ActorKind::Agent, name: self.who.actor.name.clone() };
        let pause = Event::Pause { by, reason: why.to_owned() };
        let moved = self.advance(operation.id, vec![pause]).await?;
        if moved.changed {
            let target = format!("operations/{}", operation.id);
            let (before, after) =
                (json!({ "state": operation.state }), json!({ "state": OperationState::Paused }));
            self.audit(Note { action: "operation.pause", target, reason: Some(why), before, after }).await?;
        }
        Ok(())
    }
}
