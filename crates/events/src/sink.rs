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
    /// Nobody has answered: it says nothing about this event, and every other one would meet the same.
    pub unreachable: bool,
}

impl Undelivered {
    /// It was refused; another time it may be taken.
    #[must_use]
    pub fn later(message: String) -> Self {
        Self { message, permanent: false, unreachable: false }
    }

    /// It was refused and will be refused again.
    #[must_use]
    pub fn for_good(message: String) -> Self {
        Self { message, permanent: true, unreachable: false }
    }

    /// Nobody has answered.
    #[must_use]
    pub fn unreachable(message: String) -> Self {
        Self { message, permanent: false, unreachable: true }
    }
}
