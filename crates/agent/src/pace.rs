//! How the agent waits: with growing, jittered pauses while something is out of reach, and never past the shutdown.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest pause between two tries of something that is out of reach.
const LONGEST: Duration = Duration::from_secs(30);

/// Growing pauses (of 0.2 s to 30 s unless told otherwise), each with jitter; begins again after a success.
pub(crate) struct Pace {
    first: Duration,
    longest: Duration,
    delays: ExponentialBackoff,
}

impl Pace {
    pub fn new() -> Self {
        Self::of(Duration::from_millis(200), LONGEST)
    }

    /// Pauses of `first` growing to `longest`.
    pub fn of(first: Duration, longest: Duration) -> Self {
        Self { first, longest, delays: delays(first, longest) }
    }

    /// It worked: the next pause is short again.
    pub fn reset(&mut self) {
        self.delays = delays(self.first, self.longest);
    }

    /// Waits before the next try; `false`: the agent is to end.
    pub async fn pause(&mut self, shutdown: &CancellationToken) -> bool {
        // Jitter adds up to the delay itself on top.
        let delay = self.delays.next().unwrap_or(self.longest).min(self.longest);
        tokio::select! {
            () = shutdown.cancelled() => false,
            () = tokio::time::sleep(delay) => true,
        }
    }
}

fn delays(first: Duration, longest: Duration) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_factor(2.0)
        .without_max_times()
        .with_jitter()
        .build()
}
