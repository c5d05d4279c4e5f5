//! The agent's [`Sink`]: what executors see goes into the ledger and the log spool.
//!
//! It adds what only the agent knows: why an attempt was killed. It must never know an executor or the network.

use crate::{
    executors::Sink,
    spool::{Ledger, LogSpool},
};
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use std::sync::Arc;
use tenantry_model::{AttemptId, Fact, FailureReason, KillCause, Outcome};

/// Largest piece of log text that is spooled at once; a report holds at least one of them.
const PIECE: usize = 256 * 1024;

pub(crate) struct Recorder {
    pub ledger: Arc<Ledger>,
    pub logs: Arc<LogSpool>,
}

#[async_trait]
impl Sink for Recorder {
    async fn fact(&self, attempt: &AttemptId, mut fact: Fact) {
        if let Fact::Ended { outcome, .. } | Fact::NotStarted { outcome } = &mut fact
            && let Some(cause) = self.ledger.get(attempt).and_then(|record| record.kill)
        {
            explain(outcome, cause);
        }
        if let Fact::NotStarted { outcome } = fact {
            return self.never_started(attempt, outcome);
        }
        self.ledger.fact(attempt, fact, Timestamp::now());
    }

    async fn log(&self, attempt: &AttemptId, offset: u64, bytes: Bytes) {
        let mut at = offset;
        for piece in bytes.chunks(PIECE) {
            if !self.append(attempt, at, piece, false) {
                break;
            }
            at += piece.len() as u64;
        }
        // A hook that writes without a pause must not keep other attempts from their turn.
        tokio::task::yield_now().await;
    }

    fn log_kept(&self, attempt: &AttemptId) -> Option<u64> {
        self.logs.end(attempt)
    }

    async fn log_end(&self, attempt: &AttemptId, offset: u64) {
        self.append(attempt, offset, &[], true);
    }
}

impl Recorder {
    /// Nothing ran and nothing will. Its log ends before it began, else whoever reads it would wait for ever.
    pub fn never_started(&self, attempt: &AttemptId, outcome: Outcome) {
        self.append(attempt, self.logs.end(attempt).unwrap_or(0), &[], true);
        self.ledger.fact(attempt, Fact::NotStarted { outcome }, Timestamp::now());
    }

    /// Tells whether it was taken; the spool has said why not.
    fn append(&self, attempt: &AttemptId, offset: u64, piece: &[u8], last: bool) -> bool {
        self.logs.append(attempt, offset, piece, last).is_ok()
    }
}

/// An attempt that was being killed and did not end with 0 was ended by the kill. An end with 0 is told as it was seen:
/// what it counts as is the engine's decision (docs/decisions/0007-engine.md).
fn explain(outcome: &mut Outcome, cause: KillCause) {
    let by_the_kill = matches!(
        outcome.reason,
        Some(
            FailureReason::HookFailed
                | FailureReason::Deleted
                | FailureReason::Lost
                | FailureReason::Killed
                | FailureReason::BadOutput
        )
    );
    if by_the_kill {
        outcome.reason = Some(reason_of(cause));
    }
}

/// What a kill makes of an attempt that had not ended by itself.
pub(crate) fn reason_of(cause: KillCause) -> FailureReason {
    match cause {
        KillCause::Operator | KillCause::Cancel => FailureReason::Killed,
        KillCause::Timeout => FailureReason::Deadline,
    }
}
