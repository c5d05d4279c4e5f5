//! Tenants: they own environments and have no life of their own.

use crate::{Manager, Principal, Result};
use tenantry_model::{Page, Paged, Tenant, TenantName};

impl Manager {
    /// Makes a tenant; `display_name` is free text up to 200 characters.
    pub async fn create_tenant(
        &self,
        who: &Principal,
        name: TenantName,
        display_name: String,
    ) -> Result<Tenant> {
        todo!()
    }

    /// One tenant.
    pub async fn tenant(&self, name: &TenantName) -> Result<Tenant> {
        todo!()
    }

    /// The tenants that the caller may see, by name.
    pub async fn tenants(&self, who: &Principal, page: &Page) -> Result<Paged<Tenant>> {
        todo!()
    }

    /// Changes the display name. `expected`: the revision that the caller saw.
    pub async fn update_tenant(
        &self,
        who: &Principal,
        name: &TenantName,
        expected: Option<u64>,
        display_name: String,
    ) -> Result<Tenant> {
        todo!()
    }

    /// Removes a tenant that has no environments.
    pub async fn delete_tenant(
        &self,
        who: &Principal,
        name: &TenantName,
        expected: Option<u64>,
    ) -> Result<()> {
        todo!()
    }
}
