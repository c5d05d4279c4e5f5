//! Operations: asking for one, steering it, reading it.

mod types;

pub use types::*;

use crate::{Manager, Principal, Result};
use tenantry_engine::{Expected, StepVerb};
use tenantry_model::{EnvironmentId, HookRef, Operation, OperationId, OperationName, Page, Paged};
use tenantry_store::OperationFilter;

impl Manager {
    /// Requests an operation for an environment. Builtin lifecycle names have preconditions of their own: use
    /// [`Manager::lifecycle`] for them; this refuses `lifecycle.*`.
    pub async fn request_operation(
        &self,
        who: &Principal,
        environment: EnvironmentId,
        new: NewOperation,
    ) -> Result<OperationAnswer> {
        todo!()
    }

    /// One operation with steps and attempts.
    pub async fn operation(&self, id: OperationId) -> Result<OperationView> {
        todo!()
    }

    /// Operations, newest first; the filter's scopes are replaced by the caller's.
    pub async fn operations(
        &self,
        who: &Principal,
        filter: OperationFilter,
        page: &Page,
    ) -> Result<Paged<Operation>> {
        todo!()
    }

    /// A verb on a step: rerun, kill, skip, confirm, declare-lost.
    pub async fn steer_step(
        &self,
        who: &Principal,
        operation: OperationId,
        step: &HookRef,
        verb: StepVerb,
        reason: Option<String>,
        expected: Option<Expected>,
    ) -> Result<OperationView> {
        todo!()
    }

    /// Cancels an operation: no new steps start, what runs is ended.
    pub async fn cancel_operation(
        &self,
        who: &Principal,
        operation: OperationId,
        reason: String,
        expected: ExpectedOperation,
    ) -> Result<OperationView> {
        todo!()
    }

    /// Why a hook does or does not run for an environment.
    pub async fn explain_hook(
        &self,
        hook: &HookRef,
        environment: EnvironmentId,
        operation: &OperationName,
    ) -> Result<Explanation> {
        todo!()
    }
}
