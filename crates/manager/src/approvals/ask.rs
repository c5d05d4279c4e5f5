//! The first person: whether a second one is needed, and what is kept until that one decides.

use crate::definitions::meaning;
use crate::error::{ManagerError, Result};
use crate::work::Work;
use serde_json::Value;
use std::collections::BTreeMap;
use tenantry_engine::{StepVerb, VerbKind};
use tenantry_model::{
    Approval, ApprovalId, ApprovalState, ApprovalTarget, GuardedVerb, HookRef, OperationId, Page,
};
use tenantry_store::ApprovalFilter;
use uuid::Uuid;

impl Work<'_> {
    /// Whether the operation's definition wants a second person for the verb: the one that it was made from, or the one
    /// that is in force now. Whoever makes a definition stricter does not have to wait for what runs, and nobody gets
    /// round one by changing it meanwhile.
    pub(crate) async fn definition_guards(&mut self, id: OperationId, verb: VerbKind) -> Result<bool> {
        let Some(guarded) = GuardedVerb::ALL.into_iter().find(|guarded| guarded.name() == verb.name()) else {
            return Ok(false);
        };
        let Some(operation) = self.tx.operation(id).await? else { return Ok(false) };
        if operation.definition.four_eyes.contains(&guarded) {
            return Ok(true);
        }
        let now = meaning(&mut *self.tx, &operation.name).await?;
        Ok(now.is_some_and(|definition| definition.four_eyes.contains(&guarded)))
    }

    /// Keeps a verb until a second person decides.
    pub(crate) async fn ask_approval(
        &mut self,
        operation: OperationId,
        step: &HookRef,
        verb: StepVerb,
        reason: Option<String>,
    ) -> Result<Approval> {
        let name = verb.kind().name();
        let row = self.tx.steps(operation).await?.into_iter().find(|row| row.hook == *step);
        let row = row.ok_or_else(|| ManagerError::not_found("step", step))?;
        let (outputs, on) = match verb {
            StepVerb::Confirm { outputs } => (outputs, None),
            StepVerb::IgnoreDependency { on } => (BTreeMap::new(), on),
            _ => (BTreeMap::new(), None),
        };
        let target = ApprovalTarget::Step {
            operation,
            step: step.clone(),
            step_state: row.state,
            step_attempt: row.attempt,
        };
        self.ask_second_person(target, name, outputs, on, reason).await
    }

    /// Keeps a verb about the locked environment or one of its steps until a second person decides.
    pub(crate) async fn ask_second_person(
        &mut self,
        target: ApprovalTarget,
        verb: &str,
        outputs: BTreeMap<String, String>,
        on: Option<HookRef>,
        reason: Option<String>,
    ) -> Result<Approval> {
        let environment = self.environment()?.id;
        let filter = ApprovalFilter { environment: Some(environment), ..ApprovalFilter::default() };
        let waiting = self.tx.approvals(&filter, &Page { after: None, limit: 1000 }).await?.items;
        let same = |other: &&Approval| other.verb == verb && same_thing(&other.target, &target);
        if let Some(same) = waiting.iter().find(same) {
            let about = if same.step().is_some() { "this step" } else { "this environment" };
            return Err(ManagerError::Exists(format!("approval {} of {verb} for {about}", same.id)));
        }
        let approval = Approval {
            id: ApprovalId(Uuid::now_v7()),
            state: ApprovalState::Pending,
            environment,
            target,
            verb: verb.to_owned(),
            outputs,
            on,
            reason,
            requested_by: self.who.actor.clone(),
            token: self.who.token,
            role: self.who.role,
            created_at: self.now,
            expires_at: self
                .now
                .checked_add(self.manager.config.approval_time)
                .unwrap_or(jiff::Timestamp::MAX),
            decided_by: None,
            decision_reason: None,
            decided_at: None,
        };
        self.put_approval(&approval, "approval.request", approval.reason.as_deref(), Value::Null).await?;
        self.raise_pending(&approval).await?;
        Ok(approval)
    }
}

fn same_thing(one: &ApprovalTarget, other: &ApprovalTarget) -> bool {
    match (one, other) {
        (
            ApprovalTarget::Step { operation, step, .. },
            ApprovalTarget::Step { operation: of, step: other, .. },
        ) => operation == of && step == other,
        (ApprovalTarget::Environment { .. }, ApprovalTarget::Environment { .. }) => true,
        _ => false,
    }
}
