//! Reading environments.

use super::EnvironmentKey;
use crate::error::{ManagerError, Result};
use crate::{Manager, Principal};
use tenantry_model::{AppliedHook, Environment, EnvironmentId, Page, Paged};
use tenantry_store::EnvironmentFilter;

impl Manager {
    /// One environment.
    pub async fn environment(&self, key: &EnvironmentKey) -> Result<Environment> {
        let mut read = self.store.read().await?;
        let found = match key {
            EnvironmentKey::Id(id) => read.environment(*id).await?,
            EnvironmentKey::Name(tenant, name) => read.environment_by_name(tenant, name).await?,
            EnvironmentKey::Alias(alias) => read.environment_by_alias(alias).await?,
        };
        found.ok_or_else(|| ManagerError::not_found("environment", key))
    }

    /// Environments by id; the filter's scopes are replaced by the caller's.
    pub async fn environments(
        &self,
        who: &Principal,
        filter: EnvironmentFilter,
        page: &Page,
    ) -> Result<Paged<Environment>> {
        let filter = EnvironmentFilter { scopes: who.filter(), ..filter };
        Ok(self.store.read().await?.environments(&filter, page).await?)
    }

    /// What hooks have applied for an environment, by hook.
    pub async fn applied(&self, id: EnvironmentId) -> Result<Vec<AppliedHook>> {
        Ok(self.store.read().await?.applied(id).await?)
    }
}
