//! A second person for verbs that change the truth by hand: one asks, another carries it out.
//!
//! The verb is kept with the state in which its step (or environment) was, and is applied only to that state. A crash
//! leaves it pending or decided, never both: the decision and what it does are one transaction.

use crate::definitions::meaning;
use crate::error::{ManagerError, Result};
use crate::operations::check_reason;
use crate::repeat::repeating;
use crate::work::{Note, Work};
use crate::{KeptAnswer, Manager, OperationView, Principal, PurgeAnswer, Purged, Steered, Target, outbox};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tenantry_engine::{Event, Expected, Raised, StepVerb, VerbKind};
use tenantry_failpoints::Point;
use tenantry_model::{
    Approval, ApprovalId, ApprovalState, ApprovalTarget, AttentionKind, Environment, EnvironmentState,
    GuardedVerb, HookRef, OperationId, Page, Paged,
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

/// What came of approving.
#[derive(Clone, Debug, PartialEq)]
pub enum Decided {
    /// A verb on a step was carried out, or would be.
    Verb(Steered),
    /// An environment was purged, or would be.
    Purge(PurgeAnswer),
}

fn kept(
    approval: &Approval,
    operation: Option<Box<OperationView>>,
    purged: Option<Box<Purged>>,
) -> KeptAnswer {
    KeptAnswer::Decided { approval: Box::new(approval.clone()), operation, purged }
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
    ) -> Result<(Approval, Option<Decided>)> {
        check_reason(reason.as_deref())?;
        repeating(|| self.decide_once(who, id, decide, reason.as_deref(), validate_only)).await
    }

    async fn decide_once(
        &self,
        who: &Principal,
        id: ApprovalId,
        decide: Decide,
        reason: Option<&str>,
        validate_only: bool,
    ) -> Result<(Approval, Option<Decided>)> {
        let mut work = self.begin_one(who).await?;
        let missing = || ManagerError::not_found("approval", id);
        let environment = work.tx.approval(id).await?.ok_or_else(missing)?.environment;
        // Read again under the lock: two persons may decide at the same moment.
        work.lock(environment).await?;
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
        approval.decision_reason = reason.map(str::to_owned);
        approval.decided_at = Some(work.now);
        if decide == Decide::Reject {
            approval.state = ApprovalState::Rejected;
            if !validate_only {
                work.close(&approval, "approval.reject", reason, before).await?;
                work.answer(kept(&approval, None, None), Point::ApprovalReject).await?;
            }
            return Ok((approval, None));
        }
        approval.state = ApprovalState::Approved;
        let both = json!({
            "id": approval.id, "requestedBy": approval.requested_by, "approvedBy": who.actor,
        });
        match approval.target.clone() {
            ApprovalTarget::Environment { environment_revision, before_retention_ends } => {
                let first = approval.reason.as_deref().unwrap_or_default();
                let purged =
                    work.purge_approved(environment_revision, before_retention_ends, first, both).await?;
                let purged = Box::new(purged);
                if validate_only {
                    return Ok((approval, Some(Decided::Purge(PurgeAnswer::Preview(purged)))));
                }
                work.close(&approval, "approval.approve", reason, before).await?;
                work.answer(kept(&approval, None, Some(purged.clone())), Point::PurgeApprove).await?;
                Ok((approval, Some(Decided::Purge(PurgeAnswer::Done(purged)))))
            }
            ApprovalTarget::Step { operation, step, step_state, step_attempt } => {
                let seen = Expected { state: Some(step_state), attempt: Some(step_attempt) };
                let event = verb_event(&approval, step.clone(), seen, &who.actor.name, reason)?;
                if validate_only {
                    let preview = work.foresee(operation, &event).await?;
                    return Ok((approval, Some(Decided::Verb(Steered::Preview(Box::new(preview))))));
                }
                work.decide(operation, &step, &approval.verb, event, approval.reason.as_deref(), Some(both))
                    .await?;
                work.close(&approval, "approval.approve", reason, before).await?;
                let view = Box::new(work.view(operation).await?);
                work.answer(kept(&approval, Some(view.clone()), None), Point::ApprovalApprove).await?;
                Ok((approval, Some(Decided::Verb(Steered::Done(view)))))
            }
        }
    }

    /// Ends what nobody decided in time, whose operation has ended, or whose environment was undeleted or is gone.
    pub async fn check_approvals(&self) -> Result<()> {
        self.check_approvals_as(&Principal::system()).await
    }

    pub(crate) async fn check_approvals_as(&self, who: &Principal) -> Result<()> {
        let page = Page { after: None, limit: 1000 };
        let open = self.store.read().await?.approvals(&ApprovalFilter::default(), &page).await?.items;
        for found in open {
            repeating(|| self.expire_approval(who, &found)).await?;
        }
        Ok(())
    }

    async fn expire_approval(&self, who: &Principal, found: &Approval) -> Result<()> {
        let mut work = self.begin_one(who).await?;
        work.lock(found.environment).await?;
        let Some(mut approval) = work.tx.approval(found.id).await? else { return Ok(()) };
        let gone = work.is_moot(&approval).await?;
        if approval.state != ApprovalState::Pending || !(gone.is_some() || approval.expires_at <= work.now) {
            return Ok(());
        }
        let before = outbox::approval(&approval);
        let why = gone.unwrap_or("nobody decided in time");
        approval.state = ApprovalState::Expired;
        approval.decided_by = Some(who.actor.clone());
        approval.decision_reason = Some(why.to_owned());
        approval.decided_at = Some(work.now);
        work.close(&approval, "approval.expire", Some(why), before).await?;
        work.commit(Point::ApprovalExpire).await
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
        let raised = pending(&approval, self.environment()?);
        self.raise_about(Some(environment), approval.operation(), &raised).await?;
        Ok(approval)
    }

    /// Why a verb that waits can never be carried out, if so.
    async fn is_moot(&mut self, approval: &Approval) -> Result<Option<&'static str>> {
        Ok(match approval.operation() {
            Some(operation) => {
                let operation = self.tx.operation(operation).await?;
                let over = operation.is_none_or(|operation| operation.state.is_final());
                over.then_some("the operation has ended")
            }
            None => match self.environment()?.state {
                EnvironmentState::Decommissioned => None,
                EnvironmentState::Purged => Some("the environment is purged"),
                _ => Some("the environment was undeleted"),
            },
        })
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
        self.event(outbox::APPROVAL_CHANGED, approval.operation(), after.clone()).await?;
        let target = format!("approvals/{}", approval.id);
        self.audit(Note { action, target, reason, before, after }).await
    }
}

fn key(id: ApprovalId) -> String {
    format!("approval-pending/{id}")
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

fn pending(approval: &Approval, environment: &Environment) -> Raised {
    let id = approval.id;
    let step = approval.step();
    let about = match step {
        Some(step) => format!("step {step}"),
        None => format!("environment {}/{}", environment.tenant, environment.name),
    };
    Raised {
        kind: AttentionKind::ApprovalPending,
        key: key(id),
        step: step.cloned(),
        region: step.map(|step| step.region.clone()),
        message: format!(
            "{} wants to {} {about} and needs a second person until {:.0}: {}",
            approval.requested_by.name,
            approval.verb,
            approval.expires_at,
            approval.reason.as_deref().unwrap_or("no reason given")
        ),
        remedy: format!("tenantry approval approve {id} (or: tenantry approval reject {id} --reason …)"),
    }
}

/// The verb as the first person asked for it; the second one is named in its reason.
fn verb_event(
    approval: &Approval,
    step: HookRef,
    seen: Expected,
    second: &str,
    said: Option<&str>,
) -> Result<Event> {
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
        step,
        verb,
        by: approval.requested_by.clone(),
        reason: Some(reason),
        expected: Some(seen),
    })
}
