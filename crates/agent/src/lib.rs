//! The agent of one region: leases commands from the manager, keeps the templates, runs attempts through an
//! [`executors::Executor`], and reports facts and logs through a durable spool.
//!
//! It must never know why an attempt is wanted (no engine, no plan), and never read a Secret of a team in a cluster.

pub mod executors;
pub mod shim;
pub mod spool;

mod config;
mod error;
mod inventory;
mod masker;
mod orders;
mod pace;
mod recorder;
mod reports;
mod run;
mod standing;
mod templates;

pub use config::AgentConfig;
pub use error::AgentError;
pub use masker::Masker;
pub use run::Agent;
pub use standing::{AgentStatus, Backlog, Standing};
