//! Regions: made by an admin, joined by an agent.

use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::work::Note;
use crate::{IssuedToken, KeptAnswer, Manager, Principal, Target, outbox};
use jiff::Timestamp;
use serde_json::Value;
use tenantry_failpoints::Point;
use tenantry_model::{Region, RegionName, Role};

impl Manager {
    /// Makes a region.
    pub async fn create_region(&self, who: &Principal, name: RegionName) -> Result<Region> {
        const LIMIT: usize = 1000;
        repeating(|| async {
            let name = name.clone();
            let mut work = self.begin(who).await?;
            if work.tx.region(&name).await?.is_some() {
                return Err(ManagerError::Exists(format!("region {name}")));
            }
            if work.tx.regions().await?.len() >= LIMIT {
                return Err(ManagerError::field("/name", format!("there are {LIMIT} regions already")));
            }
            let region = Region {
                name,
                executor: None,
                agent_version: None,
                session: None,
                last_seen_at: None,
                inventory_complete: false,
                created_at: work.now,
            };
            work.tx.put_region(&region).await?;
            let after = outbox::region(&region);
            work.common_event(outbox::REGION_CHANGED, after.clone()).await?;
            let target = format!("regions/{}", region.name);
            work.audit(Note { action: "region.create", target, reason: None, before: Value::Null, after })
                .await?;
            work.answer(KeptAnswer::Region(region.clone()), Point::RegionCreate).await?;
            Ok(region)
        })
        .await
    }

    /// One region.
    pub async fn region(&self, name: &RegionName) -> Result<Region> {
        let region = self.store.read().await?.region(name).await?;
        region.ok_or_else(|| ManagerError::not_found("region", name))
    }

    /// The regions that the caller may see, by name.
    pub async fn regions(&self, who: &Principal) -> Result<Vec<Region>> {
        let mut regions = self.store.read().await?.regions().await?;
        regions.retain(|region| who.may(Role::Viewer, &Target::Region(region.name.clone())));
        Ok(regions)
    }

    /// After how many seconds without a word a region counts as silent; one at least.
    #[must_use]
    pub fn silent_after_seconds(&self) -> u32 {
        u32::try_from(self.config.agent_silent_after.as_secs()).unwrap_or(u32::MAX).max(1)
    }

    /// Whether the region's agent has spoken lately, or it needs none.
    #[must_use]
    pub fn is_alive(&self, region: &Region) -> bool {
        self.alive_at(region, self.now())
    }

    pub(crate) fn alive_at(&self, region: &Region, now: Timestamp) -> bool {
        let limit = self.config.agent_silent_after;
        // Nobody speaks for one of Argo; a Workflow of it that does not come is told with its operation.
        if self.is_argo(&region.name) {
            return true;
        }
        region.session.is_some() && region.last_seen_at.is_some_and(|seen| now.duration_since(seen) < limit)
    }

    /// A token with which one agent can join the region, once. The secret is shown only here.
    pub async fn create_join_token(&self, who: &Principal, region: &RegionName) -> Result<IssuedToken> {
        self.issue_join_token(who, region).await
    }
}
