//! Log text on its way in. Only for attempts that exist in the sender's region: logs are somebody's data.

use super::LogPiece;
use crate::Manager;
use crate::error::Result;
use crate::logs::failed;
use bytes::Bytes;
use std::collections::BTreeSet;
use tenantry_model::{AttemptId, RegionName};

impl Manager {
    /// Stores log text. Answers with the attempts that are not known or not of this region.
    pub async fn agent_logs(&self, region: &RegionName, pieces: Vec<LogPiece>) -> Result<Vec<AttemptId>> {
        let mut unknown = BTreeSet::new();
        let mut ended = Vec::new();
        for piece in pieces {
            let id = &piece.attempt;
            if id.step.region == *region && self.has_attempt(id).await? {
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

    pub(crate) async fn log_end(&self, attempt: &AttemptId) -> Result<u64> {
        let extent = self.logs.extent(attempt).await.map_err(|error| failed(attempt, error))?;
        Ok(extent.end)
    }
}
