//! The door between the agent and what runs attempts: a cluster (`kubernetes`) or this machine (`process`).
//!
//! An executor finds templates, starts, finds, ends and releases attempts, and tells a [`Sink`] what it sees. It must
//! never know the manager, leases, numbers of observations or the spool, and never decide what a fact means.

pub mod kubernetes;
pub mod process;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tenantry_hook::{AttemptRequest, Hook};
use tenantry_model::{AttemptId, Fact, HookPath, KillCause, Outcome, Problem};
use uuid::Uuid;

/// Runs attempts. Every call may be repeated, also over restarts of the agent: the second one changes nothing.
///
/// The agent makes calls about one attempt one after another, calls about different attempts at the same time.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// What the region's inventory says of it.
    fn kind(&self) -> tenantry_model::Executor;

    /// Candidates ([`tenantry_hook::is_candidate`]) as they come, change and go. Never ends: the executor reconnects
    /// by itself and says so by [`TemplateEvent::Begin`]. Called once.
    fn watch_templates(&self) -> BoxStream<'static, TemplateEvent>;

    /// Starts the attempt, or finds it started, and follows it from then on: facts and log go to `sink` until it is
    /// over, also after the call returned. Returns when the platform has answered.
    async fn start(&self, start: StartRequest, sink: Arc<dyn Sink>) -> Result<(), StartError>;

    /// Looks for an attempt that may have been started in an earlier life, and follows it as [`Executor::start`] does.
    /// Does nothing for one that is followed already. An attempt that is over is told again.
    async fn find(&self, attempt: KnownAttempt, sink: Arc<dyn Sink>) -> Result<Found, ExecutorError>;

    /// Ends it: asks nicely, waits the grace, then forces. Returns when it is asked; the end comes as a fact. The
    /// executor reports *what* it saw (exit code, deleted object); the agent adds why it was killed.
    async fn kill(&self, attempt: &KnownAttempt, cause: KillCause) -> Result<Found, ExecutorError>;

    /// The outcome is committed: lets go of the object (finalizer) and cleans up by policy. Absent is fine.
    async fn release(&self, attempt: &KnownAttempt) -> Result<(), ExecutorError>;
}

/// What discovery saw.
#[derive(Clone, Debug, PartialEq)]
pub enum TemplateEvent {
    /// A listing of everything begins (also again, after a watch was broken): what is not named before the next
    /// [`TemplateEvent::Complete`] is absent.
    Begin,
    /// It is there, or changed: the Job as JSON as stored.
    Present {
        /// Which.
        path: HookPath,
        /// As the API server or the file gave it; what does not matter is removed by the hash, not here.
        manifest: Value,
    },
    /// It is there but cannot be read at all (a file that is no YAML). Its last good version stays in force.
    Unreadable {
        /// Which.
        path: HookPath,
        /// Why.
        problems: Vec<Problem>,
    },
    /// It is gone.
    Absent {
        /// Which.
        path: HookPath,
    },
    /// The listing is complete.
    Complete,
}

/// Everything a start needs.
#[derive(Clone, Debug)]
pub struct StartRequest {
    /// What the centre says.
    pub request: AttemptRequest,
    /// The contract of the version to run.
    pub hook: Hook,
    /// That version's template, JSON as stored.
    pub template: Value,
    /// The same start was tried before, and its answer is not known.
    pub earlier_try: bool,
}

/// An attempt that may exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownAttempt {
    /// Which.
    pub attempt: AttemptId,
    /// An object of the same name with another nonce is not this attempt.
    pub nonce: Uuid,
    /// The log is wanted from this byte on (of the log as the executor gives it, from the attempt's start).
    pub log_from: u64,
    /// A start was tried and its answer is not known: an object may still appear. `false`: no start was ever tried by
    /// what the agent remembers.
    pub start_tried: bool,
}

/// Whether an attempt is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It runs, or its end is still readable; facts follow through the sink.
    Here,
    /// Nothing of it is there. For a kill of an attempt whose start was tried, an executor says so only when it is
    /// sure that nothing can still appear (an unanswered create may land late): until then it is an error, and the
    /// agent asks again.
    Absent,
}

/// Why a start did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It never will: refused, name collision, rejected. Nothing ran.
    #[error("the attempt cannot be started: {}", .0.message)]
    Refused(Box<Outcome>),
    /// Not known: the platform did not answer. The same start is repeated.
    #[error("the start was not answered")]
    Unanswered(#[source] ExecutorError),
}

/// The platform did not do what it was asked; asking again may help.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The API server, the file system.
    #[error("{what}")]
    Platform {
        /// What was tried.
        what: String,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer yet within this time, for [`Found::Absent`] that is not sure.
    #[error("not known yet whether the attempt exists; ask again in {} s", .retry_in.as_secs())]
    NotSettled {
        /// When to ask again.
        retry_in: Duration,
    },
}

impl ExecutorError {
    /// Wraps what the platform said.
    pub fn platform(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Platform { what: what.into(), source: source.into() }
    }
}

/// Takes what executors see. Calls about one attempt are made one after another.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// One fact, when it is seen. Repeating the last one is harmless (and dropped).
    async fn fact(&self, attempt: &AttemptId, fact: Fact);

    /// Log bytes that begin at `offset`. Bytes that were given before are dropped; a gap is kept as a gap. Waits
    /// while the spool is busy, so that a chatty hook slows its own reader only.
    async fn log(&self, attempt: &AttemptId, offset: u64, bytes: Bytes);

    /// Up to where its text is kept: what was given behind it was not taken, for want of room, and is to be given again by who
    /// still has it; else it is a gap. `None`: everything is taken.
    fn log_kept(&self, _: &AttemptId) -> Option<u64> {
        None
    }

    /// The log ends at `offset`; nothing follows. Called before the end is told as a fact wherever the platform
    /// allows it.
    async fn log_end(&self, attempt: &AttemptId, offset: u64);
}
