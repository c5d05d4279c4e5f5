//! What an agent has to be told. Where it comes from (flags, environment, file) is the binary's matter.

use crate::{AgentStatus, spool::LogLimits};
use std::{path::PathBuf, time::Duration};
use tenantry_client::agent::AgentClient;
use tenantry_hook::{AnnotationDomains, RegionPolicy};

/// An agent's settings.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// The agent's own folder: ledger, spool, templates. One agent process per folder.
    pub folder: PathBuf,
    /// Speaks to the manager with the region's credential.
    pub client: AgentClient,
    /// Under which prefixes annotations count.
    pub domains: AnnotationDomains,
    /// What the region lets its hooks do.
    pub policy: RegionPolicy,
    /// How much log text waits for a manager that is out of reach.
    pub log_limits: LogLimits,
    /// How many orders are carried out at the same time.
    pub parallel_orders: usize,
    /// Longest wait of one lease call, in seconds; also how often a quiet agent says that it lives.
    pub poll_seconds: u32,
    /// First pause after the manager refused the credential; it grows to five times this.
    pub refused_pause: Duration,
    /// What a person does when the credential is refused, as one sentence for the log.
    pub rejoin: String,
    /// Shows how the agent stands.
    pub status: AgentStatus,
}

impl AgentConfig {
    /// The defaults for everything but folder and manager.
    #[must_use]
    pub fn new(folder: PathBuf, client: AgentClient) -> Self {
        Self {
            folder,
            client,
            domains: AnnotationDomains::default(),
            policy: RegionPolicy::default(),
            log_limits: LogLimits::default(),
            parallel_orders: 32,
            poll_seconds: 20,
            refused_pause: Duration::from_mins(1),
            rejoin: "Let it join its region again.".to_owned(),
            status: AgentStatus::default(),
        }
    }
}
