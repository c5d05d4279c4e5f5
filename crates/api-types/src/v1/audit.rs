//! `/v1/audit` and `/v1/environments/{environment}/audit`: every change, who, why, from where.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_model::Actor;
use utoipa::ToSchema;

/// One change. Entries of an environment (and those of what belongs to none) form a chain of hashes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// In its chain, from 1.
    pub position: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What (`environment.create`, `step.skip`).
    pub action: String,
    /// On what.
    pub target: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The changed part before.
    pub before: Value,
    /// The changed part after.
    pub after: Value,
    /// SHA-256 over this entry and `previous`, lower-case hex.
    pub hash: String,
    /// Hash of the entry before it; empty for the first.
    pub previous: String,
}
