//! What the engine asks for, as rows: commands, applied generations, attention, the environment's state.

use super::pending::{Applied, Pending};
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
pub(super) struct Context {
    /// The environment as the operation applies it.
    pub(super) wanted: Option<Wanted>,
    /// Earlier generations that were read; `None`: not kept any more.
    pub(super) generations: BTreeMap<u64, Option<Value>>,
    /// What hooks have applied.
    pub(super) applied: Applied,
    /// Rows that are written when all events are applied.
    pub(super) pending: Pending,
}

impl Context {
    pub(super) fn new(events: &[Event]) -> Self {
        let applied = Applied::of_events(events);
        Self { wanted: None, generations: BTreeMap::new(), applied, pending: Pending::default() }
    }
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
                context.pending.command(command(attempt, CommandKind::Start, body));
            }
            Action::Kill { attempt, cause } => {
                // Nobody has taken the start yet: it never will be, and that is an end.
                if context.pending.withdraw(attempt, CommandKind::Start)
                    || self.tx.withdraw_command(attempt, CommandKind::Start).await?
                {
                    follow_ups.push_back(not_started(attempt, *cause, run, self.now));
                } else {
                    let body = json!({ "cause": cause });
                    context.pending.command(command(attempt, CommandKind::Kill, body));
                }
            }
            Action::Release(attempt) => {
                context.pending.command(command(attempt, CommandKind::Release, json!({})));
            }
            Action::Applied { hook, change } => {
                let before = self.applied_hook(hook, context).await?;
                let row = next_applied(before, run, hook, *change);
                context.applied.put(row.clone());
                context.pending.apply(row);
            }
            Action::Raise(raised) => self.raise_attention(run.operation(), raised).await?,
            Action::Settle { key } => self.settle_attention(key).await?,
            Action::Ended(state) => {
                self.ended(run.operation(), *state).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What a hook has applied for the environment, as the events before have left it.
    pub(super) async fn applied_hook(
        &mut self,
        hook: &HookRef,
        context: &mut Context,
    ) -> Result<Option<AppliedHook>> {
        if !context.applied.knows(hook) {
            let asked = context.applied.asked_with(hook);
            let rows = self.tx.applied_hooks(self.environment()?.id, &asked).await?;
            context.applied.learn(asked, rows);
        }
        Ok(context.applied.get(hook).cloned())
    }
}

fn command(attempt: &AttemptId, kind: CommandKind, body: Value) -> Command {
    Command {
        id: tenantry_model::CommandId(Uuid::now_v7()),
        region: attempt.step.region.clone(),
        attempt: attempt.clone(),
        kind,
        body,
        lease: None,
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
