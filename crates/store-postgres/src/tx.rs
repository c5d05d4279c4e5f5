//! One transaction: hands each call on to the statements of its table, commits, wakes. No SQL of its own.

use crate::{
    listen::Wakes,
    session::Session,
    tables::{environments, events::Unnumbered},
};
use std::{sync::Arc, time::Duration};
use tenantry_store::{Result, StoreError};

/// Longest wait for the answer to one call; the server gives up earlier, unless nothing gets through to it.
const ANSWER: Duration = Duration::from_secs(75);

/// A transaction; dropped without [`Write::commit`](tenantry_store::Write::commit) it rolls back before its connection is used again.
pub struct Tx {
    inner: Session,
    wakes: Arc<Wakes>,
    /// Nobody else writes (or this one does not).
    alone: bool,
    events: Unnumbered,
    /// An environment whose version is raised, which is written with the events of the change.
    raised: Option<(String, u64)>,
    broken: bool,
}

/// Hands a call on, unless the transaction is broken.
macro_rules! ask {
    ($tx:ident, $module:ident::$function:ident($($argument:expr),*)) => {{
        $tx.usable()?;
        let done = tokio::time::timeout(ANSWER, $module::$function($tx.inner.db()? $(, $argument)*)).await;
        $tx.judge(done)
    }};
}

mod read;
mod write;

impl Tx {
    pub fn new(inner: Session, wakes: Arc<Wakes>, alone: bool) -> Self {
        Self { inner, wakes, alone, events: Unnumbered::default(), raised: None, broken: false }
    }

    /// After an error PostgreSQL refuses every statement, but answers COMMIT by rolling back and reports success: so
    /// nothing goes on here after one.
    fn usable(&self) -> Result<()> {
        if self.broken {
            return Err(StoreError::Unavailable {
                what:
                    "an earlier call of this transaction failed and nothing of it was kept; begin a new one"
                        .to_owned(),
                source: "the transaction is over".into(),
            });
        }
        Ok(())
    }

    /// Before environments are read or written again.
    async fn write_version(&mut self) -> Result<()> {
        let Some((id, version)) = self.raised.take() else { return Ok(()) };
        ask!(self, environments::put_version(&id, version))
    }

    /// Only what was found by asking leaves the transaction whole.
    fn judge<T>(&mut self, done: std::result::Result<Result<T>, tokio::time::error::Elapsed>) -> Result<T> {
        let done = done.unwrap_or_else(|elapsed| {
            self.inner.give_up();
            let what = "the database does not answer; check it and the network to it".to_owned();
            Err(StoreError::Unavailable { what, source: Box::new(elapsed) })
        });
        self.broken |= matches!(&done, Err(error) if !matches!(error, StoreError::Duplicate(_)));
        done
    }
}
