//! The loops that bring things on without a caller: timers, silent regions, expiry.

use crate::{Manager, Result};
use tokio_util::sync::CancellationToken;

impl Manager {
    /// Runs all loops until `shutdown`. Each unfinished thing is found from rows alone; errors back off.
    pub async fn run(&self, shutdown: CancellationToken) {
        todo!()
    }

    /// Applies what is due now; returns how many operations were moved.
    pub async fn run_due(&self) -> Result<usize> {
        todo!()
    }

    /// Judges every region's silence once.
    pub async fn check_regions(&self) -> Result<()> {
        todo!()
    }

    /// Removes answers of old requests.
    pub async fn expire_answers(&self) -> Result<u32> {
        todo!()
    }
}
