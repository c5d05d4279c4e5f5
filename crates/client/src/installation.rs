//! Regions, tokens, and who the caller is.

use crate::{Call, Client, Result};
use tenantry_api_types::v1::{
    CreateJoinToken, CreateRegion, CreateToken, CreatedToken, JoinToken, List, PageQuery, Region,
    RevokeToken, Token, WhoAmI,
};
use tenantry_model::{RegionName, TokenId};

impl Client {
    /// One page of regions, by name.
    pub async fn regions(&self, page: &PageQuery) -> Result<List<Region>> {
        self.get("v1/regions", page).await
    }
    /// One region.
    pub async fn region(&self, name: &RegionName) -> Result<Region> {
        self.get(&format!("v1/regions/{name}"), &()).await
    }
    /// Makes a region.
    pub async fn create_region(&self, body: &CreateRegion, call: &Call) -> Result<Region> {
        self.post("v1/regions", body, call).await
    }
    /// Makes a token that lets one agent join the region.
    pub async fn create_join_token(&self, region: &RegionName, call: &Call) -> Result<JoinToken> {
        self.post(&format!("v1/regions/{region}/join-tokens"), &CreateJoinToken {}, call).await
    }

    /// One page of tokens, by id.
    pub async fn tokens(&self, page: &PageQuery) -> Result<List<Token>> {
        self.get("v1/tokens", page).await
    }
    /// Makes a token; its secret is in this answer only.
    pub async fn create_token(&self, body: &CreateToken, call: &Call) -> Result<CreatedToken> {
        self.post("v1/tokens", body, call).await
    }
    /// Refuses a token from now on. Doing it twice changes nothing.
    pub async fn revoke_token(&self, id: TokenId, body: &RevokeToken, call: &Call) -> Result<Token> {
        self.post(&format!("v1/tokens/{id}:revoke"), body, call).await
    }
    /// Who the caller is.
    pub async fn whoami(&self) -> Result<WhoAmI> {
        self.get("v1/whoami", &()).await
    }
}
