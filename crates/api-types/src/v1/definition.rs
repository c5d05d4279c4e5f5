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
