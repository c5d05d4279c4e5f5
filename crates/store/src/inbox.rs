//! Rows about messages that asked for an operation and were refused.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tenantry_model::{LetterId, TokenId};

/// A message from a stream that was refused. Nobody hears an answer there, so it is kept until a person decides. Key: id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LetterRow {
    /// Made of its place in the stream: a message that comes twice is one row. Sorts by when it was published.
    pub id: LetterId,
    /// `STREAM/SEQUENCE`.
    pub place: String,
    /// What it was published under.
    pub subject: String,
    /// `source` of the event, if it is one.
    pub source: Option<String>,
    /// Its `id`, if it is one.
    pub event: Option<String>,
    /// Stable code of the refusal.
    pub code: String,
    /// Why it was refused, for people.
    pub problem: String,
    /// The credential under which it was refused.
    pub token: TokenId,
    /// When it was published.
    pub published_at: Timestamp,
    /// When it was refused.
    pub at: Timestamp,
    /// Its headers that say what it is (`content-type`, `ce-*`).
    pub headers: Vec<(String, String)>,
    /// Its beginning, as text; what is no UTF-8 is replaced.
    pub body: String,
    /// So many bytes it had.
    pub size: u64,
    /// `body` is all of it, byte for byte: it can be tried again.
    pub whole: bool,
}
