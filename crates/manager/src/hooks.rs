//! Hooks as the centre knows them.

use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::work::Note;
use crate::{KeptAnswer, Manager, Principal, Target, outbox};
use tenantry_engine::keys;
use tenantry_failpoints::Point;
use tenantry_model::{HookRef, Page, Paged, RegionName, Role, Scope};
use tenantry_store::{HookRow, Retired};

impl Manager {
    /// One hook.
    pub async fn hook(&self, hook: &HookRef) -> Result<HookRow> {
        let row = self.store.read().await?.hook(hook).await?;
        row.ok_or_else(|| ManagerError::not_found("hook", hook))
    }

    /// Hooks of one region or of all that the caller may see, by `region/namespace/name`. Without a region, a page of
    /// a caller with region scopes may hold fewer than asked for.
    pub async fn hooks(
        &self,
        who: &Principal,
        region: Option<&RegionName>,
        page: &Page,
    ) -> Result<Paged<HookRow>> {
        let only = match (region, who.filter().as_deref()) {
            // Exactly one region in sight: no page of others has to be passed over.
            (None, Some([Scope::Region(mine)])) => Some(mine.clone()),
            (region, _) => region.cloned(),
        };
        let mut part = self.store.read().await?.hooks_page(only.as_ref(), page).await?;
        part.items.retain(|row| who.may(Role::Viewer, &Target::Region(row.hook.region.clone())));
        Ok(part)
    }

    /// Declares that an absent hook is removed for good: plans no longer miss it. Retiring twice changes nothing.
    pub async fn retire_hook(&self, who: &Principal, hook: &HookRef, reason: String) -> Result<HookRow> {
        if reason.trim().is_empty() {
            return Err(ManagerError::field("/reason", "retiring a hook needs a reason"));
        }
        repeating(|| async {
            let mut work = self.begin(who).await?;
            let mut row = work.tx.hook(hook).await?.ok_or_else(|| ManagerError::not_found("hook", hook))?;
            if row.retired.is_some() {
                work.unchanged(KeptAnswer::Hook(Box::new(row.clone()))).await?;
                return Ok(row);
            }
            if row.absent_since.is_none() {
                return Err(ManagerError::HookPresent(hook.to_string()));
            }
            let before = outbox::hook(&row);
            row.retired = Some(Retired { by: who.actor.clone(), reason: reason.clone(), at: work.now });
            work.tx.put_hook(&row).await?;
            work.settle_attention(&keys::hook_quarantined(hook)).await?;
            work.settle_attention(&keys::hook_left_out(hook)).await?;
            let after = outbox::hook(&row);
            work.common_event(outbox::HOOK_CHANGED, after.clone()).await?;
            let target = format!("hooks/{hook}");
            work.audit(Note { action: "hook.retire", target, reason: Some(&reason), before, after }).await?;
            work.wake_planning(&hook.region).await?;
            work.answer(KeptAnswer::Hook(Box::new(row.clone())), Point::HookRetire).await?;
            Ok(row)
        })
        .await
    }
}
