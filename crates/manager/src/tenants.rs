//! Tenants: they own environments and have no life of their own.

use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::work::{Note, Work};
use crate::{KeptAnswer, Manager, Principal, outbox};
use serde_json::Value;
use tenantry_failpoints::Point;
use tenantry_model::{Page, Paged, Scope, Tenant, TenantName};
use tenantry_store::EnvironmentFilter;

/// Longest display name, in characters.
const DISPLAY_NAME_LIMIT: usize = 200;

impl Manager {
    /// Makes a tenant; `display_name` is free text up to 200 characters.
    pub async fn create_tenant(
        &self,
        who: &Principal,
        name: TenantName,
        display_name: String,
    ) -> Result<Tenant> {
        check_display_name(&display_name)?;
        repeating(|| async {
            let (display_name, name) = (display_name.clone(), name.clone());
            let mut work = self.begin(who).await?;
            if work.tx.tenant(&name).await?.is_some() {
                return Err(ManagerError::Exists(format!("tenant {name}")));
            }
            let tenant = Tenant { name, display_name, revision: 1, created_at: work.now };
            work.tx.put_tenant(&tenant).await?;
            work.tenant_changed("tenant.create", Value::Null, &tenant).await?;
            work.answer(KeptAnswer::Tenant { tenant: tenant.clone(), made: true }, Point::TenantCreate)
                .await?;
            Ok(tenant)
        })
        .await
    }

    /// One tenant.
    pub async fn tenant(&self, name: &TenantName) -> Result<Tenant> {
        let tenant = self.store.read().await?.tenant(name).await?;
        tenant.ok_or_else(|| ManagerError::not_found("tenant", name))
    }

    /// The tenants that the caller may see, by name: all, or those that its scopes name.
    pub async fn tenants(&self, who: &Principal, page: &Page) -> Result<Paged<Tenant>> {
        let mut read = self.store.read().await?;
        let Some(scopes) = who.filter() else { return Ok(read.tenants(page).await?) };
        let mut names: Vec<TenantName> = scopes
            .into_iter()
            .filter_map(|scope| if let Scope::Tenant(name) = scope { Some(name) } else { None })
            .filter(|name| page.after.as_ref().is_none_or(|after| name.as_str() > after.as_str()))
            .collect();
        names.sort_unstable();
        names.dedup();
        let limit = page.limit.clamp(1, 1000) as usize;
        let next = names.get(limit).and(names.get(limit - 1)).map(ToString::to_string);
        let mut items = Vec::new();
        for name in names.iter().take(limit) {
            items.extend(read.tenant(name).await?);
        }
        Ok(Paged { items, next })
    }

    /// Changes the display name. `expected`: the revision that the caller saw.
    pub async fn update_tenant(
        &self,
        who: &Principal,
        name: &TenantName,
        expected: Option<u64>,
        display_name: String,
    ) -> Result<Tenant> {
        check_display_name(&display_name)?;
        repeating(|| async {
            let display_name = display_name.clone();
            let mut work = self.begin(who).await?;
            let mut tenant = work.tenant(name, expected).await?;
            if tenant.display_name == display_name {
                work.unchanged(KeptAnswer::Tenant { tenant: tenant.clone(), made: false }).await?;
                return Ok(tenant);
            }
            let before = outbox::tenant(&tenant);
            tenant.display_name = display_name;
            tenant.revision += 1;
            work.tx.put_tenant(&tenant).await?;
            work.tenant_changed("tenant.update", before, &tenant).await?;
            work.answer(KeptAnswer::Tenant { tenant: tenant.clone(), made: false }, Point::TenantUpdate)
                .await?;
            Ok(tenant)
        })
        .await
    }

    /// Removes a tenant that has no environments (purged ones count not: their ids stay taken all the same).
    pub async fn delete_tenant(
        &self,
        who: &Principal,
        name: &TenantName,
        expected: Option<u64>,
    ) -> Result<()> {
        repeating(|| async {
            let mut work = self.begin(who).await?;
            let tenant = work.tenant(name, expected).await?;
            if work.has_environments(name).await? {
                return Err(ManagerError::TenantInUse(name.to_string()));
            }
            work.tx.delete_tenant(name).await?;
            let before = outbox::tenant(&tenant);
            work.common_event(outbox::TENANT_DELETED, before.clone()).await?;
            let target = format!("tenants/{name}");
            work.audit(Note { action: "tenant.delete", target, reason: None, before, after: Value::Null })
                .await?;
            work.answer(KeptAnswer::Gone, Point::TenantDelete).await
        })
        .await
    }
}

impl Work<'_> {
    async fn tenant(&mut self, name: &TenantName, expected: Option<u64>) -> Result<Tenant> {
        let tenant = self.tx.tenant(name).await?.ok_or_else(|| ManagerError::not_found("tenant", name))?;
        check_revision(|| format!("tenant {name}"), tenant.revision, expected)?;
        Ok(tenant)
    }

    async fn has_environments(&mut self, name: &TenantName) -> Result<bool> {
        let filter = EnvironmentFilter { tenant: Some(name.clone()), ..EnvironmentFilter::default() };
        let page = Page { after: None, limit: 1 };
        Ok(!self.tx.environments(&filter, &page).await?.items.is_empty())
    }

    async fn tenant_changed(&mut self, action: &str, before: Value, tenant: &Tenant) -> Result<()> {
        let after = outbox::tenant(tenant);
        self.common_event(outbox::TENANT_CHANGED, after.clone()).await?;
        let target = format!("tenants/{}", tenant.name);
        self.audit(Note { action, target, reason: None, before, after }).await
    }
}

/// The stated revision must be the present one.
pub(crate) fn check_revision(what: impl Fn() -> String, present: u64, expected: Option<u64>) -> Result<()> {
    match expected {
        Some(stated) if stated != present => Err(ManagerError::Revision { what: what(), present, stated }),
        _ => Ok(()),
    }
}

fn check_display_name(text: &str) -> Result<()> {
    let length = text.chars().count();
    if length > DISPLAY_NAME_LIMIT {
        let message = format!("is {length} characters long; at most {DISPLAY_NAME_LIMIT} are allowed");
        return Err(ManagerError::field("/displayName", message));
    }
    if text.chars().any(char::is_control) {
        return Err(ManagerError::field("/displayName", "must not hold control characters"));
    }
    Ok(())
}
