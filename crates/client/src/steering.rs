//! Holds by predicate, and verbs that wait for a second person.

use crate::{Call, Client, Result};
use tenantry_api_types::v1::{
    Approval, ApprovalsQuery, CreateHold, DecideApproval, DecidedApproval, Hold, HoldsQuery, LiftHold, List,
};
use tenantry_model::{ApprovalId, HoldId};

impl Client {
    /// One page of holds, oldest first.
    pub async fn holds(&self, query: &HoldsQuery) -> Result<List<Hold>> {
        self.get("v1/holds", query).await
    }
    /// One hold, and the steps that it holds.
    pub async fn hold(&self, id: HoldId) -> Result<Hold> {
        self.get(&format!("v1/holds/{id}"), &()).await
    }
    /// Sets a hold.
    pub async fn create_hold(&self, body: &CreateHold, call: &Call) -> Result<Hold> {
        self.post("v1/holds", body, call).await
    }
    /// Lifts a hold. Doing it twice changes nothing.
    pub async fn lift_hold(&self, id: HoldId, body: &LiftHold, call: &Call) -> Result<Hold> {
        self.post(&format!("v1/holds/{id}:lift"), body, call).await
    }
    /// One page of verbs that wait for a second person, oldest first.
    pub async fn approvals(&self, query: &ApprovalsQuery) -> Result<List<Approval>> {
        self.get("v1/approvals", query).await
    }
    /// One of them.
    pub async fn approval(&self, id: ApprovalId) -> Result<Approval> {
        self.get(&format!("v1/approvals/{id}"), &()).await
    }
    /// Carries the verb out; needs another credential than the one that asked.
    pub async fn approve(
        &self,
        id: ApprovalId,
        body: &DecideApproval,
        call: &Call,
    ) -> Result<DecidedApproval> {
        self.post(&format!("v1/approvals/{id}:approve"), body, call).await
    }
    /// The verb is not carried out.
    pub async fn reject(
        &self,
        id: ApprovalId,
        body: &DecideApproval,
        call: &Call,
    ) -> Result<DecidedApproval> {
        self.post(&format!("v1/approvals/{id}:reject"), body, call).await
    }
}
