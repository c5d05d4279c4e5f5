//! `/v1/inbox`: messages that asked for an operation and were refused.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tenantry_model::{LetterId, TokenId};
use utoipa::ToSchema;

/// A message that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusedMessage {
    /// Sorts by when it was published.
    pub id: LetterId,
    /// `STREAM/SEQUENCE`.
    pub place: String,
    /// What it was published under.
    pub subject: String,
    /// `source` of the event, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its `id`, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Code of the refusal, as a problem has it.
    pub code: String,
    /// Why it was refused.
    pub problem: String,
    /// The credential under which it was refused.
    pub token: TokenId,
    /// When it was published.
    pub published_at: Timestamp,
    /// When it was refused.
    pub refused_at: Timestamp,
    /// So many bytes it had.
    pub size: u64,
    /// All of it is kept, so that it can be tried again.
    pub whole: bool,
    /// Its headers that say what it is; only in the answer for one message, never in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Vec<MessageHeader>>,
    /// What is kept of it; only in the answer for one message, never in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// A header of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageHeader {
    /// In lower case.
    pub name: String,
    /// What it says.
    pub value: String,
}

/// Has a refused message tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetryMessage {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Throws refused messages away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiscardMessages {
    /// Which, at most 1,000; all, if there are none.
    #[serde(default)]
    pub messages: Vec<LetterId>,
    /// Why.
    pub reason: String,
}

/// Which refused messages were thrown away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiscardedMessages {
    /// Their ids.
    pub messages: Vec<LetterId>,
    /// There are others: ask again.
    pub more: bool,
}
