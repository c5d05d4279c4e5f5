//! The door: where an event is delivered to.

use crate::CloudEvent;
use async_trait::async_trait;

/// Takes events, one at a time.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Stable over restarts: the place in the stream is kept under it. Holds no secret.
    fn name(&self) -> &str;
    /// Delivers one event within a time of its own. When it returns `Ok`, the receiver has taken it; after an error it
    /// may have taken it all the same.
    async fn deliver(&self, event: &CloudEvent) -> Result<(), Undelivered>;
}

/// Why an event was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Undelivered {
    /// For people; holds no secret.
    pub message: String,
    /// The same event will be refused again: trying again is of no use.
    pub permanent: bool,
}
