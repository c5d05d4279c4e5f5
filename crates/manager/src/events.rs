//! The outbox as readers see it.

use crate::{Manager, Result};
use std::time::Duration;
use tenantry_store::{EventFilter, EventRecord};

impl Manager {
    /// Events after a position, in order, at most `limit`; waits up to `wait` for the first.
    pub async fn events_after(
        &self,
        filter: &EventFilter,
        after: u64,
        limit: u32,
        wait: Duration,
    ) -> Result<Vec<EventRecord>> {
        todo!()
    }

    /// The newest event's position; 0 if there is none.
    pub async fn last_event(&self) -> Result<u64> {
        todo!()
    }
}
