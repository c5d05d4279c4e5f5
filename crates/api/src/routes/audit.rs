//! `/v1/audit` and `/v1/environments/{environment}/audit`.

use crate::{
    answers::answered,
    convert,
    extract::{Json, Query, Segments, answer, page},
    guard::Caller,
    problem::{Answer, Problem},
    state::ApiState,
};
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use tenantry_api_types::v1::{
    AuditEntry, AuditKey, AuditQuery, List, RotateAuditKey, SealAudit, SealedAudit,
};
use tenantry_manager::{AuditExport, EnvironmentKey, KeptAnswer};
use tenantry_model::EnvironmentId;
use tenantry_store::AuditFilter;
use utoipa_axum::{router::OpenApiRouter, routes};

/// One document a line.
pub(crate) const JSON_LINES: &str = "application/jsonl";

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_audit))
        .routes(routes!(list_environment_audit))
        .routes(routes!(export_audit))
        .routes(routes!(list_audit_keys))
        .routes(routes!(seal_audit))
        .routes(routes!(rotate_audit_key))
}

/// Changes of everything, by time, oldest first.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(AuditQuery), responses((status = OK, body = List<AuditEntry>)))]
async fn list_audit(State(state): State<ApiState>, Query(query): Query<AuditQuery>) -> Answer<Response> {
    entries(&state, None, query).await
}

/// Changes of an environment and its operations, oldest first.
#[utoipa::path(get, path = "/v1/environments/{environment}/audit", tag = "audit", params(("environment" = uuid::Uuid, Path), AuditQuery), responses((status = OK, body = List<AuditEntry>)))]
async fn list_environment_audit(
    State(state): State<ApiState>,
    segments: Segments,
    Query(query): Query<AuditQuery>,
) -> Answer<Response> {
    let id: EnvironmentId = segments.get("environment")?;
    state.manager.environment(&EnvironmentKey::Id(id)).await?;
    entries(&state, Some(id), query).await
}

async fn entries(
    state: &ApiState,
    environment: Option<EnvironmentId>,
    query: AuditQuery,
) -> Answer<Response> {
    let page = page(query.page_size, query.page_token.as_deref())?;
    let AuditQuery { actor, action, since, until, .. } = query;
    let filter = AuditFilter { environment, actor, action, since, until };
    let found = state.manager.audit_entries(&filter, &page).await?;
    answer(StatusCode::OK, None, &convert::list_with(found, convert::audit))
}

/// Everything that verifying needs: one JSON document a line, all signed heads, then all entries chain by chain. The
/// last line says how many there were; an export without it was cut.
#[utoipa::path(get, path = "/v1/audit/~export", tag = "audit", responses((status = OK, body = String, content_type = "application/jsonl")))]
async fn export_audit(State(state): State<ApiState>) -> Answer<Response> {
    let mut export = state.manager.export_audit();
    // The first part before the answer begins: what is wrong from the start is a problem, and not half a stream.
    let first = part(&mut export).await?;
    let rest = futures::stream::try_unfold(export, |mut export| async move {
        match part(&mut export).await {
            Ok(bytes) if bytes.is_empty() => Ok(None),
            Ok(bytes) => Ok(Some((bytes, export))),
            Err(problem) => {
                tracing::warn!(code = problem.code(), "an export of the audit log broke off");
                Err(std::io::Error::other("the export broke off"))
            }
        }
    });
    let first = futures::stream::iter([Ok(first)]);
    let stream = futures::StreamExt::take_until(
        futures::StreamExt::chain(first, rest),
        state.stopping.clone().cancelled_owned(),
    );
    let mut response = Response::new(Body::from_stream(stream));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON_LINES));
    Ok(response)
}

async fn part(export: &mut AuditExport) -> Answer<Bytes> {
    let mut bytes = Vec::new();
    for line in export.next().await? {
        serde_json::to_writer(&mut bytes, &line)
            .map_err(|why| Problem::new("internal", format!("a line cannot be written: {why}")))?;
        bytes.push(b'\n');
    }
    Ok(bytes.into())
}

/// The public keys of signed heads, in the order in which they came into use; the current one is the last.
#[utoipa::path(get, path = "/v1/audit/keys", tag = "audit", responses((status = OK, body = List<AuditKey>)))]
async fn list_audit_keys(State(state): State<ApiState>) -> Answer<Response> {
    let items = state.manager.audit_keys().await?.into_iter().map(key).collect();
    answer(StatusCode::OK, None, &List { items, next_page_token: None })
}

pub(crate) fn key(from: tenantry_manager::AuditKey) -> AuditKey {
    AuditKey { id: from.id, pem: from.pem, current: from.current }
}

/// Signs a head over what is not sealed yet, and exports it; without a wait for its time. Doing it twice signs nothing
/// twice.
#[utoipa::path(post, path = "/v1/audit/~seal", tag = "audit", request_body = SealAudit, responses((status = OK, body = SealedAudit)))]
async fn seal_audit(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Json(SealAudit {}): Json<SealAudit>,
) -> Answer<Response> {
    answered(&state.manager, KeptAnswer::Sealed(state.manager.seal_audit(&who).await?))
}

/// Replaces the key: the old one signs a head that announces the new one, which signs from then on.
#[utoipa::path(post, path = "/v1/audit/~rotate-key", tag = "audit", request_body = RotateAuditKey, responses((status = OK, body = AuditKey)))]
async fn rotate_audit_key(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Json(body): Json<RotateAuditKey>,
) -> Answer<Response> {
    let made = state.manager.rotate_audit_key(&who, &body.reason).await?;
    answered(&state.manager, KeptAnswer::AuditKey(made))
}
