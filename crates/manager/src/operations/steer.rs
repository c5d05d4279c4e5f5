//! The verbs: what a person decides about a step or an operation. Each is audited with the state it met; each can be
//! looked at before (`validate_only`); some need a second person.

use super::request::check_reason;
use super::{ExpectedOperation, OperationVerb, OperationView, Steered, StepOptions};
use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::work::{Note, Work};
use crate::{KeptAnswer, Manager, Principal};
use serde_json::{Value, json};
use tenantry_engine::{Event, Moment, StepVerb};
use tenantry_failpoints::Point;
use tenantry_model::{AttemptId, HookRef, OperationId};
use uuid::Uuid;

impl Manager {
    /// A verb on a step. One that the installation wants a second person for becomes an approval that waits.
    pub async fn steer_step(
        &self,
        who: &Principal,
        operation: OperationId,
        step: &HookRef,
        verb: StepVerb,
        options: StepOptions,
    ) -> Result<Steered> {
        check_reason(options.reason.as_deref())?;
        let kind = verb.kind();
        repeating(|| async {
            let options = options.clone();
            let mut work = self.begin_one(who).await?;
            work.lock_of(operation).await?;
            let event = Event::Verb {
                step: step.clone(),
                verb: verb.clone(),
                by: who.actor.clone(),
                reason: options.reason.clone(),
                expected: options.expected,
            };
            if options.validate_only {
                return Ok(Steered::Preview(Box::new(work.foresee(operation, &event).await?)));
            }
            if self.config.four_eyes.contains(&kind) || work.definition_guards(operation, kind).await? {
                // What could not be done now is refused now, not when the second person looks at it.
                work.foresee(operation, &event).await?;
                let approval =
                    Box::new(work.ask_approval(operation, step, verb.clone(), options.reason.clone()).await?);
                work.answer(KeptAnswer::Waits(approval.clone()), Point::ApprovalAsk).await?;
                return Ok(Steered::Pending(approval));
            }
            work.decide(operation, step, kind.name(), event, options.reason.as_deref(), None).await?;
            work.answer_with(operation, Point::StepSteer).await
        })
        .await
    }

    /// A verb on an operation.
    pub async fn steer_operation(
        &self,
        who: &Principal,
        operation: OperationId,
        verb: OperationVerb,
        reason: Option<String>,
        expected: ExpectedOperation,
        validate_only: bool,
    ) -> Result<Steered> {
        check_reason(reason.as_deref())?;
        repeating(|| async {
            let mut work = self.begin_one(who).await?;
            work.lock_of(operation).await?;
            let (state, revision) = work.operation_state(operation).await?;
            let moved = expected.state.is_some_and(|seen| seen != state)
                || expected.revision.is_some_and(|seen| seen != revision);
            if moved {
                return Err(ManagerError::OperationMoved { operation, state });
            }
            let (by, text) = (who.actor.clone(), reason.clone().unwrap_or_default());
            let (action, event) = match verb {
                OperationVerb::Pause => ("operation.pause", Event::Pause { by, reason: text }),
                OperationVerb::Resume => ("operation.resume", Event::Resume { by, reason: reason.clone() }),
                OperationVerb::Cancel => ("operation.cancel", Event::Cancel { by, reason: text }),
            };
            if validate_only {
                return Ok(Steered::Preview(Box::new(work.foresee(operation, &event).await?)));
            }
            work.apply_one(operation, event).await?;
            if verb == OperationVerb::Resume {
                work.silent_workflows_end(operation).await?;
            }
            let (after, _) = work.operation_state(operation).await?;
            let target = format!("operations/{operation}");
            let (before, after) = (json!({ "state": state }), json!({ "state": after }));
            work.audit(Note { action, target, reason: reason.as_deref(), before, after }).await?;
            work.answer_with(operation, Point::OperationSteer).await
        })
        .await
    }
}

impl Steered {
    /// The operation after the verb; `None` when nothing was carried out.
    #[must_use]
    pub fn done(self) -> Option<OperationView> {
        if let Self::Done(view) = self { Some(*view) } else { None }
    }
}

impl Work<'_> {
    /// Commits; the answer is the operation.
    async fn answer_with(mut self, operation: OperationId, point: Point) -> Result<Steered> {
        let view = Box::new(self.view(operation).await?);
        self.answer(KeptAnswer::Steered(view.clone()), point).await?;
        Ok(Steered::Done(view))
    }

    /// What an event would do, or why it is refused. Nothing is written.
    pub(crate) async fn foresee(
        &mut self,
        operation: OperationId,
        event: &Event,
    ) -> Result<tenantry_engine::Preview> {
        let run = self.load(operation).await?;
        let moment = Moment { now: self.now, seed: Uuid::new_v4() };
        let found = tenantry_engine::preview(&run, event, moment);
        // Nothing was changed: what was loaded can still be used.
        self.runs.push(run);
        found.map_err(ManagerError::Rejected)
    }

    /// Carries a verb on a step out, with its audit entry; `and` goes into that beside the step's new state.
    pub(crate) async fn decide(
        &mut self,
        operation: OperationId,
        step: &HookRef,
        verb: &str,
        event: Event,
        reason: Option<&str>,
        and: Option<Value>,
    ) -> Result<()> {
        let before = self.step_state(operation, step).await?;
        self.apply_one(operation, event).await?;
        let mut after = self.step_state(operation, step).await?;
        if let (Some(and), Some(members)) = (and, after.as_object_mut()) {
            members.insert("approval".to_owned(), and);
        }
        let action = format!("step.{verb}");
        let target = format!("operations/{operation}/steps/{}", step.slug());
        self.audit(Note { action: &action, target, reason, before, after }).await
    }

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
        let Some(step) = self.tx.step(operation, hook).await? else { return Ok(Value::Null) };
        let id = AttemptId { operation, step: hook.clone(), number: step.attempt };
        let attempt = if step.attempt == 0 { None } else { self.tx.attempt(&id).await? };
        Ok(json!({
            "state": step.state,
            "attempt": step.attempt,
            "waiting": step.waiting,
            "held": step.is_held(),
            "stale": step.is_stale(),
            "ending": attempt.is_some_and(|attempt| !attempt.state.is_over() && attempt.kill.is_some()),
            "ignored": step.ignored.keys().collect::<Vec<_>>(),
        }))
    }
}
