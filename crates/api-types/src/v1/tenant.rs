//! `/v1/tenants`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tenantry_model as model;
use tenantry_model::TenantName;
use utoipa::ToSchema;

/// A customer, a venture; owns environments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tenant {
    /// Unique.
    pub name: TenantName,
    /// For people.
    pub display_name: String,
    /// Send it as `If-Match` with a change.
    pub etag: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl From<model::Tenant> for Tenant {
    fn from(tenant: model::Tenant) -> Self {
        Self {
            etag: super::etag(tenant.revision),
            name: tenant.name,
            display_name: tenant.display_name,
            created_at: tenant.created_at,
        }
    }
}

/// Makes a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateTenant {
    /// Unique; never changes.
    pub name: TenantName,
    /// For people; up to 200 characters, default: the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub display_name: Option<String>,
}

/// Changes a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateTenant {
    /// For people; up to 200 characters.
    #[schema(max_length = 200)]
    pub display_name: String,
}
