//! Who does something, and what a credential allows.

use crate::{RegionName, TenantName, TokenId};
use serde::{Deserialize, Serialize};

/// Who caused a change. Comes from the credential, never from a request's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// A person, a service or a part of tenantry.
    pub kind: ActorKind,
    /// The token's name, or the part's name ("manager").
    pub name: String,
}

impl Actor {
    /// tenantry itself: timers, reconcilers.
    #[must_use]
    pub fn system() -> Self {
        Self { kind: ActorKind::System, name: "manager".to_owned() }
    }
}

/// What kind of party acts.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    /// A bearer token made by `tenantry token create`.
    Token,
    /// A region's agent.
    Agent,
    /// tenantry itself.
    System,
}

/// What a credential may do; each role includes the ones before it.
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
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads, requests operations, steers them.
    Operator,
    /// Everything, tokens and regions included.
    Admin,
}

/// On what a role holds. Several scopes on one token add up.
#[derive(
    Clone,
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
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything.
    All,
    /// One tenant, its environments and their operations.
    Tenant(TenantName),
    /// One region, the environments in it, their operations, its hooks.
    Region(RegionName),
}

/// A credential as it is stored: the secret half only as a hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Public half.
    pub id: TokenId,
    /// What people call it; becomes the actor's name.
    pub name: String,
    /// SHA-256 of the secret half, lower-case hex. The secret has 256 random bits, so a slow hash adds nothing.
    pub secret_hash: String,
    /// What it is for.
    pub kind: TokenKind,
    /// When it was made.
    pub created_at: jiff::Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<jiff::Timestamp>,
    /// Since when it is refused because somebody revoked it.
    pub revoked_at: Option<jiff::Timestamp>,
}

/// What a token is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum TokenKind {
    /// A client of the API.
    Api {
        /// What it may do …
        role: Role,
        /// … and on what.
        scopes: Vec<Scope>,
    },
    /// Lets one agent join a region, once.
    Join {
        /// The region that is joined.
        region: RegionName,
        /// Set when it has been used.
        used_at: Option<jiff::Timestamp>,
    },
    /// A region's agent.
    Agent {
        /// The only region it speaks for.
        region: RegionName,
    },
}
