//! Reading what waits for a person.

use crate::{Manager, Principal, Result};
use tenantry_model::{Attention, Page, Paged};
use tenantry_store::AttentionFilter;

impl Manager {
    /// Things that wait for a person, oldest first; the filter's scopes are replaced by the caller's.
    pub async fn attentions(
        &self,
        who: &Principal,
        filter: AttentionFilter,
        page: &Page,
    ) -> Result<Paged<Attention>> {
        let filter = AttentionFilter { scopes: who.filter(), ..filter };
        Ok(self.store.read().await?.attentions(&filter, page).await?)
    }
}
