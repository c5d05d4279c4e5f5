//! Waiting for the next commit with a deadline: long polls and event streams.
//!
//! Listening begins before looking, so that a commit between the look and the wait is not missed.

use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tenantry_store::Store;
use tokio::time::Instant;

pub(crate) struct Waiter<'s> {
    store: &'s Arc<dyn Store>,
    deadline: Instant,
    changed: Option<BoxFuture<'s, ()>>,
}

impl<'s> Waiter<'s> {
    pub(crate) fn new(store: &'s Arc<dyn Store>, wait: Duration) -> Self {
        Self { store, deadline: Instant::now() + wait, changed: None }
    }

    /// From now on, commits count for the next [`Waiter::wait`].
    pub(crate) fn listen(&mut self) {
        let mut changed: BoxFuture<'s, ()> = self.store.changed().boxed();
        // The first poll is what registers; a future that is ready must not be polled again.
        if (&mut changed).now_or_never().is_some() {
            changed = futures::future::ready(()).boxed();
        }
        self.changed = Some(changed);
    }

    /// Waits for a commit since [`Waiter::listen`]; `false` when the deadline came first.
    pub(crate) async fn wait(&mut self) -> bool {
        let Some(changed) = self.changed.take() else { return true };
        tokio::time::timeout_at(self.deadline, changed).await.is_ok()
    }
}
