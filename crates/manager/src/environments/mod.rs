//! Environments: what clients wish, and the lifecycle methods that bring it about.

mod types;

pub use types::*;

use crate::{Manager, OperationAnswer, Principal, Result};
use tenantry_model::{AppliedHook, Environment, EnvironmentId, Page, Paged};
use tenantry_store::{AuditEntry, EnvironmentFilter};

impl Manager {
    /// Makes an environment and requests its first upsert.
    pub async fn create_environment(
        &self,
        who: &Principal,
        new: NewEnvironment,
        options: ChangeOptions,
    ) -> Result<EnvironmentAnswer> {
        todo!()
    }

    /// One environment.
    pub async fn environment(&self, key: &EnvironmentKey) -> Result<Environment> {
        todo!()
    }

    /// Environments by id; the filter's scopes are replaced by the caller's.
    pub async fn environments(
        &self,
        who: &Principal,
        filter: EnvironmentFilter,
        page: &Page,
    ) -> Result<Paged<Environment>> {
        todo!()
    }

    /// What hooks have applied for an environment, by hook.
    pub async fn applied(&self, id: EnvironmentId) -> Result<Vec<AppliedHook>> {
        todo!()
    }

    /// Changes what is wished. The generation is raised only by a real difference.
    pub async fn update_environment(
        &self,
        who: &Principal,
        id: EnvironmentId,
        change: EnvironmentChange,
        options: ChangeOptions,
    ) -> Result<EnvironmentAnswer> {
        todo!()
    }

    /// Suspend, resume, backup, restore, decommission, undelete, reconcile.
    pub async fn lifecycle(
        &self,
        who: &Principal,
        id: EnvironmentId,
        what: Lifecycle,
        options: LifecycleOptions,
    ) -> Result<OperationAnswer> {
        todo!()
    }

    /// Entries of the environment's audit chain (`None`: of what belongs to none) after a position, in order.
    pub async fn audit(&self, id: Option<EnvironmentId>, after: u64, limit: u32) -> Result<Vec<AuditEntry>> {
        todo!()
    }

    /// Recomputes a chain from its first entry; `Err(position)` inside: the first entry that does not fit.
    pub async fn verify_audit(&self, id: Option<EnvironmentId>) -> Result<std::result::Result<u64, u64>> {
        todo!()
    }

    /// The platform's JSON Schema of `spec`, if one is set.
    pub async fn platform_schema(&self) -> Result<Option<serde_json::Value>> {
        todo!()
    }

    /// Sets or removes it; later creates and updates are checked against it.
    pub async fn set_platform_schema(
        &self,
        who: &Principal,
        schema: Option<serde_json::Value>,
    ) -> Result<()> {
        todo!()
    }
}
