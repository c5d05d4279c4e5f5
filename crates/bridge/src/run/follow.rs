//! One attempt's log to stdout, and its end to who waits for it.
//!
//! It must never hold a log back, and never judge a fact.

use super::told;
use async_trait::async_trait;
use bytes::Bytes;
use std::{
    io::Write,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tenantry_kube_run::Observer;
use tenantry_model::{AttemptId, Fact, Outcome};
use tokio::sync::mpsc;

/// Waits for the end of an attempt that is followed.
pub(super) struct Follow(mpsc::UnboundedReceiver<Outcome>);

impl Follow {
    pub(super) fn new() -> (Self, Arc<Console>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(receiver), Arc::new(Console { ended: sender, stdout: Stdout::default() }))
    }

    /// One that is over already.
    pub(super) fn ended(outcome: Outcome) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        // The receiver lives in what is returned.
        let _ = sender.send(outcome);
        Self(receiver)
    }

    /// Waits for the end.
    pub(super) async fn outcome(&mut self) -> Outcome {
        match self.0.recv().await {
            Some(outcome) => outcome,
            // The follower ended without a word: it does so only when the program ends.
            None => std::future::pending().await,
        }
    }
}

/// The log goes to stdout as it comes, everything else to stderr.
pub(super) struct Console {
    ended: mpsc::UnboundedSender<Outcome>,
    stdout: Stdout,
}

/// Where the hook's log goes, and nothing else.
pub(crate) struct Stdout {
    out: Mutex<Box<dyn Write + Send>>,
    broken: AtomicBool,
}

impl Default for Stdout {
    fn default() -> Self {
        Self::to(std::io::stdout())
    }
}

impl Stdout {
    pub(crate) fn to(out: impl Write + Send + 'static) -> Self {
        Self { out: Mutex::new(Box::new(out)), broken: AtomicBool::new(false) }
    }

    pub(crate) fn print(&self, attempt: &AttemptId, bytes: &[u8]) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = out.write_all(bytes).and_then(|()| out.flush())
            && !self.broken.swap(true, Ordering::Relaxed)
        {
            eprintln!("tenantry-bridge: {attempt}: nobody takes the log any more: {error}");
        }
    }
}

#[async_trait]
impl Observer for Console {
    async fn fact(&self, attempt: &AttemptId, fact: Fact) {
        told::fact(attempt, &fact);
        if let Fact::Ended { outcome, .. } | Fact::NotStarted { outcome } = fact {
            // Nobody waits any more after a SIGTERM.
            let _ = self.ended.send(outcome);
        }
    }

    /// Waits while the reader of our stdout is slow: then the hook's log waits in its kubelet, not here.
    async fn log(&self, attempt: &AttemptId, _: u64, bytes: Bytes) {
        self.stdout.print(attempt, &bytes);
    }

    async fn log_end(&self, _: &AttemptId, _: u64) {}
}
