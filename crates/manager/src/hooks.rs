//! Hooks as the centre knows them.

use crate::{Manager, Principal, Result};
use tenantry_model::{HookRef, Page, Paged, RegionName};
use tenantry_store::HookRow;

impl Manager {
    /// One hook.
    pub async fn hook(&self, hook: &HookRef) -> Result<HookRow> {
        todo!()
    }

    /// Hooks of one region or of all that the caller may see, by `region/namespace/name`.
    pub async fn hooks(
        &self,
        who: &Principal,
        region: Option<&RegionName>,
        page: &Page,
    ) -> Result<Paged<HookRow>> {
        todo!()
    }

    /// Declares that an absent hook is removed for good: plans no longer miss it.
    pub async fn retire_hook(&self, who: &Principal, hook: &HookRef, reason: String) -> Result<HookRow> {
        todo!()
    }
}
