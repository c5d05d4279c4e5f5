//! `/v1/regions`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tenantry_model::{Capability, Executor, RegionName};
use utoipa::ToSchema;

/// One cluster or site in which hooks run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Region {
    /// Unique.
    pub name: RegionName,
    /// What its agent runs; absent before one joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<Executor>,
    /// What its executor can do beyond the contract's core; empty before one is known.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// The agent's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// When the agent last spoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<Timestamp>,
    /// An agent has spoken within the limit; otherwise the region's operations wait.
    pub alive: bool,
    /// The agent has reported all its hooks; before, no plan is made.
    pub inventory_complete: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Makes a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateRegion {
    /// Unique; never changes.
    pub name: RegionName,
}

/// Makes a token that lets one agent join the region, once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct CreateJoinToken {}

/// A join token; shown once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JoinToken {
    /// Which region may be joined with it.
    pub region: RegionName,
    /// The secret. Absent when it was only checked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// From when on it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}
