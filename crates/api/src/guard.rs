//! The guard: finds the endpoint's row in the access table, verifies the credential, compares role and scope.
//!
//! Runs before every handler, so that a handler cannot forget it. An endpoint without a row is refused. What lies
//! outside of the caller's scopes does not exist for a GET (404); anything else is 403, also for what does not
//! exist, so that a caller with limited scopes cannot find out ids by trying verbs.

use crate::{
    access::{self, Access, On, Rule},
    problem::{Answer, Problem},
    state::ApiState,
    verbs,
};
use axum::{
    extract::{ConnectInfo, FromRequestParts, MatchedPath, RawPathParams, Request, State},
    http::{HeaderMap, Method, Uri, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use std::net::SocketAddr;
use tenantry_api_types::{agent, bridge};
use tenantry_manager::{Credential, EnvironmentKey, ErrorClass, ManagerError, Principal, Target};
use tenantry_model::{HookRef, OperationId, RegionName, Role, Scope, TokenId, with_causes};
use tenantry_mutants::{self as mutants, Mutant};

/// The public form of the matched path, for metrics; travels back with the answer.
#[derive(Clone)]
pub(crate) struct Route(pub(crate) String);

/// The calling agent, or the holder of a join token.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub(crate) token: TokenId,
    pub(crate) name: RegionName,
    pub(crate) origin: Option<String>,
}

/// The calling bridge, or discovery, of a region of Argo.
#[derive(Clone, Debug)]
pub(crate) struct BridgeCaller {
    pub(crate) region: RegionName,
}

/// The caller of a `/v1` endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Principal);

impl Caller {
    /// For endpoints whose target is in the body: at least `role` on `target`.
    pub(crate) fn require(&self, role: Role, target: &Target) -> Answer<()> {
        if self.0.may(role, target) { Ok(()) } else { Err(outside(role)) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        let principal = parts.extensions.get::<Principal>().cloned();
        principal.map(Self).ok_or_else(|| Problem::new("internal", "a handler without a guard"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Region {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        let region = parts.extensions.get::<Self>().cloned();
        region.ok_or_else(|| Problem::new("internal", "a handler without a guard"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for BridgeCaller {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::new("internal", "a handler without a guard"))
    }
}

/// The layer.
pub(crate) async fn guard(
    State(state): State<ApiState>,
    matched: MatchedPath,
    params: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    let path = verbs::public(matched.as_str());
    let mut response = match admit(&state, &path, &params, &mut request).await {
        Ok(rule) => run(&state, rule, request, next).await,
        Err(problem) => problem.into_response(),
    };
    response.extensions_mut().insert(Route(path));
    response
}

async fn run(state: &ApiState, rule: &Rule, request: Request, next: Next) -> Response {
    let mut limit = state.request_timeout;
    if rule.path.ends_with(":lease") || rule.path.ends_with(":wait") {
        limit += std::time::Duration::from_secs(u64::from(agent::MAX_POLL_SECONDS));
    }
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new("timeout", format!("no answer within {} s", limit.as_secs())).into_response(),
    }
}

async fn admit(
    state: &ApiState,
    path: &str,
    params: &RawPathParams,
    request: &mut Request,
) -> Answer<&'static Rule> {
    let Some(rule) = access::find(request.method(), path) else {
        let known = access::methods(path);
        return Err(if known.is_empty() {
            Problem::new("internal", format!("{path} is in no row of the access table"))
        } else {
            not_allowed(request.method(), &known)
        });
    };
    if rule.access == Access::Public {
        return Ok(rule);
    }
    let origin = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(address)| address.ip().to_string());
    let secret = bearer(request.headers())?.to_owned();
    if rule.access == Access::Bridge {
        let caller = bridge_caller(state, request.headers(), &secret)?;
        request.extensions_mut().insert(caller);
        return Ok(rule);
    }
    let mut credential = match state.manager.verify(&secret, origin.clone()).await {
        Err(ManagerError::Unauthenticated(why)) if mutants::on(Mutant::SecretInError) => {
            return Err(Problem::new("unauthenticated", format!("{secret}: {why}")));
        }
        other => other?,
    };
    if let (Credential::Api(principal), Some(name)) = (&mut credential, request.headers().get("x-actor"))
        && mutants::on(Mutant::ActorFromHeader)
    {
        principal.actor.name = String::from_utf8_lossy(name.as_bytes()).into_owned();
    }
    match (rule.access, credential) {
        (Access::Api(least, target), Credential::Api(mut principal)) => {
            principal.traceparent = traceparent(request.headers());
            let (method, uri) = (request.method().clone(), request.uri().clone());
            authorise(state, least, target, &principal, params, (&method, &uri)).await?;
            request.extensions_mut().insert(principal);
        }
        (Access::Agent, Credential::Agent { token, region })
        | (Access::Join, Credential::Join { token, region }) => {
            protocol_version(request.headers(), "agent", (agent::VERSION_HEADER, agent::VERSION))?;
            own_credential(request.headers(), &region)?;
            request.extensions_mut().insert(Region { token, name: region, origin });
        }
        (access, _) => {
            let wanted = match access {
                Access::Agent => "a region's agent credential (from `POST /agent/v1/join`)",
                Access::Join => "a join token that was not used yet",
                Access::Public | Access::Bridge | Access::Api(..) => "an API token",
            };
            return Err(Problem::new("forbidden", format!("this endpoint takes only {wanted}")));
        }
    }
    Ok(rule)
}

async fn authorise(
    state: &ApiState,
    role: Role,
    on: On,
    who: &Principal,
    params: &RawPathParams,
    (method, uri): (&Method, &Uri),
) -> Answer<()> {
    if who.role < role {
        let detail = format!("this needs the role {}; the credential has {}", word(role), word(who.role));
        return Err(Problem::new("forbidden", detail));
    }
    // Nothing lies outside: what does not exist is the handler's answer.
    if who.scopes.contains(&Scope::All) || matches!(on, On::Own | On::Body) {
        return Ok(());
    }
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let target = match target(state, on, params, uri).await {
        Ok(target) => target,
        Err(problem) if problem.code() == "not-found" && !reads => return Err(outside(role)),
        Err(problem) => return Err(problem),
    };
    match (who.may(role, &target), reads && on != On::Installation) {
        (true, _) => Ok(()),
        (false, false) => Err(outside(role)),
        (false, true) => {
            let what = uri.path().trim_start_matches("/v1/");
            Err(Problem::new("not-found", format!("{} does not exist", verbs::public(what))))
        }
    }
}

async fn target(state: &ApiState, on: On, params: &RawPathParams, uri: &Uri) -> Answer<Target> {
    let manager = &state.manager;
    Ok(match on {
        On::Own | On::Body => Target::Own,
        On::Installation => Target::Installation,
        On::Tenant => Target::Tenant(read(params, "tenant")?),
        On::Region => Target::Region(read(params, "region")?),
        On::Hook => {
            let slug: String = read(params, "hook")?;
            let hook = HookRef::from_slug(&slug)
                .map_err(|why| Problem::new("invalid-path", why.to_string()).at("hook", why.to_string()))?;
            Target::Region(hook.region)
        }
        On::Environment => {
            let key = if params.iter().any(|(name, _)| name == "environment") {
                EnvironmentKey::Id(read(params, "environment")?)
            } else {
                EnvironmentKey::Name(read(params, "tenant")?, read(params, "name")?)
            };
            Target::of(&manager.environment(&key).await?)
        }
        On::EnvironmentInQuery => {
            let id = query_value(uri.query().unwrap_or_default(), "environment")
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| {
                    Problem::new("invalid-query", "the query must name an environment by its id")
                        .at("environment", "write a UUID")
                })?;
            Target::of(&manager.environment(&EnvironmentKey::Id(id)).await?)
        }
        On::Schedule => {
            let schedule = manager.schedule(&read(params, "schedule")?).await?;
            manager.target_of(&schedule.target).await?
        }
        On::Hold => manager.hold_target_of(read(params, "hold")?).await?,
        On::Approval => {
            let approval = manager.approval(read(params, "approval")?).await?;
            Target::of(&manager.environment(&EnvironmentKey::Id(approval.environment)).await?)
        }
        On::Operation => {
            let id: OperationId = read(params, "operation")?;
            manager.operation_target(id).await?
        }
    })
}

fn query_value<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

fn read<T: std::str::FromStr>(params: &RawPathParams, name: &str) -> Answer<T>
where
    T::Err: std::fmt::Display,
{
    let text = params.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
    text.parse().map_err(|why: T::Err| {
        Problem::new("invalid-path", format!("{name} {text:?} in the path cannot be read"))
            .at(name, why.to_string())
    })
}

fn bearer(headers: &HeaderMap) -> Answer<&str> {
    let value = headers
        .get(header::AUTHORIZATION)
        .ok_or_else(|| Problem::unauthenticated("the request has no Authorization header"))?;
    value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, secret)| secret.trim())
        .filter(|secret| !secret.is_empty())
        .ok_or_else(|| Problem::unauthenticated("the Authorization header is not `Bearer <token>`"))
}

/// The trace that the caller is in, if it says so in the form of W3C.
fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let shape = text.len() == 55
        && text.bytes().enumerate().all(|(at, byte)| {
            if matches!(at, 2 | 35 | 52) { byte == b'-' } else { matches!(byte, b'0'..=b'9' | b'a'..=b'f') }
        });
    shape.then(|| text.to_owned())
}

fn protocol_version(headers: &HeaderMap, who: &str, (header, version): (&str, u32)) -> Answer<()> {
    let sent = headers.get(header).and_then(|value| value.to_str().ok()).unwrap_or("none");
    if sent == version.to_string() {
        return Ok(());
    }
    Err(Problem::new(
        "protocol-version",
        format!("the {who} speaks version {sent} of the protocol, this manager version {version}"),
    ))
}

/// Who a bridge is: the header says which region's keys its token is checked with, the token whether that is so.
fn bridge_caller(state: &ApiState, headers: &HeaderMap, token: &str) -> Answer<BridgeCaller> {
    let refused = |why: String| Problem::unauthenticated(why);
    let region: RegionName = headers
        .get(bridge::REGION_HEADER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| refused(format!("the header {} does not name a region", bridge::REGION_HEADER)))?;
    let identities =
        state.identities.as_ref().ok_or_else(|| refused("this manager has no regions of Argo".to_owned()))?;
    match identities.verify(&region, token, Timestamp::now()) {
        Ok(caller) => {
            protocol_version(headers, "bridge", (bridge::VERSION_HEADER, bridge::VERSION))?;
            Ok(BridgeCaller { region: caller.region })
        }
        Err(error) if error.is_ours() => {
            tracing::warn!(%region, error = %with_causes(&error), "a bridge's token cannot be checked");
            Err(Problem::new("identity-unavailable", error.to_string()))
        }
        Err(error) => {
            // The message is for whoever runs the bridge, and for whoever wonders here why nothing comes.
            tracing::debug!(%region, %error, "a bridge's token is refused");
            Err(refused(error.to_string()))
        }
    }
}

/// The agent of one region with the credential of another (a folder or Secret that was copied) would take that region's
/// commands, and lose its own facts: they are about attempts that the credential's region does not have.
fn own_credential(headers: &HeaderMap, credential: &RegionName) -> Answer<()> {
    let served = headers.get(agent::REGION_HEADER).and_then(|value| value.to_str().ok());
    match served {
        Some(served) if served != credential.as_str() => Err(Problem::new(
            "wrong-region",
            format!("the agent serves region {served}, its credential is of region {credential}"),
        )),
        _ => Ok(()),
    }
}

pub(crate) fn not_allowed(method: &Method, known: &[&str]) -> Problem {
    let allow = known.join(", ");
    let problem =
        Problem::new("method-not-allowed", format!("{method} is not possible here; these are: {allow}"));
    match allow.parse() {
        Ok(value) => problem.with_header(header::ALLOW, value),
        Err(_) => problem,
    }
}

fn outside(role: Role) -> Problem {
    Problem::new(
        "forbidden",
        format!("this needs the role {} on a scope that the credential lacks", word(role)),
    )
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}

/// A missing environment is "not found" to callers that may not know it either.
pub(crate) fn is_missing(error: &ManagerError) -> bool {
    error.class() == ErrorClass::NotFound
}
