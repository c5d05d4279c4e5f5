//! Nobody decided in time, or there is nothing left to be decided.

use crate::error::Result;
use crate::repeat::repeating;
use crate::work::Work;
use crate::{Manager, Principal, outbox};
use tenantry_failpoints::Point;
use tenantry_model::{Approval, ApprovalState, EnvironmentState, Page};
use tenantry_store::ApprovalFilter;

impl Manager {
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
}
