//! What everybody sees of a question to a second person: its row, its event, its audit entry, its attention.

use crate::error::Result;
use crate::outbox;
use crate::work::{Note, Work};
use serde_json::Value;
use tenantry_engine::Raised;
use tenantry_model::{Approval, ApprovalId, AttentionKind, Environment};

impl Work<'_> {
    pub(super) async fn close(
        &mut self,
        approval: &Approval,
        action: &str,
        reason: Option<&str>,
        before: Value,
    ) -> Result<()> {
        self.put_approval(approval, action, reason, before).await?;
        self.settle_attention(&key(approval.id)).await
    }

    pub(super) async fn put_approval(
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

    pub(super) async fn raise_pending(&mut self, approval: &Approval) -> Result<()> {
        let environment = self.environment()?;
        let (id, raised) = (environment.id, pending(approval, environment));
        self.raise_about(Some(id), approval.operation(), &raised).await
    }
}

fn key(id: ApprovalId) -> String {
    format!("approval-pending/{id}")
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
