//! Runs attempts in a cluster: discovery of templates, create, adopt, follow, logs, outcome, kill, release.
//!
//! Used by agent and bridge. It says what it sees of Pods and Jobs as facts; what a fact means is decided elsewhere.
//! It must never know a manager, a lease or a store, never read a Secret, and never call an attempt ended that the
//! platform has not proven to be over (invariant 5).

#![cfg_attr(test, allow(clippy::unwrap_used))] // a test may

mod apply;
mod classify;
mod cleanup;
mod client;
mod discovery;
mod error;
mod events;
mod follow;
mod listing;
mod log_pump;
mod logs;
mod namespace;
mod runner;
mod seen;
mod settings;
mod view;
mod watches;

pub use classify::{Ending, LogSource, Verdict, Wait, WaitKind, classify};
pub use cleanup::Drained;
pub use client::{Cluster, Connection, Requests, RequestsSoFar, provide_cryptography};
pub use discovery::{Discovered, Scope, discover, read_template};
pub use error::{CreateError, RunError};
pub use follow::Observer;
pub use listing::{Candidate, CandidatePages};
pub use logs::{LogReader, Position};
pub use runner::{Created, Known, Runner, Settled};
pub use seen::SeenAttempt;
pub use settings::Settings;
pub use view::{JobSeen, NodeSeen, PodSeen, View};
