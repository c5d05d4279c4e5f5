//! `/v1/audit` and `/v1/environments/{environment}/audit`.

use crate::{
    convert,
    extract::{Query, Segments, answer, page, seal_token},
    problem::{Answer, Problem},
    state::ApiState,
};
use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_api_types::v1::{AuditEntry, List, PageQuery};
use tenantry_manager::EnvironmentKey;
use tenantry_model::EnvironmentId;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_audit)).routes(routes!(list_environment_audit))
}

/// Changes of what belongs to no environment, oldest first.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(PageQuery), responses((status = OK, body = List<AuditEntry>)))]
async fn list_audit(State(state): State<ApiState>, Query(query): Query<PageQuery>) -> Answer<Response> {
    chain(&state, None, query).await
}

/// Changes of an environment and its operations, oldest first.
#[utoipa::path(get, path = "/v1/environments/{environment}/audit", tag = "audit", params(("environment" = uuid::Uuid, Path), PageQuery), responses((status = OK, body = List<AuditEntry>)))]
async fn list_environment_audit(
    State(state): State<ApiState>,
    segments: Segments,
    Query(query): Query<PageQuery>,
) -> Answer<Response> {
    let id: EnvironmentId = segments.get("environment")?;
    state.manager.environment(&EnvironmentKey::Id(id)).await?;
    chain(&state, Some(id), query).await
}

async fn chain(state: &ApiState, id: Option<EnvironmentId>, query: PageQuery) -> Answer<Response> {
    let page = page(query.page_size, query.page_token.as_deref())?;
    let after = match &page.after {
        None => 0,
        Some(text) => text
            .parse()
            .map_err(|_| Problem::new("invalid-page-token", "the page token is not of this list"))?,
    };
    let found = state.manager.audit(id, after, page.limit).await?;
    let full = u32::try_from(found.len()).is_ok_and(|count| count == page.limit);
    let next = found.last().filter(|_| full).map(|last| seal_token(&last.position.to_string()));
    let items = found.into_iter().map(convert::audit).collect::<Vec<_>>();
    answer(StatusCode::OK, None, &List { items, next_page_token: next })
}
