//! A region: one cluster or site in which hooks run.

use crate::{AgentSessionId, RegionName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What runs a region's attempts.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Executor {
    /// Pods and Jobs in the teams' namespaces.
    Kubernetes,
    /// Local processes.
    Process,
    /// Workflows of Argo, started by events: there is no agent.
    Argo,
}

/// A region's row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Region {
    /// Unique.
    pub name: RegionName,
    /// What its agent said it runs, or the configuration; `None` before.
    pub executor: Option<Executor>,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// The agent process that spoke last.
    pub session: Option<AgentSessionId>,
    /// When it last spoke.
    pub last_seen_at: Option<Timestamp>,
    /// Set when the agent has reported its whole inventory of hooks in this session: before, no plan is made.
    pub inventory_complete: bool,
    /// When it was made.
    pub created_at: Timestamp,
}
