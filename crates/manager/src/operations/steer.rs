//! The verbs: what a person decides about a step or an operation. Each is audited with the state it met.

use super::request::check_reason;
use super::{ExpectedOperation, OperationView};
use crate::error::{ManagerError, Result};
use crate::work::{Note, Work};
use crate::{Manager, Principal};
use serde_json::{Value, json};
use tenantry_engine::{Event, Expected, StepVerb};
use tenantry_model::{HookRef, OperationId};

impl Manager {
    /// A verb on a step: rerun, kill, skip, confirm, declare-lost.
    pub async fn steer_step(
        &self,
        who: &Principal,
        operation: OperationId,
        step: &HookRef,
        verb: StepVerb,
        reason: Option<String>,
        expected: Option<Expected>,
    ) -> Result<OperationView> {
        check_reason(reason.as_deref())?;
        let action = format!("step.{}", verb.kind().name());
        let mut work = self.begin(who).await?;
        work.lock_of(operation).await?;
        let before = work.step_state(operation, step).await?;
        let event =
            Event::Verb { step: step.clone(), verb, by: who.actor.clone(), reason: reason.clone(), expected };
        work.apply_one(operation, event).await?;
        let after = work.step_state(operation, step).await?;
        let target = format!("operations/{operation}/steps/{}", step.slug());
        work.audit(Note { action: &action, target, reason: reason.as_deref(), before, after }).await?;
        work.commit().await?;
        self.operation(operation).await
    }

    /// Cancels an operation: no new steps start, what runs is ended.
    pub async fn cancel_operation(
        &self,
        who: &Principal,
        operation: OperationId,
        reason: String,
        expected: ExpectedOperation,
    ) -> Result<OperationView> {
        check_reason(Some(&reason))?;
        let mut work = self.begin(who).await?;
        work.lock_of(operation).await?;
        let (state, revision) = work.operation_state(operation).await?;
        let moved = expected.state.is_some_and(|seen| seen != state)
            || expected.revision.is_some_and(|seen| seen != revision);
        if moved {
            return Err(ManagerError::OperationMoved { operation, state });
        }
        let event = Event::Cancel { by: who.actor.clone(), reason: reason.clone() };
        work.apply_one(operation, event).await?;
        let (after, _) = work.operation_state(operation).await?;
        let target = format!("operations/{operation}");
        let (before, after) = (json!({ "state": state }), json!({ "state": after }));
        let note = Note { action: "operation.cancel", target, reason: Some(&reason), before, after };
        work.audit(note).await?;
        work.commit().await?;
        self.operation(operation).await
    }
}

impl Work<'_> {
    /// One event whose rejection is the caller's answer.
    async fn apply_one(&mut self, operation: OperationId, event: Event) -> Result<()> {
        let moved = self.advance(operation, vec![event]).await?;
        match moved.rejected.into_iter().flatten().next() {
            Some(rejected) => Err(ManagerError::Rejected(rejected)),
            None => Ok(()),
        }
    }

    async fn operation_state(&mut self, id: OperationId) -> Result<(tenantry_model::OperationState, u64)> {
        let row = self.tx.operation(id).await?.ok_or_else(|| ManagerError::not_found("operation", id))?;
        Ok((row.state, row.revision))
    }

    async fn step_state(&mut self, operation: OperationId, hook: &HookRef) -> Result<Value> {
        let steps = self.tx.steps(operation).await?;
        Ok(steps.into_iter().find(|step| step.hook == *hook).map_or(
            Value::Null,
            |step| json!({ "state": step.state, "attempt": step.attempt, "waiting": step.waiting }),
        ))
    }
}
