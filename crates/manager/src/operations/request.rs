//! Asking for an operation: what its name means, whether it fits, whether it gets its lock.

use super::{NewOperation, OperationAnswer};
use crate::definitions::{RESERVED, meaning};
use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::tenants::check_revision;
use crate::work::{Note, Work};
use crate::{KeptAnswer, Manager, Principal, outbox, schema};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tenantry_engine::{Admission, Event, admit};
use tenantry_failpoints::Point;
use tenantry_model::{
    ConflictPolicy, EnvironmentId, EnvironmentState, EventCause, Operation, OperationDefinition, OperationId,
    OperationName, OperationState,
};
use uuid::Uuid;

/// What is asked for, once it is known for which environment.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) name: OperationName,
    pub(crate) parameters: Map<String, Value>,
    pub(crate) reason: Option<String>,
    pub(crate) on_conflict: Option<ConflictPolicy>,
    pub(crate) scheduled_time: Option<Timestamp>,
    pub(crate) cause: Option<EventCause>,
}

impl Manager {
    /// Requests an operation for an environment. Names that begin with `lifecycle.` have preconditions of their own
    /// and are refused here: use [`Manager::lifecycle`].
    pub async fn request_operation(
        &self,
        who: &Principal,
        environment: EnvironmentId,
        new: NewOperation,
    ) -> Result<OperationAnswer> {
        own_method(&new.name, "/name")?;
        repeating(|| async {
            let new = new.clone();
            let mut work = self.begin_one(who).await?;
            work.lock(environment).await?;
            let revision = work.environment()?.revision;
            check_revision(|| format!("environment {environment}"), revision, new.expected_revision)?;
            let wish = Wish {
                name: new.name,
                parameters: new.parameters,
                reason: new.reason,
                on_conflict: new.on_conflict,
                scheduled_time: new.scheduled_time,
                cause: None,
            };
            let answer = work.ask(wish, new.validate_only).await?;
            work.accept(&answer, Point::OperationRequest).await?;
            Ok(answer)
        })
        .await
    }
}

impl Work<'_> {
    /// Requests, or with `validate_only` previews, an operation for the locked environment.
    pub(crate) async fn ask(&mut self, wish: Wish, validate_only: bool) -> Result<OperationAnswer> {
        // A plan is in it: on the heap, as the futures of all callers would carry it along.
        if validate_only {
            return Ok(OperationAnswer::Preview(Box::new(Box::pin(self.preview(wish)).await?)));
        }
        Ok(OperationAnswer::Requested(Box::new(Box::pin(self.request(wish)).await?)))
    }

    /// Commits what was asked for the locked environment; a preview changes nothing.
    pub(crate) async fn accept(self, answer: &OperationAnswer, point: Point) -> Result<()> {
        let OperationAnswer::Requested(operation) = answer else { return Ok(()) };
        let environment = Box::new(self.environment()?.clone());
        self.answer(KeptAnswer::Accepted { environment, operation: Some(operation.clone()) }, point).await
    }

    /// The row of the operation as it would be, with everything checked but its conflicts.
    pub(super) async fn draft(&mut self, wish: Wish) -> Result<(Operation, Vec<Operation>)> {
        let environment = self.environment()?.clone();
        let found = meaning(&mut *self.tx, &wish.name).await?;
        let mut definition =
            found.ok_or_else(|| ManagerError::not_found("operation definition", &wish.name))?;
        if let Some(policy) = wish.on_conflict {
            definition.on_conflict = policy;
        }
        let purged = environment.state == EnvironmentState::Purged;
        if purged || !definition.from_states.contains(&environment.state) {
            let hint = match environment.state {
                EnvironmentState::Decommissioned => "; undelete it first",
                EnvironmentState::Purged => "; its name is free for a new one",
                EnvironmentState::Provisioning => "; wait until its first upsert has succeeded",
                _ => "",
            };
            return Err(ManagerError::EnvironmentState {
                what: wish.name.to_string(),
                environment: environment.id.to_string(),
                state: environment.state,
                hint: hint.to_owned(),
            });
        }
        self.check_parameters(&definition, &wish.parameters)?;
        check_reason(wish.reason.as_deref())?;
        let unfinished = self.tx.unfinished(environment.id).await?;
        if unfinished.len() >= self.manager.config.max_unfinished {
            return Err(ManagerError::TooManyOperations(unfinished.len()));
        }
        let deadline_at = definition.deadline.and_then(|time| self.now.checked_add(time).ok());
        let id = OperationId(Uuid::now_v7());
        let operation = Operation {
            id,
            environment: environment.id,
            name: wish.name,
            definition,
            batch: None,
            state: OperationState::Pending,
            note: None,
            problem: None,
            generation: environment.generation,
            parameters: wish.parameters,
            scheduled_time: wish.scheduled_time,
            requested_by: self.who.actor.clone(),
            reason: wish.reason,
            created_at: self.now,
            started_at: None,
            ended_at: None,
            deadline_at,
            late: false,
            traceparent: self.who.traceparent.clone().or_else(|| Some(own_trace(id))),
            cancel: None,
            pause: None,
            replay: None,
            cause: wish.cause,
            revision: 1,
        };
        Ok((operation, unfinished))
    }

    fn check_parameters(&self, definition: &OperationDefinition, given: &Map<String, Value>) -> Result<()> {
        let limit = self.manager.config.max_parameters_bytes;
        let document = Value::Object(given.clone());
        let size = document.to_string().len();
        if size > limit {
            return Err(ManagerError::TooLarge { what: "parameters", size, limit });
        }
        match &definition.parameters {
            None => Ok(()),
            Some(rules) => {
                let what = format!("the schema of the parameters of {}", definition.name);
                schema::check(&schema::compile(&what, rules)?, &document, "/parameters")
            }
        }
    }

    async fn request(&mut self, wish: Wish) -> Result<Operation> {
        let (operation, unfinished) = self.draft(wish).await?;
        self.request_drafted(operation, &unfinished).await
    }

    /// Requests an operation that was drafted in this unit, given all unfinished ones of its environment.
    pub(super) async fn request_drafted(
        &mut self,
        operation: Operation,
        unfinished: &[Operation],
    ) -> Result<Operation> {
        let in_the_way = match admit(&operation, unfinished) {
            Admission::Start | Admission::Wait => Vec::new(),
            Admission::WaitAndCancel(ids) => ids,
            Admission::Refuse(others) => {
                return Err(ManagerError::OperationConflict {
                    name: operation.name.to_string(),
                    with: others,
                });
            }
        };
        self.tx.put_operation(&operation).await?;
        let data = outbox::operation(&operation);
        self.event(outbox::OPERATION_CHANGED, Some(operation.id), data).await?;
        let mut after = json!({ "name": operation.name, "parameters": operation.parameters, "cancels": in_the_way, "replay": operation.replay });
        if let Some(cause) = &operation.cause {
            after["cause"] = json!(cause);
        }
        self.audit(Note {
            action: "operation.request",
            target: format!("operations/{}", operation.id),
            reason: operation.reason.as_deref(),
            before: Value::Null,
            after,
        })
        .await?;
        for id in in_the_way {
            let reason = format!("{} takes its place", operation.name);
            self.apply_each(id, vec![Event::Cancel { by: self.who.actor.clone(), reason }]).await?;
        }
        // Sets the timer of its deadline, whether or not it gets its lock now.
        self.apply_each(operation.id, vec![Event::Tick]).await?;
        self.drive().await?;
        let id = operation.id;
        self.tx.operation(id).await?.ok_or_else(|| ManagerError::not_found("operation", id))
    }
}

/// What has preconditions of its own is not asked for by its name.
pub(crate) fn own_method(name: &OperationName, pointer: &str) -> Result<()> {
    if name.as_str().starts_with(RESERVED) {
        let message = format!(
            "{name} is requested by the environment's own method (suspend, backup, …), not as an operation"
        );
        return Err(ManagerError::field(pointer, message));
    }
    Ok(())
}

/// A reason is one line that people read in lists.
pub(crate) fn check_reason(reason: Option<&str>) -> Result<()> {
    const LIMIT: usize = 1000;
    match reason {
        Some(text) if text.chars().count() > LIMIT => {
            Err(ManagerError::field("/reason", format!("must have at most {LIMIT} characters")))
        }
        _ => Ok(()),
    }
}

/// The trace of an operation whose caller has none: its id is the operation's, so that one is found by the other.
fn own_trace(id: OperationId) -> String {
    let span = tenantry_model::hex(&Uuid::new_v4().as_bytes()[..8]);
    format!("00-{}-{span}-01", id.0.simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_without_a_callers_trace_gets_a_well_formed_one_of_its_own_id() {
        let id = OperationId(Uuid::now_v7());
        let trace = own_trace(id);
        let lengths: Vec<usize> = trace.split('-').map(str::len).collect();
        assert_eq!(lengths, [2, 32, 16, 2]);
        assert!(trace.contains(&id.0.simple().to_string()));
    }
}
