//! Messages that asked for an operation and were refused.

use crate::{Call, Client, Result};
use tenantry_api_types::v1::{
    Accepted, DiscardMessages, DiscardedMessages, List, PageQuery, RefusedMessage, RetryMessage,
};
use tenantry_model::LetterId;

impl Client {
    /// One page of messages that were refused, by when they were published.
    pub async fn refused_messages(&self, query: &PageQuery) -> Result<List<RefusedMessage>> {
        self.get("v1/inbox/dead-letters", query).await
    }
    /// One of them, with what is kept of it.
    pub async fn refused_message(&self, id: LetterId) -> Result<RefusedMessage> {
        self.get(&format!("v1/inbox/dead-letters/{id}"), &()).await
    }
    /// Does after all what it asked for.
    pub async fn retry_message(&self, id: LetterId, body: &RetryMessage, call: &Call) -> Result<Accepted> {
        self.post(&format!("v1/inbox/dead-letters/{id}:retry"), body, call).await
    }
    /// Throws refused messages away.
    pub async fn discard_messages(&self, body: &DiscardMessages, call: &Call) -> Result<DiscardedMessages> {
        self.post("v1/inbox/dead-letters:discard", body, call).await
    }
}
