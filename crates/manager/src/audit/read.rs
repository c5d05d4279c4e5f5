//! Reading the audit log: one chain, or all chains by time.

use crate::{Manager, Result};
use tenantry_audit::hash_of;
use tenantry_model::{EnvironmentId, Page, Paged};
use tenantry_store::{AuditEntry, AuditFilter};

impl Manager {
    /// Entries of the environment's audit chain (`None`: of what belongs to none) after a position, in order.
    pub async fn audit(&self, id: Option<EnvironmentId>, after: u64, limit: u32) -> Result<Vec<AuditEntry>> {
        Ok(self.store.read().await?.audit(id, after, limit.clamp(1, 1000)).await?)
    }

    /// Entries of all chains by time.
    pub async fn audit_entries(&self, filter: &AuditFilter, page: &Page) -> Result<Paged<AuditEntry>> {
        Ok(self.store.read().await?.audit_entries(filter, page).await?)
    }

    /// Recomputes a chain from its first entry. Inside: how many entries it has, or the position of the first entry
    /// that does not fit.
    pub async fn verify_audit(&self, id: Option<EnvironmentId>) -> Result<std::result::Result<u64, u64>> {
        let (mut position, mut previous) = (0, String::new());
        loop {
            let entries = self.store.read().await?.audit(id, position, 500).await?;
            if entries.is_empty() {
                return Ok(Ok(position));
            }
            for entry in entries {
                position += 1;
                let fits =
                    entry.position == position && entry.previous == previous && entry.hash == hash_of(&entry);
                if !fits {
                    return Ok(Err(position));
                }
                previous = entry.hash;
            }
        }
    }
}
