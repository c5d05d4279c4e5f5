//! Answers to requests with an Idempotency-Key. The change itself claims the key in its own transaction (see
//! [`crate::RequestKey`]); the api stores the full answer afterwards, and replays it.

use crate::{Manager, Principal, Result};
use tenantry_store::IdempotentAnswer;

/// An answer to be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// The ETag, if one was sent.
    pub etag: Option<String>,
}

impl Manager {
    /// Before the request: the answer that was given to the principal's request key. Errors: `KeyReused` for
    /// another request under the same key, `AlreadyApplied` when it was carried out but its answer is not stored.
    pub async fn replay(&self, who: &Principal) -> Result<Option<StoredAnswer>> {
        todo!()
    }

    /// After the request: keeps its answer.
    pub async fn remember(&self, who: &Principal, answer: StoredAnswer) -> Result<()> {
        todo!()
    }
}
