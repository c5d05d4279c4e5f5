//! `/v1/audit` and `/v1/environments/{environment}/audit`: every change, who, why, from where.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_model::{Actor, EnvironmentId};
use utoipa::{IntoParams, ToSchema};

/// One change. Entries of an environment (and those of what belongs to none) form a chain of hashes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// In its chain, from 1.
    pub position: u64,
    /// The environment whose chain it is in; absent: the chain of what belongs to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentId>,
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
    /// The Idempotency-Key of the request that brought it about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The changed part before.
    pub before: Value,
    /// The changed part after.
    pub after: Value,
    /// SHA-256 over this entry and `previous`, lower-case hex.
    pub hash: String,
    /// Hash of the entry before it; empty for the first.
    pub previous: String,
}

/// Which entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// By the actor of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// With this action (`step.skip`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// At this time or later, in whole milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// Before this time, in whole milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// At most this many items, 1 to 1,000 (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub page_size: Option<u32>,
    /// `nextPageToken` of the page before, unchanged; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}

/// A public key that signs (or signed) heads of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditKey {
    /// Its id, as heads name it: the first 16 digits of the SHA-256 of its DER form.
    pub id: String,
    /// PEM (`SubjectPublicKeyInfo`, Ed25519).
    pub pem: String,
    /// Whether new heads are signed with it.
    pub current: bool,
}

/// Replaces the key of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotateAuditKey {
    /// Why.
    pub reason: String,
}

/// Signs a head over what is not sealed yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SealAudit {}

/// The newest head of the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealedAudit {
    /// Its number; absent while nothing was ever changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<u64>,
}
