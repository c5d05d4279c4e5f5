//! How the agent waits: for an answer with patience that grows when it was too short, and between two tries with growing,
//! jittered pauses; never past the shutdown.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest pause between two tries of something that is out of reach.
const LONGEST: Duration = Duration::from_secs(5);
/// Longer than a busy manager takes for a large report: to ask it again meanwhile would only make it busier.
const FIRST_PATIENCE: Duration = Duration::from_secs(10);
/// Nobody needs longer: the manager itself gives a request up after this time.
const LONGEST_PATIENCE: Duration = Duration::from_secs(30);
/// An answer may take so many times as long as the one before.
const SLOWER: u32 = 4;

/// Growing pauses (of 0.2 s to 5 s unless told otherwise), each with jitter, and patience with each call; both begin again
/// after a success.
pub(crate) struct Pace {
    first: Duration,
    longest: Duration,
    delays: ExponentialBackoff,
    first_patience: Duration,
    patience: Duration,
    /// Nothing worked since the last success.
    failing: bool,
}

impl Pace {
    pub fn new() -> Self {
        Self::of(Duration::from_millis(200), LONGEST)
    }

    /// Pauses of `first` growing to `longest`.
    pub fn of(first: Duration, longest: Duration) -> Self {
        let delays = delays(first, longest);
        let patience = FIRST_PATIENCE;
        Self { first, longest, delays, first_patience: patience, patience, failing: false }
    }

    /// For what has to be tried twice within `silence`: with a quarter of it for each answer, and as much for a pause.
    pub fn within(silence: Duration) -> Self {
        let quarter = silence / 4;
        let first_patience = quarter.clamp(Duration::from_secs(2), LONGEST_PATIENCE / 2);
        let longest = quarter.clamp(Duration::from_secs(1), LONGEST);
        Self { first_patience, patience: first_patience, ..Self::of(Duration::from_millis(200), longest) }
    }

    /// It worked: the next pause is short again. Tells whether nothing had worked before.
    pub fn reset(&mut self) -> bool {
        self.delays = delays(self.first, self.longest);
        std::mem::take(&mut self.failing)
    }

    /// For how long an answer is waited for.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// There was an answer after `took`: it worked, and whoever is this slow is given time. Tells whether nothing had
    /// worked before.
    pub fn answered(&mut self, took: Duration) -> bool {
        self.patience = took.saturating_mul(SLOWER).clamp(self.first_patience, LONGEST_PATIENCE);
        self.reset()
    }

    /// There was none in time: it may come if it gets more.
    pub fn in_vain(&mut self) {
        // Not twice: two managers that stand still one after the other do not make a third one slow.
        self.patience = (self.patience * 3 / 2).min(LONGEST_PATIENCE);
    }

    /// Waits before the next try; `false`: the agent is to end.
    pub async fn pause(&mut self, shutdown: &CancellationToken) -> bool {
        self.failing = true;
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

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn patience_grows_with_calls_in_vain_and_follows_what_answers_take() {
        let mut pace = Pace::new();
        let mut seen = vec![pace.patience()];
        for _ in 0..4 {
            pace.in_vain();
            seen.push(pace.patience());
        }
        assert_eq!(seen, [s(10), s(15), Duration::from_millis(22_500), s(30), s(30)]);
        pace.answered(s(4));
        assert_eq!(
            pace.patience(),
            s(16),
            "a slow way stays usable without a call in vain before each that works"
        );
        pace.answered(Duration::from_millis(50));
        assert_eq!(pace.patience(), s(10));
    }

    #[test]
    fn two_polls_that_nobody_answers_fit_into_the_silence_that_is_tolerated() {
        for silence in [s(8), s(45), s(90), s(3600)] {
            let (pace, poll) = (Pace::within(silence), silence / 4);
            assert!((poll + pace.patience()) * 2 <= silence, "{silence:?}: {:?}", pace.patience());
        }
        assert_eq!(
            Pace::within(s(1)).patience(),
            s(2),
            "never so short that a busy manager misses it always"
        );
    }
}
