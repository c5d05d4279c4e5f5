//! A second person for verbs that change the truth by hand: one asks, another carries it out.
//!
//! The verb is kept with the state in which its step was, and is applied only to that state. A crash leaves it pending
//! or decided, never both: the decision and what it does are one transaction.

use crate::definitions::meaning;
use crate::error::{ManagerError, Result};
use crate::operations::check_reason;
use crate::work::{Note, Work};
use crate::{Manager, Principal, Steered, Target, outbox};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tenantry_engine::{Event, Expected, Raised, StepVerb, VerbKind};
use tenantry_model::{
    Approval, ApprovalId, ApprovalState, AttentionKind, GuardedVerb, HookRef, OperationId, Page, Paged,
};
use tenantry_store::ApprovalFilter;
use uuid::Uuid;

/// What the second person says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decide {
    /// Carry it out.
    Approve,
    /// Do not.
    Reject,
}

impl Manager {
    /// Verbs that wait (or waited) for a second person, by id; the filter's scopes are replaced by the caller's.
    pub async fn approvals(
        &self,
        who: &Principal,
        filter: ApprovalFilter,
        page: &Page,
    ) -> Result<Paged<Approval>> {
        let filter = ApprovalFilter { scopes: who.filter(), ..filter };
        Ok(self.store.read().await?.approvals(&filter, page).await?)
    }

    /// One of them.
    pub async fn approval(&self, id: ApprovalId) -> Result<Approval> {
        let found = self.store.read().await?.approval(id).await?;
        found.ok_or_else(|| ManagerError::not_found("approval", id))
    }

    /// The second person decides. Approving carries the verb out as the first person asked for it.
    ///
    /// # Errors
    /// `SecondPerson` for the first person's own credential or one with a lower role, `ApprovalDecided` when it is
    /// too late, and what the verb itself may be refused with (the step has moved on).
    pub async fn decide_approval(
        &self,
        who: &Principal,
        id: ApprovalId,
        decide: Decide,
        reason: Option<String>,
        validate_only: bool,
    ) -> Result<(Approval, Option<Steered>)> {
        check_reason(reason.as_deref())?;
        let mut work = self.begin(who).await?;
        let missing = || ManagerError::not_found("approval", id);
        let operation = work.tx.approval(id).await?.ok_or_else(missing)?.operation;
        // Read again under the lock: two persons may decide at the same moment.
        work.lock_of(operation).await?;
        let mut approval = work.tx.approval(id).await?.ok_or_else(missing)?;
        if approval.state != ApprovalState::Pending {
            return Err(ManagerError::ApprovalDecided { id, state: approval.state });
        }
        if approval.expires_at <= work.now {
            return Err(ManagerError::ApprovalDecided { id, state: ApprovalState::Expired });
        }
        if decide == Decide::Approve {
            work.may_approve(&approval)?;
        }
        let before = outbox::approval(&approval);
        approval.decided_by = Some(who.actor.clone());
        approval.decision_reason = reason.clone();
        approval.decided_at = Some(work.now);
        if decide == Decide::Reject {
            approval.state = ApprovalState::Rejected;
            if !validate_only {
                work.close(&approval, "approval.reject", reason.as_deref(), before).await?;
                work.commit().await?;
            }
            return Ok((approval, None));
        }
        approval.state = ApprovalState::Approved;
        let event = verb_event(&approval, &who.actor.name, reason.as_deref())?;
        if validate_only {
            let preview = work.foresee(approval.operation, &event).await?;
            return Ok((approval, Some(Steered::Preview(Box::new(preview)))));
        }
        let both = json!({
            "id": approval.id, "requestedBy": approval.requested_by, "approvedBy": who.actor,
        });
        let (operation, step, first) = (approval.operation, approval.step.clone(), approval.reason.clone());
        work.decide(operation, &step, &approval.verb, event, first.as_deref(), Some(both)).await?;
        work.close(&approval, "approval.approve", reason.as_deref(), before).await?;
        work.commit().await?;
        let view = self.operation(operation).await?;
        Ok((approval, Some(Steered::Done(Box::new(view)))))
    }

    /// Ends what nobody decided in time, or whose operation has ended.
    pub async fn check_approvals(&self) -> Result<()> {
        let who = Principal::system();
        let page = Page { after: None, limit: 1000 };
        let open = self.store.read().await?.approvals(&ApprovalFilter::default(), &page).await?.items;
        for found in open {
            let mut work = self.begin(&who).await?;
            work.lock_of(found.operation).await?;
            let Some(mut approval) = work.tx.approval(found.id).await? else { continue };
            let operation = work.tx.operation(found.operation).await?;
            let over = operation.is_none_or(|operation| operation.state.is_final());
            if approval.state != ApprovalState::Pending || !(over || approval.expires_at <= work.now) {
                continue;
            }
            let before = outbox::approval(&approval);
            let why = if over { "the operation has ended" } else { "nobody decided in time" };
            approval.state = ApprovalState::Expired;
            approval.decided_by = Some(who.actor.clone());
            approval.decision_reason = Some(why.to_owned());
            approval.decided_at = Some(work.now);
            work.close(&approval, "approval.expire", Some(why), before).await?;
            work.commit().await?;
        }
        Ok(())
    }
}

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
        let filter = ApprovalFilter { operation: Some(operation), ..ApprovalFilter::default() };
        let waiting = self.tx.approvals(&filter, &Page { after: None, limit: 1000 }).await?.items;
        if let Some(same) = waiting.iter().find(|other| other.step == *step && other.verb == name) {
            return Err(ManagerError::Exists(format!("approval {} of {name} for this step", same.id)));
        }
        let row = self.tx.steps(operation).await?.into_iter().find(|row| row.hook == *step);
        let row = row.ok_or_else(|| ManagerError::not_found("step", step))?;
        let (outputs, on) = match verb {
            StepVerb::Confirm { outputs } => (outputs, None),
            StepVerb::IgnoreDependency { on } => (BTreeMap::new(), on),
            _ => (BTreeMap::new(), None),
        };
        let approval = Approval {
            id: ApprovalId(Uuid::now_v7()),
            state: ApprovalState::Pending,
            environment: self.environment()?.id,
            operation,
            step: step.clone(),
            verb: name.to_owned(),
            outputs,
            on,
            reason,
            requested_by: self.who.actor.clone(),
            token: self.who.token,
            role: self.who.role,
            step_state: row.state,
            step_attempt: row.attempt,
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
        self.raise_for(Some((approval.environment, operation)), &pending(&approval)).await?;
        Ok(approval)
    }

    /// Another credential, with at least the first person's role on the environment.
    fn may_approve(&self, approval: &Approval) -> Result<()> {
        if self.who.token == approval.token {
            let message = format!(
                "{} asked for this itself: another credential must approve it",
                approval.requested_by.name
            );
            return Err(ManagerError::SecondPerson(message));
        }
        if !self.who.may(approval.role, &Target::of(self.environment()?)) {
            let role = format!("{:?}", approval.role).to_lowercase();
            let message = format!("who approves this needs at least the role of who asked for it: {role}");
            return Err(ManagerError::SecondPerson(message));
        }
        Ok(())
    }

    async fn close(
        &mut self,
        approval: &Approval,
        action: &str,
        reason: Option<&str>,
        before: Value,
    ) -> Result<()> {
        self.put_approval(approval, action, reason, before).await?;
        self.settle_attention(&key(approval.id)).await
    }

    async fn put_approval(
        &mut self,
        approval: &Approval,
        action: &str,
        reason: Option<&str>,
        before: Value,
    ) -> Result<()> {
        self.tx.put_approval(approval).await?;
        let after = outbox::approval(approval);
        self.event(outbox::APPROVAL_CHANGED, Some(approval.operation), after.clone()).await?;
        let target = format!("approvals/{}", approval.id);
        self.audit(Note { action, target, reason, before, after }).await
    }
}

fn key(id: ApprovalId) -> String {
    format!("approval-pending/{id}")
}

fn pending(approval: &Approval) -> Raised {
    let id = approval.id;
    Raised {
        kind: AttentionKind::ApprovalPending,
        key: key(id),
        step: Some(approval.step.clone()),
        region: Some(approval.step.region.clone()),
        message: format!(
            "{} wants to {} step {} and needs a second person until {:.0}: {}",
            approval.requested_by.name,
            approval.verb,
            approval.step,
            approval.expires_at,
            approval.reason.as_deref().unwrap_or("no reason given")
        ),
        remedy: format!("tenantry approval approve {id} (or: tenantry approval reject {id} --reason …)"),
    }
}

/// The verb as the first person asked for it; the second one is named in its reason.
fn verb_event(approval: &Approval, second: &str, said: Option<&str>) -> Result<Event> {
    let verb = match approval.verb.as_str() {
        "confirm" => StepVerb::Confirm { outputs: approval.outputs.clone() },
        "ignore-dependency" => StepVerb::IgnoreDependency { on: approval.on.clone() },
        "declare-lost" => StepVerb::DeclareLost,
        "skip" => StepVerb::Skip,
        other => return Err(ManagerError::Internal(format!("an approval of the verb {other}"))),
    };
    let said = said.map(|said| format!(": {said}")).unwrap_or_default();
    let reason = format!("{} (approved by {second}{said})", approval.reason.as_deref().unwrap_or_default());
    Ok(Event::Verb {
        step: approval.step.clone(),
        verb,
        by: approval.requested_by.clone(),
        reason: Some(reason),
        expected: Some(Expected { state: Some(approval.step_state), attempt: Some(approval.step_attempt) }),
    })
}
