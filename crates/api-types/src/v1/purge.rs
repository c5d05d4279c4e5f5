//! `/v1/environments/{environment}:purge`: the end of an environment.

use super::Environment;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tenantry_model::{Alias, EnvironmentName, HookRef, OperationId, ScheduleName};
use utoipa::ToSchema;

/// Purges an environment for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PurgeEnvironment {
    /// The environment's own name (without its tenant), typed again.
    pub name: EnvironmentName,
    /// Why, for the audit log.
    pub reason: String,
    /// Although it can still be undeleted. Default `false`: then it is refused until the retention ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before_retention_ends: bool,
}

/// What went, or with `validateOnly` what would go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PurgedEnvironment {
    /// What is left of it: the id, whose it was, its name and region.
    pub environment: Environment,
    /// Aliases that others may have now.
    #[serde(default)]
    pub aliases: BTreeSet<Alias>,
    /// How many generations of its wish were forgotten.
    pub generations: u64,
    /// The hooks whose applied generations were forgotten.
    #[serde(default)]
    pub hooks: Vec<HookRef>,
    /// Schedules for this environment alone, which were deleted.
    #[serde(default)]
    pub schedules: Vec<ScheduleName>,
    /// How many things do not wait for a person any more.
    pub attentions: u64,
    /// Its backups that succeeded, the newest first (at most 1,000). They are not touched: what they wrote is where the
    /// hooks wrote it.
    #[serde(default)]
    pub backups: Vec<OperationId>,
}
