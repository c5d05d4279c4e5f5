//! Tenants and their environments.

use crate::{Alias, EnvironmentId, EnvironmentName, HookRef, OperationId, RegionName, TenantName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A customer, a venture; owns environments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tenant {
    /// Unique.
    pub name: TenantName,
    /// For people; free text up to 200 characters.
    pub display_name: String,
    /// Raised with each change; the ETag.
    pub revision: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Where an environment is in its life (DESIGN §7).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum EnvironmentState {
    /// Made, and no upsert has succeeded yet.
    Provisioning,
    /// In use.
    Active,
    /// Switched off, kept.
    Suspended,
    /// On its way to another region.
    Migrating,
    /// Torn down; what is retained can be brought back by `undelete` until the retention ends.
    Decommissioned,
    /// Gone for good; the row stays as a tombstone, so that the id is never used again.
    Purged,
}

/// What clients wish an environment to be. A change raises the generation.
#[derive(
    Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct EnvironmentSpec {
    /// Which apps the environment has, with their own settings; free form under the platform's schema.
    pub apps: Map<String, Value>,
    /// Settings of the environment as a whole; free form under the platform's schema.
    pub settings: Map<String, Value>,
}

/// A tenant environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Never changes, never used again.
    pub id: EnvironmentId,
    /// Its owner.
    pub tenant: TenantName,
    /// Unique within the tenant while the environment is not purged.
    pub name: EnvironmentName,
    /// Further names; unique over all environments that are not purged.
    pub aliases: BTreeSet<Alias>,
    /// What selectors match.
    pub labels: BTreeMap<String, String>,
    /// The region whose hooks run for it, unless a step says otherwise.
    pub region: RegionName,
    /// What is wished.
    pub spec: EnvironmentSpec,
    /// Where it is in its life.
    pub state: EnvironmentState,
    /// Raised when labels, region, aliases or spec change; 1 for a new one.
    pub generation: u64,
    /// Raised when a client's or an operation's change alters what a reader of the resource sees; the ETag.
    pub revision: u64,
    /// Raised with every change of the environment or of one of its operations, under its row lock; carried by
    /// events, so that a reader can tell their order.
    pub version: u64,
    /// The state before decommissioning and until when `undelete` is possible; only while decommissioned.
    pub retention: Option<Retention>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When `revision` was last raised.
    pub updated_at: Timestamp,
}

/// What `undelete` needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Until when `undelete` is possible; from then on purge is allowed.
    #[schema(value_type = String, format = DateTime)]
    #[schemars(with = "String")]
    pub until: Timestamp,
}

/// What one hook last applied for one environment: the base of its next changeset (DESIGN §3, Changeset).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedHook {
    /// Which hook.
    pub hook: HookRef,
    /// The generation that its last successful (or confirmed) upsert-like attempt applied; `None` before the first.
    pub generation: Option<u64>,
    /// Set when an attempt was started, cleared when one succeeds: while set, what the hook left behind is unknown.
    pub dirty: bool,
    /// Set while the hook is part of the environment's last plan; an absent hook that is still set is missed.
    pub expected: bool,
    /// The operation that last touched this row.
    pub operation: OperationId,
}
