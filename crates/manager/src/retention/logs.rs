//! Logs of finished operations, which may go before their rows, and what a crash left of them.

use super::before;
use crate::Manager;
use crate::error::Result;
use jiff::Timestamp;
use tenantry_model::AttemptId;
use tokio::time::Instant;

impl Manager {
    /// Logs that are old, and those that belong to nothing. Gives both counts, and whether time ran out.
    pub(super) async fn retire_logs(
        &self,
        now: Timestamp,
        deadline: Instant,
        preview: bool,
        mut more: bool,
    ) -> Result<(u64, u64, bool)> {
        let (mut old, mut orphans) = (0, 0);
        let before = before(now, self.config.retention.logs);
        for id in self.logs.operations().await.map_err(crate::logs::unlisted)? {
            more |= Instant::now() >= deadline;
            if more {
                break;
            }
            let operation = self.store.read().await?.operation(id).await?;
            let ended = operation.as_ref().and_then(|operation| operation.ended_at);
            let expired = before.zip(ended).is_some_and(|(before, ended)| ended < before);
            match operation {
                None => orphans += 1,
                Some(_) if expired => old += 1,
                Some(_) => continue,
            }
            if !preview {
                self.logs.remove(id).await.map_err(crate::logs::unlisted)?;
            }
        }
        Ok((old, orphans, more))
    }

    /// Whether the attempt's log was removed by its age.
    pub(crate) async fn log_is_removed(&self, attempt: &AttemptId) -> Result<bool> {
        let Some(before) = before(self.now(), self.config.retention.logs) else { return Ok(false) };
        let operation = self.store.read().await?.operation(attempt.operation).await?;
        Ok(operation.and_then(|operation| operation.ended_at).is_some_and(|ended| ended < before))
    }
}
