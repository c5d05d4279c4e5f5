//! Repeats a unit of work when another transaction came in between: nothing of it was done, and begun again it sees what
//! the other one left. Bounded in number and time, with growing and uneven pauses, so that two that met do not meet again.
//!
//! A commit whose answer was lost is not repeated here: only whoever asked can look, or repeat it under a key.

use crate::error::{ManagerError, Result};
use backon::{ExponentialBuilder, Retryable};
use std::time::Duration;
use tenantry_model::with_causes;
use tenantry_store::StoreError;
use tokio::time::Instant;

/// How long it goes on.
#[derive(Clone, Copy)]
struct Limits {
    /// First and longest pause.
    pauses: (Duration, Duration),
    /// Most tries after the first one.
    times: usize,
    /// Nothing is begun again after this time: whoever asked is not to wait much longer for an answer.
    deadline: Duration,
}

/// Many at once on one row pass within some tens of turns.
const LIMITS: Limits = Limits {
    pauses: (Duration::from_millis(10), Duration::from_millis(500)),
    times: 50,
    deadline: Duration::from_secs(20),
};

/// Does `unit`, from its beginning to its commit, until it meets no conflict.
pub(crate) async fn repeating<T, F>(unit: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    within(LIMITS, unit).await
}

async fn within<T, F>(limits: Limits, unit: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let pauses = ExponentialBuilder::default()
        .with_min_delay(limits.pauses.0)
        .with_max_delay(limits.pauses.1)
        .with_max_times(limits.times)
        .with_jitter();
    let last = Instant::now() + limits.deadline;
    unit.retry(pauses)
        .when(|error| error.is_conflict() && Instant::now() < last)
        .notify(|error, pause| tracing::debug!(error = %with_causes(error), ?pause, "begins again"))
        .await
}

impl ManagerError {
    /// Nothing was done because another transaction came in between.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(StoreError::Conflict { .. }))
    }

    /// Another manager has the role in which this was to be written.
    pub(crate) fn is_lease_lost(&self) -> bool {
        matches!(self, Self::Store(StoreError::LeaseLost(_)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const SHORT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_hours(1);

    fn conflict() -> ManagerError {
        StoreError::Conflict { what: "cannot lock".to_owned(), source: "deadlock".into() }.into()
    }

    fn unknown() -> ManagerError {
        StoreError::Unknown { what: "commit".to_owned(), source: "reset".into() }.into()
    }

    /// How often a unit that fails `fails` times was tried, and how it ended.
    async fn tries(limits: Limits, fails: usize, error: fn() -> ManagerError) -> (usize, Result<()>) {
        let calls = AtomicUsize::new(0);
        let done = within(limits, || async {
            if calls.fetch_add(1, Ordering::SeqCst) < fails { Err(error()) } else { Ok(()) }
        })
        .await;
        (calls.into_inner(), done)
    }

    #[tokio::test]
    async fn a_conflict_is_repeated_a_bounded_number_of_times_and_nothing_else_is() {
        let limits = Limits { pauses: (SHORT, SHORT), times: 10, deadline: LONG };
        let (calls, done) = tries(limits, 9, conflict).await;
        assert_eq!((calls, done.is_ok()), (10, true));
        let (calls, done) = tries(limits, 1000, conflict).await;
        assert_eq!((calls, done.unwrap_err().code()), (11, "store-conflict"));
        let (calls, done) = tries(limits, 1000, unknown).await;
        assert_eq!((calls, done.unwrap_err().code()), (1, "outcome-unknown"));
    }

    #[tokio::test]
    async fn nothing_is_begun_again_after_the_deadline() {
        let limits = Limits { pauses: (SHORT, SHORT), times: usize::MAX, deadline: SHORT * 500 };
        let (calls, done) = tries(limits, usize::MAX, conflict).await;
        assert_eq!(done.unwrap_err().code(), "store-conflict");
        assert!(calls > 1, "{calls}");
    }
}
