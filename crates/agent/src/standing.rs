//! How the agent stands with its manager, and what waits to be told: for probes, metrics and one clear line of log.
//!
//! Written by whoever speaks to the manager, read by anybody. It decides nothing.

use crate::recorder::Recorder;
use jiff::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tenantry_client::agent::AgentClientError;
use tenantry_model::with_causes;

/// How the agent stands with its manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No session yet, or no more: the manager is out of reach, or the agent has just started.
    Away {
        /// Since when.
        since: Timestamp,
    },
    /// It holds the region's session.
    Connected {
        /// Since when.
        since: Timestamp,
    },
    /// The manager does not take its credential: revoked, or another installation's. Nothing new is started until a
    /// person lets the agent join again; what runs is watched.
    Refused {
        /// Since when.
        since: Timestamp,
        /// What the manager said.
        why: String,
    },
}

/// What waits in the agent's folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Attempts of which the executor may have something.
    pub open_attempts: usize,
    /// Facts that the manager has not acknowledged.
    pub facts: usize,
    /// Bytes of log text that it has not acknowledged.
    pub log_bytes: u64,
}

/// Shared with whoever wants to know. Cheap to clone.
#[derive(Clone)]
pub struct AgentStatus(Arc<Inner>);

struct Inner {
    standing: Mutex<Standing>,
    recorder: OnceLock<Arc<Recorder>>,
}

impl Default for AgentStatus {
    fn default() -> Self {
        let standing = Mutex::new(Standing::Away { since: Timestamp::now() });
        Self(Arc::new(Inner { standing, recorder: OnceLock::new() }))
    }
}

impl std::fmt::Debug for AgentStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AgentStatus").field(&*self.now()).finish()
    }
}

impl AgentStatus {
    /// How it stands now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.now().clone()
    }

    /// What waits to be told; nothing before the agent has opened its folder.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        let Some(recorder) = self.0.recorder.get() else { return Backlog::default() };
        let (open_attempts, facts) = recorder.ledger.counts();
        Backlog { open_attempts, facts, log_bytes: recorder.logs.unsent_bytes() }
    }

    fn now(&self) -> MutexGuard<'_, Standing> {
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn opened(&self, recorder: &Arc<Recorder>) {
        // A second agent with the same status would be a mistake of the caller's; the first one's folder counts.
        let _ = self.0.recorder.set(Arc::clone(recorder));
    }

    pub(crate) fn connected(&self) {
        *self.now() = Standing::Connected { since: Timestamp::now() };
    }

    pub(crate) fn away(&self) {
        let mut now = self.now();
        if !matches!(*now, Standing::Away { .. }) {
            *now = Standing::Away { since: Timestamp::now() };
        }
    }

    /// One line when it begins; repeating it for months would only hide other lines.
    pub(crate) fn refused(&self, error: &AgentClientError, remedy: &str) {
        let mut now = self.now();
        if matches!(*now, Standing::Refused { .. }) {
            tracing::debug!(error = %with_causes(error), "the credential is still refused");
            return;
        }
        tracing::error!(
            error = %with_causes(error),
            "the manager refuses this agent's credential: nothing new is started here, what runs is watched and told \
             later. {remedy}"
        );
        *now = Standing::Refused { since: Timestamp::now(), why: error.to_string() };
    }
}
