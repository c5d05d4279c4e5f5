//! Answers to requests with an Idempotency-Key. The change itself claims the key in its own transaction (see
//! [`crate::RequestKey`]); the api stores the full answer afterwards, and replays it.

use crate::error::{ManagerError, Result};
use crate::{Manager, Principal};
use tenantry_failpoints::Point;
use tenantry_store::{IdempotentAnswer, StoreError};

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

/// The key of the full answer.
fn answer_key(who: &Principal, key: &str) -> String {
    let token = who.token.map_or_else(|| "manager".to_owned(), |token| token.to_string());
    format!("{token}/answer/{key}")
}

/// The key of the claim that the change makes.
pub(crate) fn claim_key(who: &Principal, key: &str) -> String {
    let token = who.token.map_or_else(|| "manager".to_owned(), |token| token.to_string());
    format!("{token}/claim/{key}")
}

impl Manager {
    /// Before the request: the answer that was given to the principal's request key.
    ///
    /// # Errors
    /// `KeyReused` for another request under the same key, `AlreadyApplied` when it was carried out but its answer is
    /// not stored (a crash in between, or the first one is not done yet).
    pub async fn replay(&self, who: &Principal) -> Result<Option<StoredAnswer>> {
        let Some(request) = &who.request else { return Ok(None) };
        let mut read = self.store.read().await?;
        let answer = read.idempotent(&answer_key(who, &request.key)).await?;
        if let Some(answer) = answer {
            if answer.request_hash != request.hash {
                return Err(ManagerError::KeyReused);
            }
            return Ok(Some(StoredAnswer { status: answer.status, body: answer.body, etag: answer.etag }));
        }
        match read.idempotent(&claim_key(who, &request.key)).await? {
            Some(claim) if claim.request_hash != request.hash => Err(ManagerError::KeyReused),
            Some(claim) => Err(ManagerError::AlreadyApplied(claim.body)),
            None => Ok(None),
        }
    }

    /// After the request: keeps its answer. The first answer under a key stays.
    pub async fn remember(&self, who: &Principal, answer: StoredAnswer) -> Result<()> {
        let Some(request) = &who.request else { return Ok(()) };
        let mut work = self.begin_one(who).await?;
        let row = IdempotentAnswer {
            key: answer_key(who, &request.key),
            request_hash: request.hash.clone(),
            status: answer.status,
            body: answer.body,
            etag: answer.etag,
            at: work.now,
        };
        match work.tx.put_idempotent(&row).await {
            Err(StoreError::Duplicate(_)) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(()) => work.commit(Point::AnswerKeep).await,
        }
    }
}
