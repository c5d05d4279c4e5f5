//! The outbox as readers see it.

use crate::wait::Waiter;
use crate::{Manager, Result};
use jiff::Timestamp;
use std::time::Duration;
use tenantry_store::{EventFilter, EventRecord, Read};

/// The position of the newest event before a time; 0 if there is none. Where a clock was wrong for a while it may be another
/// one of that while.
pub(crate) async fn last_before(read: &mut (dyn Read + '_), time: Timestamp) -> Result<u64> {
    let filter = EventFilter::default();
    let (mut low, mut high) = (0, read.last_event().await?);
    // Times grow with positions: the first later one is found by halving.
    while low < high {
        let middle = low + (high - low) / 2;
        match read.events(&filter, middle, 1).await?.first() {
            Some(event) if event.at < time => low = event.position,
            _ => high = middle,
        }
    }
    Ok(low)
}

impl Manager {
    /// Events after a position, in order, at most `limit` (up to 1,000); waits up to `wait` for the first.
    pub async fn events_after(
        &self,
        filter: &EventFilter,
        after: u64,
        limit: u32,
        wait: Duration,
    ) -> Result<Vec<EventRecord>> {
        let mut waiter = Waiter::new(&self.store, wait);
        loop {
            waiter.listen();
            let events = self.store.read().await?.events(filter, after, limit.clamp(1, 1000)).await?;
            if !events.is_empty() || !waiter.wait().await {
                return Ok(events);
            }
        }
    }

    /// The newest event's position; 0 if there is none.
    pub async fn last_event(&self) -> Result<u64> {
        Ok(self.store.read().await?.last_event().await?)
    }
}
