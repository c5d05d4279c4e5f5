//! What a bridge says and gets: the commands of its one step, until that is settled.

use super::discovery::is_over;
use super::{bridge, ended, rounds_of};
use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::wait::Waiter;
use crate::work::Work;
use crate::{LogPiece, Manager, OpenAttempt};
use jiff::SignedDuration;
use std::time::Duration;
use tenantry_api_types::bridge::{StepEnd, StepRef, WorkflowEnd, WorkflowRef};
use tenantry_engine::Event;
use tenantry_failpoints::Point;
use tenantry_model::{
    Actor, ActorKind, AttemptId, CommandId, HookRef, Observation, Operation, OperationState, Step, StepState,
};
use tenantry_store::{BridgeRow, Command, Read, WorkflowEnded};

/// A bridge's `seen_at` is stored at most this often: it is a heartbeat, not a log.
const HEARTBEAT_GRAIN: SignedDuration = SignedDuration::from_secs(20);
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
    pub async fn bridge_lease(&self, from: &StepRef, wait: Duration, unanswered: bool) -> Result<StepLease> {
        let open = match self.bridge_hello(from, unanswered).await? {
            Hello::New => self.open_attempts_of(from).await?,
            // The answer that named them may be the one that was lost.
            Hello::Known if unanswered => self.open_attempts_of(from).await?,
            Hello::Known => Vec::new(),
            Hello::Superseded => {
                let end = StepEnd { done: true, state: "superseded".to_owned(), outcome: None };
                let note = "a later Workflow of the operation runs this step".to_owned();
                return Ok(StepLease { note, end: Some(end), ..StepLease::default() });
            }
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

    async fn bridge_hello(&self, from: &StepRef, unanswered: bool) -> Result<Hello> {
        let (who, hook) = (bridge(&from.workflow.region), hook_of(from));
        let operation = from.workflow.operation;
        repeating(|| async {
            let mut work = self.begin_one(&who).await?;
            let before = work.tx.bridge(operation, &hook).await?;
            if before.as_ref().is_some_and(|row| row.round > from.workflow.round) {
                return Ok(Hello::Superseded);
            }
            let known = before.as_ref().filter(|row| row.session == from.session);
            let fresh = known.is_some_and(|row| work.now.duration_since(row.seen_at).abs() < HEARTBEAT_GRAIN);
            if fresh && !unanswered {
                return Ok(Hello::Known);
            }
            work.workflow(&from.workflow).await?;
            if work.tx.step(operation, &hook).await?.is_none() {
                return Err(ManagerError::not_found("step", &hook));
            }
            let spared = (!unanswered).then_some(from.session);
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
            let hello = if known.is_some() { Hello::Known } else { Hello::New };
            work.commit(Point::BridgeHello).await?;
            Ok(hello)
        })
        .await
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
            let until = work.now.checked_add(self.config.lease_time).unwrap_or(jiff::Timestamp::MAX);
            let (operation, now) = (from.workflow.operation, work.now);
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
            let row = work.tx.bridge(from.workflow.operation, hook).await?;
            let Some(mut row) = row.filter(|row| row.session == from.session && row.left_at.is_none()) else {
                return Ok(());
            };
            row.left_at = Some(work.now);
            work.tx.put_bridge(&row).await?;
            work.commit(Point::BridgeLeave).await
        })
        .await
    }

    /// These commands of the step are carried out. One that is done already changes nothing.
    pub async fn bridge_finish(&self, from: &StepRef, commands: &[CommandId]) -> Result<()> {
        let (who, hook) = (bridge(&from.workflow.region), hook_of(from));
        repeating(|| async {
            let mut work = self.begin_one(&who).await?;
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

    /// Somebody has ended a Workflow before its operation: that pauses, since nobody is left to carry its commands out, and
    /// what a person has ended a person lets go on.
    pub async fn bridge_workflow_ended(&self, from: &WorkflowRef, how: WorkflowEnd) -> Result<()> {
        let who = bridge(&from.region);
        let word = match how {
            WorkflowEnd::Shutdown => "shutdown",
            WorkflowEnd::Deleted => "deleted",
            WorkflowEnd::Over => "over",
        };
        repeating(|| async {
            let mut work = self.begin_one(&who).await?;
            work.lock_of(from.operation).await?;
            let (operation, mut row) = work.workflow(from).await?;
            let newest = rounds_of(&mut *work.tx, from.operation, &from.region).await?.pop();
            let stale = newest.is_some_and(|newest| newest.round > row.round);
            // Every bridge of the Workflow says it.
            if operation.state.is_final() || row.ended.is_some() {
                return Ok(());
            }
            row.ended = Some(WorkflowEnded { at: work.now, how: word.to_owned() });
            work.tx.put_workflow(&row).await?;
            if !stale {
                work.pause_for(&operation, &format!("its Workflow was ended ({word})")).await?;
                let raised = ended(&row, word);
                work.raise_for(Some((operation.environment, operation.id)), &raised).await?;
            }
            work.commit(Point::WorkflowEnd).await
        })
        .await
    }
}

enum Hello {
    New,
    Known,
    /// A later Workflow has a bridge for the step.
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
    async fn pause_for(&mut self, operation: &Operation, why: &str) -> Result<()> {
        let by = Actor { kind: ActorKind::Agent, name: self.who.actor.name.clone() };
        // One that cannot be paused (it is paused, or being cancelled) goes on as it does.
        self.advance(operation.id, vec![Event::Pause { by, reason: why.to_owned() }]).await.map(drop)
    }
}
