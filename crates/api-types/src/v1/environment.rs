//! `/v1/environments`.

use super::{Operation, Preview, etag};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model as model;
use tenantry_model::{
    Alias, AppliedHook, EnvironmentId, EnvironmentName, EnvironmentSpec, EnvironmentState, OperationId,
    RegionName, Retention, TenantName,
};
use utoipa::{IntoParams, ToSchema};

/// A tenant environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Never changes, never used again.
    pub id: EnvironmentId,
    /// Its owner.
    pub tenant: TenantName,
    /// Unique within the tenant.
    pub name: EnvironmentName,
    /// Further names, unique over all environments.
    pub aliases: BTreeSet<Alias>,
    /// What hooks' selectors match.
    pub labels: BTreeMap<String, String>,
    /// The region whose hooks run for it.
    pub region: RegionName,
    /// What is wished.
    pub spec: EnvironmentSpec,
    /// Where it is in its life.
    pub state: EnvironmentState,
    /// Raised when labels, region, aliases or spec change.
    pub generation: u64,
    /// Raised with every change of the environment or of one of its operations.
    pub version: u64,
    /// Send it as `If-Match` with a change.
    pub etag: String,
    /// Until when `:undelete` is possible; only while decommissioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// What goes on beside its state; only in the answer for one environment, never in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<EnvironmentStatus>,
}

impl From<model::Environment> for Environment {
    fn from(from: model::Environment) -> Self {
        Self {
            id: from.id,
            tenant: from.tenant,
            name: from.name,
            aliases: from.aliases,
            labels: from.labels,
            region: from.region,
            spec: from.spec,
            state: from.state,
            generation: from.generation,
            version: from.version,
            etag: etag(from.revision),
            retention: from.retention,
            created_at: from.created_at,
            updated_at: from.updated_at,
            status: None,
        }
    }
}

/// What goes on beside an environment's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// Operations that have not ended, oldest first.
    pub unfinished: Vec<OperationId>,
    /// What each hook has applied; `dirty` ones may have left anything behind.
    pub applied: Vec<AppliedHook>,
}

/// Makes an environment and starts its first `lifecycle.upsert`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateEnvironment {
    /// Chosen by the caller, or absent: a new UUIDv7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<EnvironmentId>,
    /// Its owner; must exist.
    pub tenant: TenantName,
    /// Unique within the tenant.
    pub name: EnvironmentName,
    /// Further names.
    #[serde(default)]
    pub aliases: BTreeSet<Alias>,
    /// What hooks' selectors match; Kubernetes label syntax.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Must exist.
    pub region: RegionName,
    /// What is wished.
    #[serde(default)]
    pub spec: EnvironmentSpec,
    /// Why, for the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Changes an environment. A member that is present replaces the whole of what it names; one that is absent changes
/// nothing. A change of aliases, labels, region or spec raises the generation and starts `lifecycle.upsert`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct UpdateEnvironment {
    /// All aliases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aliases: Option<BTreeSet<Alias>>,
    /// All labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Another region; only before hooks have run for the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionName>,
    /// The whole spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<EnvironmentSpec>,
    /// Why, for the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Answer to a change: the resource, and the operation that carries the change out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// As it is now (as it would be, with `validateOnly`).
    pub environment: Environment,
    /// The operation; absent when nothing has to run, and with `validateOnly`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// With `validateOnly`: what the operation would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
}

/// Which environments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EnvironmentsQuery {
    /// The one with this alias; the list has one item or none, and no other filter holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Alias>,
    /// Of one tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantName>,
    /// In one region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionName>,
    /// In one state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub state: Option<EnvironmentState>,
    /// Purged ones too; without it they are left out unless `state` asks for them. Default `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub show_purged: bool,
    /// At most this many items, 1 to 1,000 (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub page_size: Option<u32>,
    /// `nextPageToken` of the page before, unchanged; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}
