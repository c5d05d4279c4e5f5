//! How the agent waits: with growing, jittered pauses while something is out of reach, and never past the shutdown.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(30);

/// Pauses of 0.2 s growing to 30 s, each with jitter; begins again after a success.
pub(crate) struct Pace {
    delays: ExponentialBackoff,
}

impl Pace {
    pub fn new() -> Self {
        Self { delays: delays() }
    }

    /// It worked: the next pause is short again.
    pub fn reset(&mut self) {
        self.delays = delays();
    }

    /// Waits before the next try; `false`: the agent is to end.
    pub async fn pause(&mut self, shutdown: &CancellationToken) -> bool {
        // Jitter adds up to the delay itself on top.
        let delay = self.delays.next().unwrap_or(LONGEST).min(LONGEST);
        tokio::select! {
            () = shutdown.cancelled() => false,
            () = tokio::time::sleep(delay) => true,
        }
    }
}

fn delays() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(LONGEST)
        .with_factor(2.0)
        .without_max_times()
        .with_jitter()
        .build()
}
