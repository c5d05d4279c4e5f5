//! Reading an attempt's log, also while it is being written.

use crate::{Manager, Result};
use async_trait::async_trait;
use futures::FutureExt;
use std::time::Duration;
use tenantry_model::AttemptId;

/// Where attempts' logs are kept. The manager knows offsets and bytes, not files.
#[async_trait]
pub trait AttemptLogs: Send + Sync + 'static {
    /// Stores `data` at `offset`; what is stored already is passed over, so that a repeated piece changes nothing.
    async fn append(&self, attempt: &AttemptId, offset: u64, data: &[u8], last: bool) -> Result<()>;
    /// How many bytes of the log have been taken in; 0 if there is none.
    async fn length(&self, attempt: &AttemptId) -> Result<u64>;
    /// Up to `limit` bytes from `offset` on; `data` is empty at the end.
    async fn read(&self, attempt: &AttemptId, offset: u64, limit: usize) -> Result<LogPart>;
    /// Resolves after the next append to this attempt's log; may wake for nothing.
    async fn changed(&self, attempt: &AttemptId);
}

/// A part of an attempt's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPart {
    /// Where it begins (may be later than asked for, when the middle of the log was cut).
    pub offset: u64,
    /// The bytes.
    pub data: Vec<u8>,
    /// Where to go on.
    pub next: u64,
    /// Nothing follows `next`.
    pub complete: bool,
    /// Bytes that were cut between the offset asked for and `offset`.
    pub cut: u64,
}

impl Manager {
    /// Up to `limit` bytes of an attempt's log from `offset` on; waits up to `wait` when there is nothing yet.
    pub async fn read_log(
        &self,
        attempt: &AttemptId,
        offset: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<LogPart> {
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            // Listening begins before looking, so that an append in between is not missed.
            let mut changed = self.logs.changed(attempt);
            let woken = (&mut changed).now_or_never().is_some();
            let part = self.logs.read(attempt, offset, limit).await?;
            if !part.data.is_empty() || part.complete {
                return Ok(part);
            }
            if !woken && tokio::time::timeout_at(deadline, changed).await.is_err() {
                return Ok(part);
            }
        }
    }
}
