//! Repeats a unit of work when another transaction came in between: nothing of it was done, and begun again it sees what
//! the other one left. Bounded, with growing and uneven pauses, so that two that met do not meet again.
//!
//! A commit whose answer was lost is not repeated here: only whoever asked can look, or repeat it under a key.

use crate::error::{ManagerError, Result};
use backon::{ExponentialBuilder, Retryable};
use std::time::Duration;
use tenantry_store::StoreError;

/// First and longest pause.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));
/// How often it is tried again.
const TIMES: usize = 6;

/// Does `unit`, from its beginning to its commit, until it meets no conflict.
pub(crate) async fn repeating<T, F>(unit: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let pauses = ExponentialBuilder::default()
        .with_min_delay(PAUSES.0)
        .with_max_delay(PAUSES.1)
        .with_max_times(TIMES)
        .with_jitter();
    unit.retry(pauses)
        .when(|error| matches!(error, ManagerError::Store(StoreError::Conflict { .. })))
        .notify(|error, pause| tracing::debug!(%error, ?pause, "begins again"))
        .await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn conflict() -> ManagerError {
        StoreError::Conflict { what: "cannot lock".to_owned(), source: "deadlock".into() }.into()
    }

    fn unknown() -> ManagerError {
        StoreError::Unknown { what: "commit".to_owned(), source: "reset".into() }.into()
    }

    /// How often a unit that fails `times` was tried, and how it ended.
    async fn tries(times: usize, error: fn() -> ManagerError) -> (usize, Result<()>) {
        let calls = AtomicUsize::new(0);
        let done = repeating(|| async {
            if calls.fetch_add(1, Ordering::SeqCst) < times { Err(error()) } else { Ok(()) }
        })
        .await;
        (calls.into_inner(), done)
    }

    #[tokio::test]
    async fn a_conflict_is_repeated_a_bounded_number_of_times_and_nothing_else_is() {
        let (calls, done) = tries(2, conflict).await;
        assert_eq!((calls, done.is_ok()), (3, true));
        let (calls, done) = tries(100, conflict).await;
        assert_eq!((calls, done.unwrap_err().code()), (TIMES + 1, "store-conflict"));
        let (calls, done) = tries(100, unknown).await;
        assert_eq!((calls, done.unwrap_err().code()), (1, "outcome-unknown"));
    }
}
