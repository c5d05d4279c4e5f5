//! Operations, their steps, and what waits for a person.

use crate::{Call, Client, Result};
use std::fmt;
use tenantry_api_types::v1::{
    Attention, AttentionQuery, CancelOperation, ConfirmStep, List, Operation, OperationsQuery, SteerStep,
};
use tenantry_model::{HookRef, OperationId};

/// A verb on a step that takes nothing but a reason and an expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepVerb {
    /// Another attempt.
    Rerun,
    /// End the running attempt.
    Kill,
    /// Leave it out.
    Skip,
    /// The unknown attempt will never be heard of again.
    DeclareLost,
}

impl fmt::Display for StepVerb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rerun => "rerun",
            Self::Kill => "kill",
            Self::Skip => "skip",
            Self::DeclareLost => "declare-lost",
        })
    }
}

impl Client {
    /// One page of operations, newest first.
    pub async fn operations(&self, query: &OperationsQuery) -> Result<List<Operation>> {
        self.get("v1/operations", query).await
    }
    /// One operation with its steps and attempts.
    pub async fn operation(&self, id: OperationId) -> Result<Operation> {
        self.get(&format!("v1/operations/{id}"), &()).await
    }
    /// Ends an operation.
    pub async fn cancel(&self, id: OperationId, body: &CancelOperation, call: &Call) -> Result<Operation> {
        self.post(&format!("v1/operations/{id}:cancel"), body, call).await
    }
    /// Steers a step; answers the operation with its steps.
    pub async fn steer(
        &self,
        id: OperationId,
        step: &HookRef,
        verb: StepVerb,
        body: &SteerStep,
        call: &Call,
    ) -> Result<Operation> {
        self.post(&format!("v1/operations/{id}/steps/{}:{verb}", step.slug()), body, call).await
    }
    /// Says that a step was done by hand; answers the operation with its steps.
    pub async fn confirm(
        &self,
        id: OperationId,
        step: &HookRef,
        body: &ConfirmStep,
        call: &Call,
    ) -> Result<Operation> {
        self.post(&format!("v1/operations/{id}/steps/{}:confirm", step.slug()), body, call).await
    }
    /// One page of what waits for a person, oldest first.
    pub async fn attention(&self, query: &AttentionQuery) -> Result<List<Attention>> {
        self.get("v1/attention", query).await
    }
}
