//! Who calls, and whether a role on some scopes reaches a target. Pure; the endpoint matrix lives in the api.

use tenantry_model::{Actor, Environment, RegionName, Role, Scope, TenantName, TokenId};
use tenantry_store::Fence;

/// The caller of a service, made from a verified credential and never from a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Goes into the audit log.
    pub actor: Actor,
    /// What it may do …
    pub role: Role,
    /// … and on what.
    pub scopes: Vec<Scope>,
    /// The credential; keys of idempotent requests belong to it. `None` for tenantry itself.
    pub token: Option<TokenId>,
    /// Address of the client, if the call came over the network.
    pub origin: Option<String>,
    /// The Idempotency-Key of the request. A service claims it in the transaction of the change, so that the same
    /// request is never carried out twice, whatever crashes in between.
    pub request: Option<RequestKey>,
    /// The request only asks whether it could be carried out, and to what it would come: nothing is committed.
    pub only_checks: bool,
    /// W3C `traceparent` of the request.
    pub traceparent: Option<String>,
    /// The role in which tenantry itself acts; writes are refused once another manager has taken it over.
    pub fence: Option<Fence>,
}

/// A request that can be repeated without harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// As the client sent it.
    pub key: String,
    /// Hash of method, path and body, or of an event.
    pub hash: String,
}

impl Principal {
    /// tenantry itself.
    #[must_use]
    pub fn system() -> Self {
        Self {
            actor: Actor::system(),
            role: Role::Admin,
            scopes: vec![Scope::All],
            token: None,
            origin: None,
            request: None,
            only_checks: false,
            traceparent: None,
            fence: None,
        }
    }

    /// Whether this caller has at least `role` on `target`.
    #[must_use]
    pub fn may(&self, role: Role, target: &Target) -> bool {
        self.role >= role && self.scopes.iter().any(|scope| target.is_within(scope))
    }

    /// The scopes as a store's filter: `None` when everything is allowed.
    #[must_use]
    pub fn filter(&self) -> Option<Vec<Scope>> {
        (!self.scopes.contains(&Scope::All)).then(|| self.scopes.clone())
    }
}

/// What an endpoint acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// What belongs to the whole installation (tokens, definitions, creation of tenants and regions).
    Installation,
    /// A tenant itself.
    Tenant(TenantName),
    /// A region and its hooks.
    Region(RegionName),
    /// An environment, its operations, its audit log.
    Environment {
        /// Its owner.
        tenant: TenantName,
        /// Where it lives.
        region: RegionName,
    },
    /// A list that the service itself narrows to the caller's scopes, or what every caller may read.
    Own,
}

impl Target {
    /// The target that an environment is.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        Self::Environment { tenant: environment.tenant.clone(), region: environment.region.clone() }
    }

    fn is_within(&self, scope: &Scope) -> bool {
        match (scope, self) {
            (Scope::All, _) | (_, Self::Own) => true,
            (Scope::Tenant(mine), Self::Tenant(tenant) | Self::Environment { tenant, .. }) => mine == tenant,
            (Scope::Region(mine), Self::Region(region) | Self::Environment { region, .. }) => mine == region,
            _ => false,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;

    fn with(role: Role, scopes: Vec<Scope>) -> Principal {
        Principal { role, scopes, ..Principal::system() }
    }

    #[test]
    fn a_scope_reaches_what_is_in_it_and_nothing_else() {
        let acme: TenantName = "acme".parse().unwrap();
        let eu: RegionName = "eu1".parse().unwrap();
        let us: RegionName = "us1".parse().unwrap();
        let here = Target::Environment { tenant: acme.clone(), region: eu.clone() };
        let tenant = with(Role::Operator, vec![Scope::Tenant(acme.clone())]);
        assert!(tenant.may(Role::Operator, &here));
        assert!(tenant.may(Role::Viewer, &Target::Tenant(acme)));
        assert!(!tenant.may(Role::Admin, &here));
        assert!(!tenant.may(Role::Viewer, &Target::Region(eu.clone())));
        assert!(!tenant.may(Role::Viewer, &Target::Installation));
        let region = with(Role::Viewer, vec![Scope::Region(us)]);
        assert!(!region.may(Role::Viewer, &here));
        assert!(region.may(Role::Viewer, &Target::Own));
    }
}
