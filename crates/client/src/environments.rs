//! Tenants and environments.

use crate::{Call, Client, Result};
use reqwest::Method;
use tenantry_api_types::v1::{
    Accepted, CreateEnvironment, CreateTenant, DecommissionEnvironment, Environment, EnvironmentsQuery, List,
    PageQuery, RestoreEnvironment, RunOperation, StartOperation, Tenant, UpdateEnvironment, UpdateTenant,
};
use tenantry_model::{Alias, EnvironmentId, EnvironmentName, TenantName};

impl Client {
    /// One page of tenants, by name.
    pub async fn tenants(&self, page: &PageQuery) -> Result<List<Tenant>> {
        self.get("v1/tenants", page).await
    }
    /// One tenant.
    pub async fn tenant(&self, name: &TenantName) -> Result<Tenant> {
        self.get(&format!("v1/tenants/{name}"), &()).await
    }
    /// Makes a tenant.
    pub async fn create_tenant(&self, body: &CreateTenant, call: &Call) -> Result<Tenant> {
        self.post("v1/tenants", body, call).await
    }
    /// Changes a tenant; needs `if_match`.
    pub async fn update_tenant(&self, name: &TenantName, body: &UpdateTenant, call: &Call) -> Result<Tenant> {
        let request = self.change(Method::PATCH, &format!("v1/tenants/{name}"), Some(body), call)?;
        self.json(&self.send(&request).await?)
    }
    /// Removes a tenant without environments; needs `if_match`.
    pub async fn delete_tenant(&self, name: &TenantName, call: &Call) -> Result<()> {
        let request = self.change(Method::DELETE, &format!("v1/tenants/{name}"), None::<&()>, call)?;
        self.send(&request).await.map(drop)
    }

    /// One page of environments, by id.
    pub async fn environments(&self, query: &EnvironmentsQuery) -> Result<List<Environment>> {
        self.get("v1/environments", query).await
    }
    /// One environment, with its status.
    pub async fn environment(&self, id: EnvironmentId) -> Result<Environment> {
        self.get(&format!("v1/environments/{id}"), &()).await
    }
    /// One environment by its tenant's and its own name, with its status.
    pub async fn environment_by_name(
        &self,
        tenant: &TenantName,
        name: &EnvironmentName,
    ) -> Result<Environment> {
        self.get(&format!("v1/tenants/{tenant}/environments/{name}"), &()).await
    }
    /// The environment with this alias, if there is one that the credential may see.
    pub async fn environment_by_alias(&self, alias: &Alias) -> Result<Option<Environment>> {
        let query = EnvironmentsQuery { alias: Some(alias.clone()), ..EnvironmentsQuery::default() };
        Ok(self.environments(&query).await?.items.into_iter().next())
    }
    /// Makes an environment and starts its first upsert.
    pub async fn create_environment(&self, body: &CreateEnvironment, call: &Call) -> Result<Accepted> {
        self.post("v1/environments", body, call).await
    }
    /// Changes an environment and starts an upsert if that is needed; needs `if_match`.
    pub async fn update_environment(
        &self,
        id: EnvironmentId,
        body: &UpdateEnvironment,
        call: &Call,
    ) -> Result<Accepted> {
        let request = self.change(Method::PATCH, &format!("v1/environments/{id}"), Some(body), call)?;
        self.json(&self.send(&request).await?)
    }
    /// An upsert at the unchanged generation.
    pub async fn reconcile(&self, id: EnvironmentId, body: &StartOperation, call: &Call) -> Result<Accepted> {
        self.start(id, "reconcile", body, call).await
    }
    /// Switches the environment off.
    pub async fn suspend(&self, id: EnvironmentId, body: &StartOperation, call: &Call) -> Result<Accepted> {
        self.start(id, "suspend", body, call).await
    }
    /// Switches a suspended environment on.
    pub async fn resume(&self, id: EnvironmentId, body: &StartOperation, call: &Call) -> Result<Accepted> {
        self.start(id, "resume", body, call).await
    }
    /// Writes a backup.
    pub async fn backup(&self, id: EnvironmentId, body: &StartOperation, call: &Call) -> Result<Accepted> {
        self.start(id, "backup", body, call).await
    }
    /// Reads a backup back.
    pub async fn restore(
        &self,
        id: EnvironmentId,
        body: &RestoreEnvironment,
        call: &Call,
    ) -> Result<Accepted> {
        self.post(&format!("v1/environments/{id}:restore"), body, call).await
    }
    /// Tears the environment down; it can be undeleted until its retention ends.
    pub async fn decommission(
        &self,
        id: EnvironmentId,
        body: &DecommissionEnvironment,
        call: &Call,
    ) -> Result<Accepted> {
        self.post(&format!("v1/environments/{id}:decommission"), body, call).await
    }
    /// Brings a decommissioned environment back.
    pub async fn undelete(&self, id: EnvironmentId, body: &StartOperation, call: &Call) -> Result<Accepted> {
        self.start(id, "undelete", body, call).await
    }
    /// Runs any operation by name.
    pub async fn run_operation(
        &self,
        id: EnvironmentId,
        body: &RunOperation,
        call: &Call,
    ) -> Result<Accepted> {
        self.post(&format!("v1/environments/{id}:run"), body, call).await
    }

    async fn start(
        &self,
        id: EnvironmentId,
        verb: &str,
        body: &StartOperation,
        call: &Call,
    ) -> Result<Accepted> {
        self.post(&format!("v1/environments/{id}:{verb}"), body, call).await
    }
}
