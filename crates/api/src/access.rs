//! Who may call what: the one table of roles × endpoints.
//!
//! Each endpoint is in exactly one row (a test compares with the router, a golden file shows the table). The guard
//! enforces it before a handler runs. It must never know what a handler does.

use axum::http::Method;
use std::fmt::Write as _;
use tenantry_model::Role;

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody, without a credential.
    Public,
    /// A join token.
    Join,
    /// A region's agent.
    Agent,
    /// A bridge of a region of Argo, by the projected token of its service account.
    Bridge,
    /// An API token with at least this role on this target.
    Api(Role, On),
}

/// What an endpoint acts on: where the guard finds the target that must lie within the caller's scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The caller itself, what every caller may read, or a list that the service narrows to the caller's scopes.
    Own,
    /// The whole installation: only the scope `all`.
    Installation,
    /// The tenant that the path names.
    Tenant,
    /// The environment that the path names, by id or by tenant and name.
    Environment,
    /// The environment of the operation that the path names.
    Operation,
    /// The region that the path's hold names; without one the whole installation.
    Hold,
    /// The environment of the approval that the path names.
    Approval,
    /// The region that the path names.
    Region,
    /// The region of the hook that the path names.
    Hook,
    /// The environment, tenant or region for which the schedule that the path names runs.
    Schedule,
    /// The environment that the query names.
    EnvironmentInQuery,
    /// The tenant and the region that the body names: the handler checks.
    Body,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// HTTP method; HEAD counts as GET.
    pub method: &'static str,
    /// The path in its public form.
    pub path: &'static str,
    /// Who.
    pub access: Access,
}

const fn rule(method: &'static str, path: &'static str, access: Access) -> Rule {
    Rule { method, path, access }
}

use Access::{Agent, Api, Bridge, Join, Public};
use On::{
    Approval, Body, Environment, EnvironmentInQuery, Hold, Hook, Installation, Operation, Own, Region,
    Schedule, Tenant,
};
use Role::{Admin, Operator, Viewer};

/// Takes events: what names a request here is the event, not a header.
pub(crate) const EVENTS: &str = "/v1/cloudevents";

/// The table.
pub const RULES: &[Rule] = &[
    rule("GET", "/healthz", Public),
    rule("GET", "/readyz", Public),
    rule("GET", "/openapi.json", Public),
    rule("GET", "/errors/{code}", Public),
    rule("GET", "/metrics", Api(Viewer, Installation)),
    rule("GET", "/v1/whoami", Api(Viewer, Own)),
    rule("GET", "/v1/tenants", Api(Viewer, Own)),
    rule("POST", "/v1/tenants", Api(Admin, Installation)),
    rule("GET", "/v1/tenants/{tenant}", Api(Viewer, Tenant)),
    rule("PATCH", "/v1/tenants/{tenant}", Api(Admin, Tenant)),
    rule("DELETE", "/v1/tenants/{tenant}", Api(Admin, Installation)),
    rule("GET", "/v1/tenants/{tenant}/environments/{name}", Api(Viewer, Environment)),
    rule("GET", "/v1/environments", Api(Viewer, Own)),
    rule("POST", "/v1/environments", Api(Operator, Body)),
    rule("GET", "/v1/environments/{environment}", Api(Viewer, Environment)),
    rule("PATCH", "/v1/environments/{environment}", Api(Operator, Environment)),
    rule("POST", "/v1/environments/{environment}:reconcile", Api(Operator, Environment)),
    rule("POST", "/v1/environments/{environment}:suspend", Api(Operator, Environment)),
    rule("POST", "/v1/environments/{environment}:resume", Api(Operator, Environment)),
    rule("POST", "/v1/environments/{environment}:backup", Api(Operator, Environment)),
    rule("POST", "/v1/environments/{environment}:restore", Api(Operator, Environment)),
    rule("POST", "/v1/environments/{environment}:decommission", Api(Operator, Environment)),
    rule("POST", "/v1/environments/{environment}:undelete", Api(Operator, Environment)),
    rule("POST", "/v1/environments/{environment}:purge", Api(Admin, Environment)),
    rule("POST", "/v1/environments/{environment}:run", Api(Operator, Environment)),
    rule("GET", "/v1/environments/{environment}/events", Api(Viewer, Environment)),
    rule("GET", "/v1/environments/{environment}/audit", Api(Viewer, Environment)),
    rule("GET", "/v1/operations", Api(Viewer, Own)),
    rule("GET", "/v1/operations/{operation}", Api(Viewer, Operation)),
    rule("POST", "/v1/operations/{operation}:cancel", Api(Operator, Operation)),
    rule("POST", "/v1/operations/{operation}:pause", Api(Operator, Operation)),
    rule("POST", "/v1/operations/{operation}:resume", Api(Operator, Operation)),
    rule("POST", "/v1/operations/{operation}:replay", Api(Operator, Operation)),
    rule("GET", "/v1/operations/{operation}/events", Api(Viewer, Operation)),
    rule("POST", "/v1/operations/{operation}/steps/{step}:hold", Api(Operator, Operation)),
    rule("POST", "/v1/operations/{operation}/steps/{step}:stop", Api(Operator, Operation)),
    rule("POST", "/v1/operations/{operation}/steps/{step}:release", Api(Operator, Operation)),
    rule("POST", "/v1/operations/{operation}/steps/{step}:rerun", Api(Operator, Operation)),
    rule("POST", "/v1/operations/{operation}/steps/{step}:kill", Api(Operator, Operation)),
    rule("POST", "/v1/operations/{operation}/steps/{step}:skip", Api(Operator, Operation)),
    rule("POST", "/v1/operations/{operation}/steps/{step}:confirm", Api(Operator, Operation)),
    rule("POST", "/v1/operations/{operation}/steps/{step}:ignore-dependency", Api(Operator, Operation)),
    rule("POST", "/v1/operations/{operation}/steps/{step}:declare-lost", Api(Operator, Operation)),
    rule("GET", "/v1/operations/{operation}/steps/{step}/attempts/{attempt}/log", Api(Viewer, Operation)),
    rule(
        "GET",
        "/v1/operations/{operation}/steps/{step}/attempts/{attempt}/log:follow",
        Api(Viewer, Operation),
    ),
    rule("GET", "/v1/holds", Api(Viewer, Own)),
    rule("POST", "/v1/holds", Api(Operator, Body)),
    rule("GET", "/v1/holds/{hold}", Api(Viewer, Hold)),
    rule("POST", "/v1/holds/{hold}:lift", Api(Operator, Hold)),
    rule("GET", "/v1/approvals", Api(Viewer, Own)),
    rule("GET", "/v1/approvals/{approval}", Api(Viewer, Approval)),
    rule("POST", "/v1/approvals/{approval}:approve", Api(Operator, Approval)),
    rule("POST", "/v1/approvals/{approval}:reject", Api(Operator, Approval)),
    rule("GET", "/v1/events", Api(Viewer, Own)),
    rule("GET", "/v1/event-sinks", Api(Admin, Installation)),
    rule("POST", "/v1/event-sinks/{sink}:replay", Api(Admin, Installation)),
    rule("POST", "/v1/event-sinks/{sink}:forget", Api(Admin, Installation)),
    rule("GET", "/v1/event-sinks/{sink}/dead-letters", Api(Admin, Installation)),
    rule("POST", "/v1/event-sinks/{sink}/dead-letters:redeliver", Api(Admin, Installation)),
    rule("POST", "/v1/event-sinks/{sink}/dead-letters:discard", Api(Admin, Installation)),
    rule("POST", EVENTS, Api(Operator, Body)),
    rule("GET", "/v1/inbox/dead-letters", Api(Admin, Installation)),
    rule("POST", "/v1/inbox/dead-letters:discard", Api(Admin, Installation)),
    rule("GET", "/v1/inbox/dead-letters/{letter}", Api(Admin, Installation)),
    rule("POST", "/v1/inbox/dead-letters/{letter}:retry", Api(Admin, Installation)),
    rule("GET", "/v1/attention", Api(Viewer, Own)),
    rule("GET", "/v1/hooks", Api(Viewer, Own)),
    rule("GET", "/v1/hooks/{hook}", Api(Viewer, Hook)),
    rule("GET", "/v1/hooks/{hook}:explain", Api(Viewer, EnvironmentInQuery)),
    rule("POST", "/v1/hooks/{hook}:retire", Api(Operator, Hook)),
    rule("GET", "/v1/definitions", Api(Viewer, Own)),
    rule("GET", "/v1/definitions/{name}", Api(Viewer, Own)),
    rule("PUT", "/v1/definitions/{name}", Api(Admin, Installation)),
    rule("DELETE", "/v1/definitions/{name}", Api(Admin, Installation)),
    rule("GET", "/v1/schedules", Api(Viewer, Own)),
    rule("POST", "/v1/schedules", Api(Operator, Body)),
    rule("GET", "/v1/schedules/{schedule}", Api(Viewer, Schedule)),
    rule("PATCH", "/v1/schedules/{schedule}", Api(Operator, Schedule)),
    rule("DELETE", "/v1/schedules/{schedule}", Api(Operator, Schedule)),
    rule("POST", "/v1/schedules/{schedule}:pause", Api(Operator, Schedule)),
    rule("POST", "/v1/schedules/{schedule}:resume", Api(Operator, Schedule)),
    rule("POST", "/v1/schedules/{schedule}:run", Api(Operator, Schedule)),
    rule("POST", "/v1/schedules/{schedule}:backfill", Api(Operator, Schedule)),
    rule("GET", "/v1/schedules/{schedule}:preview", Api(Viewer, Schedule)),
    rule("GET", "/v1/schedules/{schedule}/runs", Api(Viewer, Schedule)),
    rule("GET", "/v1/platform-schema", Api(Viewer, Own)),
    rule("PUT", "/v1/platform-schema", Api(Admin, Installation)),
    rule("DELETE", "/v1/platform-schema", Api(Admin, Installation)),
    rule("GET", "/v1/regions", Api(Viewer, Own)),
    rule("POST", "/v1/regions", Api(Admin, Installation)),
    rule("GET", "/v1/regions/{region}", Api(Viewer, Region)),
    rule("POST", "/v1/regions/{region}/join-tokens", Api(Admin, Region)),
    rule("GET", "/v1/tokens", Api(Admin, Installation)),
    rule("POST", "/v1/tokens", Api(Admin, Installation)),
    rule("POST", "/v1/tokens/{token}:revoke", Api(Admin, Installation)),
    rule("GET", "/v1/audit", Api(Viewer, Installation)),
    rule("GET", "/v1/audit:export", Api(Viewer, Installation)),
    rule("GET", "/v1/audit/keys", Api(Viewer, Installation)),
    rule("GET", "/v1/retention", Api(Admin, Installation)),
    rule("POST", "/v1/retention:run", Api(Admin, Installation)),
    rule("GET", "/v1/check", Api(Admin, Installation)),
    rule("GET", "/v1/regions/{region}/commands", Api(Viewer, Region)),
    rule("POST", "/v1/audit:seal", Api(Admin, Installation)),
    rule("POST", "/v1/audit:rotate-key", Api(Admin, Installation)),
    rule("POST", "/agent/v1/join", Join),
    rule("POST", "/agent/v1/sessions", Agent),
    rule("POST", "/agent/v1/inventory", Agent),
    rule("POST", "/agent/v1/commands:lease", Agent),
    rule("POST", "/agent/v1/commands:finish", Agent),
    rule("POST", "/agent/v1/observations", Agent),
    rule("POST", "/agent/v1/logs", Agent),
    rule("POST", "/bridge/v1/hooks", Bridge),
    rule("POST", "/bridge/v1/order:wait", Bridge),
    rule("POST", "/bridge/v1/commands:lease", Bridge),
    rule("POST", "/bridge/v1/commands:finish", Bridge),
    rule("POST", "/bridge/v1/observations", Bridge),
    rule("POST", "/bridge/v1/logs", Bridge),
    rule("POST", "/bridge/v1/workflows:end", Bridge),
];

/// The row of an endpoint; `path` in its public form.
pub(crate) fn find(method: &Method, path: &str) -> Option<&'static Rule> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    RULES.iter().find(|rule| rule.path == path && rule.method == method.as_str())
}

/// Whether an endpoint that changes something can only check it (`validateOnly`). A signature or a key that would be
/// made is nothing to look at beforehand; those and the agents' endpoints refuse every query parameter, so that a check
/// is never taken for a change.
pub(crate) fn can_check(method: &Method, path: &str) -> bool {
    let signs = matches!(path, "/v1/audit:seal" | "/v1/audit:rotate-key");
    !signs && find(method, path).is_some_and(|rule| matches!(rule.access, Api(..)))
}

/// The methods that a path knows, as `Allow` lists them.
pub(crate) fn methods(path: &str) -> Vec<&'static str> {
    let mut found: Vec<_> = RULES.iter().filter(|rule| rule.path == path).map(|rule| rule.method).collect();
    if found.contains(&"GET") {
        found.push("HEAD");
    }
    found
}

/// The table as text: the golden file.
#[must_use]
pub fn table() -> String {
    let mut text = format!(
        "{:<6} {:<80} {:<20} {:<7} {:<9} {:<6} {:<6} {:<5} {:<6} {}\n",
        "method", "path", "scope on", "viewer", "operator", "admin", "agent", "join", "bridge", "nobody"
    );
    for Rule { method, path, access } in RULES {
        let mark = |yes: bool| if yes { "yes" } else { "-" };
        let (scope, role) = match access {
            Api(role, on) => (format!("{on:?}"), Some(*role)),
            _ => ("-".to_owned(), None),
        };
        let public = *access == Public;
        let api = |wanted: Role| mark(public || role.is_some_and(|least| wanted >= least));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{method:<6} {path:<80} {scope:<20} {:<7} {:<9} {:<6} {:<6} {:<5} {:<6} {}",
            api(Viewer),
            api(Operator),
            api(Admin),
            mark(public || *access == Agent),
            mark(public || *access == Join),
            mark(public || *access == Bridge),
            mark(public),
        );
    }
    text
}
