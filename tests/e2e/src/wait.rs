//! Waiting for a state, with a deadline. Nothing here waits for a length of time only.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Looks until there is something, `limit` at most. An error of `look` ends the wait.
pub fn within<T>(
    limit: Duration,
    what: impl AsRef<str>,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("{} did not happen within {} s", what.as_ref(), limit.as_secs());
        }
        std::thread::sleep(PAUSE);
    }
}

/// Only a test that fails waits this long: machines may be slow.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// [`within`] a time that a slow machine needs as well.
pub fn eventually<T>(what: impl AsRef<str>, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    within(PATIENCE, what, look)
}
