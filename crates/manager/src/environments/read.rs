//! Reading environments.

use super::EnvironmentKey;
use crate::error::{ManagerError, Result};
use crate::{Manager, Principal, Target};
use tenantry_model::{Alias, AppliedHook, Environment, EnvironmentId, Page, Paged, Role};
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

    /// The environment with this alias, if there is one that the caller may see.
    pub async fn environments_by_alias(&self, who: &Principal, alias: Alias) -> Result<Vec<Environment>> {
        let found = self.store.read().await?.environment_by_alias(&alias).await?;
        let visible = |environment: &Environment| {
            let target = Target::Environment {
                tenant: environment.tenant.clone(),
                region: environment.region.clone(),
            };
            who.may(Role::Viewer, &target)
        };
        Ok(found.into_iter().filter(visible).collect())
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
