//! Regions: made by an admin, joined by an agent.

use crate::{IssuedToken, Manager, Principal, Result};
use tenantry_model::{Region, RegionName};

impl Manager {
    /// Makes a region.
    pub async fn create_region(&self, who: &Principal, name: RegionName) -> Result<Region> {
        todo!()
    }

    /// One region.
    pub async fn region(&self, name: &RegionName) -> Result<Region> {
        todo!()
    }

    /// The regions that the caller may see, by name.
    pub async fn regions(&self, who: &Principal) -> Result<Vec<Region>> {
        todo!()
    }

    /// Whether the region's agent has spoken lately.
    #[must_use]
    pub fn is_alive(&self, region: &Region) -> bool {
        todo!()
    }

    /// A token with which one agent can join the region, once. The secret is shown only here.
    pub async fn create_join_token(&self, who: &Principal, region: &RegionName) -> Result<IssuedToken> {
        todo!()
    }
}
