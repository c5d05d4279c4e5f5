//! `/v1/definitions`: what operation names mean.

use serde::{Deserialize, Serialize};
use tenantry_model::OperationDefinition;
use utoipa::ToSchema;

/// A definition with its ETag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// What the name means.
    pub definition: OperationDefinition,
    /// Send it as `If-Match` with a change.
    pub etag: String,
}

/// The JSON Schema that every environment's `spec` must meet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlatformSchema {
    /// The schema; absent when none is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<serde_json::Value>,
    /// Send it as `If-Match` with a change.
    pub etag: String,
}
