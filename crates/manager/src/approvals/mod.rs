//! A second person for verbs that change the truth by hand: one asks, another carries it out.
//!
//! The verb is kept with the state in which its step (or environment) was, and is applied only to that state. A crash
//! leaves it pending or decided, never both: the decision and what it does are one transaction.

mod ask;
mod expire;
mod keep;

use crate::error::{ManagerError, Result};
use crate::operations::check_reason;
use crate::repeat::repeating;
use crate::work::Work;
use crate::{KeptAnswer, Manager, OperationView, Principal, PurgeAnswer, Purged, Steered, Target, outbox};
use serde_json::json;
use tenantry_engine::{Event, Expected, StepVerb};
use tenantry_failpoints::Point;
use tenantry_model::{Approval, ApprovalId, ApprovalState, ApprovalTarget, HookRef, Page, Paged};
use tenantry_mutants::{self as mutants, Mutant};
use tenantry_store::ApprovalFilter;

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
}

impl Work<'_> {
    /// Another credential, with at least the first person's role on the environment.
    fn may_approve(&self, approval: &Approval) -> Result<()> {
        if self.who.token == approval.token && !mutants::on(Mutant::OwnApproval) {
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
