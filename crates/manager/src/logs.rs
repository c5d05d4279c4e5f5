//! Reading an attempt's log, also while it is being written.

use crate::{Manager, ManagerError, Result};
use std::time::Duration;
use tenantry_logs::{Chunk, LogError};
use tenantry_model::AttemptId;
use tokio::time::{Instant, timeout_at};

/// Largest part that is read at once, in bytes.
const PART_LIMIT: usize = 1024 * 1024;

impl Manager {
    /// Up to `limit` bytes of an attempt's log from `offset` on; waits up to `wait` when there is nothing yet. The
    /// part is empty when nothing came; `end` says that nothing will.
    pub async fn read_log(
        &self,
        attempt: &AttemptId,
        offset: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Chunk> {
        let deadline = Instant::now() + wait;
        // Listening begins before looking, so that an append in between is not missed.
        let mut changes = self.logs.changed(attempt);
        loop {
            let part = self
                .logs
                .read(attempt, offset, limit.clamp(1, PART_LIMIT))
                .await
                .map_err(|error| failed(attempt, error))?;
            if !part.bytes.is_empty() || part.end {
                return Ok(part);
            }
            // Nobody will write to a log that was removed: a reader must not wait for it.
            if part.offset == 0 && self.log_is_removed(attempt).await? {
                let text = "… the log was removed: it is older than logs are kept …\n";
                let missing = Some(tenantry_logs::Missing::LeftOut(0));
                return Ok(Chunk { bytes: text.into(), end: true, missing, ..part });
            }
            // Another manager may be the one that stores it.
            let until = self.logs.look_again().map_or(deadline, |pause| deadline.min(Instant::now() + pause));
            let heard = timeout_at(until, changes.changed()).await;
            if !matches!(heard, Ok(Ok(()))) && until >= deadline {
                return Ok(part);
            }
        }
    }
}

pub(crate) fn failed(attempt: &AttemptId, error: LogError) -> ManagerError {
    match error {
        LogError::BadOffset { offset, .. } => {
            ManagerError::field("/chunks", format!("offset {offset} of attempt {attempt} is too large"))
        }
        error => ManagerError::Logs { what: attempt.to_string(), source: Box::new(error) },
    }
}

pub(crate) fn unlisted(error: LogError) -> ManagerError {
    ManagerError::Logs { what: "the log folder".to_owned(), source: Box::new(error) }
}
