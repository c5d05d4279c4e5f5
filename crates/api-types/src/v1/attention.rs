//! `/v1/attention`: what waits for a person.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tenantry_model as model;
use tenantry_model::{AttentionId, AttentionKind, EnvironmentId, HookRef, OperationId, RegionName};
use utoipa::{IntoParams, ToSchema};

/// One thing that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attention {
    /// UUIDv7.
    pub id: AttentionId,
    /// What waits.
    pub kind: AttentionKind,
    /// The environment it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentId>,
    /// The operation it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// The step or hook it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<HookRef>,
    /// The region it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionName>,
    /// One sentence: what, where.
    pub message: String,
    /// The command that resolves it.
    pub remedy: String,
    /// Since when.
    pub raised_at: Timestamp,
    /// Until when; absent while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Timestamp>,
}

impl From<model::Attention> for Attention {
    fn from(from: model::Attention) -> Self {
        Self {
            id: from.id,
            kind: from.kind,
            environment: from.environment,
            operation: from.operation,
            hook: from.hook,
            region: from.region,
            message: from.message,
            remedy: from.remedy,
            raised_at: from.raised_at,
            settled_at: from.settled_at,
        }
    }
}

/// Which things that wait for a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AttentionQuery {
    /// Of one operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// Settled ones too. Default `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
    /// At most this many items, 1 to 1,000 (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub page_size: Option<u32>,
    /// `nextPageToken` of the page before, unchanged; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}
