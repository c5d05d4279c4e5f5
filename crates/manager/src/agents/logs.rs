//! Log text on its way in. Only for attempts that exist in the sender's region: logs are somebody's data.

use super::LogPiece;
use crate::Manager;
use crate::error::Result;
use crate::logs::failed;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};
use tenantry_model::{AttemptId, OperationId, RegionName};

impl Manager {
    /// Stores log text. Answers with the attempts that are not known or not of this region.
    pub async fn agent_logs(&self, region: &RegionName, pieces: Vec<LogPiece>) -> Result<Vec<AttemptId>> {
        let mut known: BTreeMap<OperationId, BTreeSet<AttemptId>> = BTreeMap::new();
        let mut unknown = BTreeSet::new();
        let mut ended = Vec::new();
        for piece in pieces {
            let id = &piece.attempt;
            // Text of a running operation comes often, and reading all its attempts each time costs a large one dear.
            let mut is_known = self.runs.has_attempt(id);
            if !is_known {
                if let Entry::Vacant(entry) = known.entry(id.operation) {
                    let attempts = self.store.read().await?.attempts(id.operation).await?;
                    entry.insert(attempts.into_iter().map(|attempt| attempt.id).collect());
                }
                is_known = known.get(&id.operation).is_some_and(|attempts| attempts.contains(id));
            }
            if id.step.region == *region && is_known {
                let stored = self.logs.append(id, piece.offset, Bytes::from(piece.data)).await;
                stored.map_err(|error| failed(id, error))?;
                if piece.last {
                    ended.push(id.clone());
                }
            } else {
                unknown.insert(piece.attempt);
            }
        }
        if let Some(first) = ended.first() {
            self.logs.finish_all(&ended).await.map_err(|error| failed(first, error))?;
        }
        Ok(unknown.into_iter().collect())
    }

    pub(super) async fn log_end(&self, attempt: &AttemptId) -> Result<u64> {
        let extent = self.logs.extent(attempt).await.map_err(|error| failed(attempt, error))?;
        Ok(extent.end)
    }
}
