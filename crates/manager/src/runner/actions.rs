//! What the engine asks for, as rows: commands, applied generations, attention, the environment's state.

use super::start::Wanted;
use crate::error::Result;
use crate::work::Work;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use tenantry_engine::{Action, AppliedChange, Event, Run};
use tenantry_model::{
    AppliedHook, AttemptId, Converges, Fact, FailureReason, HookRef, KillCause, Observation, Outcome,
};
use tenantry_store::{Command, CommandKind};
use uuid::Uuid;

/// What several actions of one transaction need and nothing else changes meanwhile.
#[derive(Default)]
pub(super) struct Context {
    /// The environment as the operation applies it.
    pub(super) wanted: Option<Wanted>,
}

impl Work<'_> {
    /// Carries out one action; tells whether the operation has ended by it.
    pub(super) async fn act(
        &mut self,
        run: &Run,
        action: &Action,
        context: &mut Context,
        follow_ups: &mut VecDeque<Event>,
    ) -> Result<bool> {
        match action {
            Action::Start(attempt) => {
                let body = self.start_order(run, attempt, context).await?;
                self.command(attempt, CommandKind::Start, body).await?;
            }
            Action::Kill { attempt, cause } => {
                // Nobody has taken the start yet: it never will be, and that is an end.
                if self.tx.withdraw_command(attempt, CommandKind::Start).await? {
                    follow_ups.push_back(not_started(attempt, *cause, run, self.now));
                } else {
                    self.command(attempt, CommandKind::Kill, json!({ "cause": cause })).await?;
                }
            }
            Action::Release(attempt) => self.command(attempt, CommandKind::Release, json!({})).await?,
            Action::Applied { hook, change } => self.applied(run, hook, *change).await?,
            Action::Raise(raised) => self.raise_attention(run.operation(), raised).await?,
            Action::Settle { key } => self.settle_attention(key).await?,
            Action::Ended(state) => {
                self.ended(run.operation(), *state).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn command(&mut self, attempt: &AttemptId, kind: CommandKind, body: Value) -> Result<()> {
        let command = Command {
            id: tenantry_model::CommandId(Uuid::now_v7()),
            region: attempt.step.region.clone(),
            attempt: attempt.clone(),
            kind,
            body,
            lease: None,
        };
        Ok(self.tx.put_command(&command).await?)
    }

    async fn applied(&mut self, run: &Run, hook: &HookRef, change: AppliedChange) -> Result<()> {
        let id = self.environment()?.id;
        let before = self.tx.applied_hook(id, hook).await?;
        Ok(self.tx.put_applied(id, &next_applied(before, run, hook, change)).await?)
    }
}

/// The row of a hook after an attempt started or a step is done.
///
/// An operation that applies nothing (backup, an admin operation) makes a clean hook dirty only for itself: its
/// success cleans up after itself, and never hides what a failed upsert left behind.
fn next_applied(
    before: Option<AppliedHook>,
    run: &Run,
    hook: &HookRef,
    change: AppliedChange,
) -> AppliedHook {
    let operation = run.operation();
    let mut row = before.unwrap_or_else(|| AppliedHook {
        hook: hook.clone(),
        generation: None,
        dirty: false,
        expected: false,
        operation: operation.id,
    });
    let converges = operation.definition.converges;
    match (change, converges) {
        (AppliedChange::Started, Converges::No) if row.dirty => {}
        (AppliedChange::Started, _) => {
            row.dirty = true;
            row.expected = true;
            row.operation = operation.id;
        }
        (AppliedChange::Succeeded, Converges::No) => {
            if row.operation == operation.id {
                row.dirty = false;
            }
        }
        (AppliedChange::Succeeded, Converges::Yes) => {
            row.generation = Some(operation.generation);
            row.dirty = false;
            row.expected = true;
            row.operation = operation.id;
        }
        (AppliedChange::Succeeded, Converges::Removes) => {
            row.generation = None;
            row.dirty = false;
            row.expected = false;
            row.operation = operation.id;
        }
    }
    row
}

fn not_started(attempt: &AttemptId, cause: KillCause, run: &Run, now: jiff::Timestamp) -> Event {
    let observed = run.attempts().get(&(attempt.step.clone(), attempt.number)).map_or(0, |row| row.observed);
    let reason = if cause == KillCause::Timeout { FailureReason::Deadline } else { FailureReason::Killed };
    Event::Observed(Observation {
        attempt: attempt.clone(),
        number: observed + 1,
        at: now,
        fact: Fact::NotStarted {
            outcome: Outcome {
                reason: Some(reason),
                exit_code: None,
                message: "ended before its region took it".to_owned(),
                outputs: BTreeMap::new(),
            },
        },
    })
}
