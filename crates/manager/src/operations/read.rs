//! Reading operations.

use super::{OperationView, WorkflowView};
use crate::error::{ManagerError, Result};
use crate::work::Work;
use crate::{Manager, ManagerConfig, Principal, Target};
use tenantry_model::{AttemptId, Environment, Operation, OperationId, Page, Paged};
use tenantry_store::{OperationFilter, Read};

impl Manager {
    /// One operation with steps and attempts.
    pub async fn operation(&self, id: OperationId) -> Result<OperationView> {
        view(&mut *self.store.read().await?, id, &self.config).await
    }

    /// One operation without its steps: of a large one they are megabytes.
    pub async fn operation_row(&self, id: OperationId) -> Result<Operation> {
        let found = self.store.read().await?.operation(id).await?;
        found.ok_or_else(|| ManagerError::not_found("operation", id))
    }

    /// Whose operation it is.
    pub async fn operation_target(&self, id: OperationId) -> Result<Target> {
        let mut read = self.store.read().await?;
        let operation = read.operation(id).await?.ok_or_else(|| ManagerError::not_found("operation", id))?;
        let environment = environment_of(&mut *read, &operation).await?;
        Ok(Target::of(&environment))
    }

    /// Whether there is such an attempt; of a large operation nothing else is read for it.
    pub async fn has_attempt(&self, id: &AttemptId) -> Result<bool> {
        Ok(self.runs.has_attempt(id) || self.store.read().await?.attempt(id).await?.is_some())
    }

    /// Operations, newest first; the filter's scopes are replaced by the caller's.
    pub async fn operations(
        &self,
        who: &Principal,
        filter: OperationFilter,
        page: &Page,
    ) -> Result<Paged<Operation>> {
        let filter = OperationFilter { scopes: who.filter(), ..filter };
        Ok(self.store.read().await?.operations(&filter, page).await?)
    }
}

impl Work<'_> {
    /// The operation as this unit leaves it.
    pub(crate) async fn view(&mut self, id: OperationId) -> Result<OperationView> {
        view(&mut *self.tx, id, &self.manager.config).await
    }
}

async fn view(read: &mut (dyn Read + '_), id: OperationId, config: &ManagerConfig) -> Result<OperationView> {
    let operation = read.operation(id).await?.ok_or_else(|| ManagerError::not_found("operation", id))?;
    let environment = environment_of(read, &operation).await?;
    let workflows = read.workflows(id).await?.into_iter().map(|row| WorkflowView {
        url: row.name.as_ref().and_then(|name| Some(page(config.argo_pages.get(&row.region)?, name))),
        region: row.region,
        round: row.round,
        requested_at: row.requested_at,
        accepted_at: row.accepted_at,
        discovered_at: row.discovered_at,
        ended: row.ended,
        problem: row.problem,
        name: row.name,
    });
    Ok(OperationView {
        workflows: workflows.collect(),
        steps: read.steps(id).await?,
        attempts: read.attempts(id).await?,
        replays: read.replays(id).await?,
        operation,
        tenant: environment.tenant,
        environment_name: environment.name,
        region: environment.region,
    })
}

/// The page of a Workflow, `namespace/name`.
fn page(pages: &str, name: &str) -> String {
    format!("{pages}/workflows/{name}")
}

async fn environment_of(read: &mut (dyn Read + '_), operation: &Operation) -> Result<Environment> {
    read.environment(operation.environment).await?.ok_or_else(|| {
        ManagerError::Internal(format!("operation {} belongs to no environment that is kept", operation.id))
    })
}
