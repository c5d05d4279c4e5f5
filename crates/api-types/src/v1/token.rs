//! `/v1/tokens` and `/v1/whoami`.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tenantry_model as model;
use tenantry_model::{Actor, RegionName, Role, Scope, TokenId};
use utoipa::ToSchema;

/// A credential without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// Public half.
    pub id: TokenId,
    /// What people call it; the actor's name.
    pub name: String,
    /// What it is for.
    pub purpose: TokenPurpose,
    /// Of an API token: what it may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Of an API token: on what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scope>,
    /// Of a join token or an agent's credential: which region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionName>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Since when it is refused because somebody revoked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenPurpose {
    /// A client of the API.
    Api,
    /// Lets one agent join a region, once.
    Join,
    /// A region's agent.
    Agent,
}

impl From<model::Token> for Token {
    fn from(from: model::Token) -> Self {
        let (purpose, role, scopes, region) = match from.kind {
            model::TokenKind::Api { role, scopes } => (TokenPurpose::Api, Some(role), scopes, None),
            model::TokenKind::Join { region, .. } => (TokenPurpose::Join, None, Vec::new(), Some(region)),
            model::TokenKind::Agent { region } => (TokenPurpose::Agent, None, Vec::new(), Some(region)),
        };
        Self {
            id: from.id,
            name: from.name,
            purpose,
            role,
            scopes,
            region,
            created_at: from.created_at,
            expires_at: from.expires_at,
            revoked_at: from.revoked_at,
        }
    }
}

/// Makes an API token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateToken {
    /// What people call it; 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// On what; several add up.
    #[schema(min_items = 1)]
    pub scopes: Vec<Scope>,
    /// How long it is good for: ISO 8601 (`P30D` is not a fixed time, write `PT720H`) or `720h`; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub expires_in: Option<SignedDuration>,
}

/// A new API token; the secret is shown once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedToken {
    /// As lists show it.
    pub token: Token,
    /// Send it as `Authorization: Bearer …`. Absent when it was only checked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub secret: String,
}

/// Refuses a token from now on: body of `:revoke`. Doing it twice changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RevokeToken {
    /// Why, for the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who the caller is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhoAmI {
    /// As changes name it.
    pub actor: Actor,
    /// The credential's public half.
    pub token: TokenId,
    /// What it may do.
    pub role: Role,
    /// On what.
    pub scopes: Vec<Scope>,
    /// The server's version.
    pub server_version: String,
}
