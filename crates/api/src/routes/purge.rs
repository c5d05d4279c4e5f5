//! `/v1/environments/{environment}:purge`: the one method of an environment that cannot be undone.

use crate::{
    answers::answered,
    convert,
    extract::{Json, Query, Segments, answer, revision, stated_etag},
    guard::Caller,
    problem::Answer,
    state::ApiState,
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use tenantry_api_types::v1::{Approval, ChangeQuery, PurgeEnvironment, PurgedEnvironment};
use tenantry_manager::{KeptAnswer, PurgeAnswer, PurgeWish, Purged};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(purge_environment))
}

/// Purges a decommissioned environment whose retention has ended: its name and aliases are free, nothing brings it back.
#[utoipa::path(post, path = "/v1/environments/{environment}/~purge", tag = "environments", params(("environment" = uuid::Uuid, Path), ChangeQuery), request_body = PurgeEnvironment, responses((status = OK, body = PurgedEnvironment), (status = ACCEPTED, description = "it waits for a second person", body = Approval)))]
async fn purge_environment(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Query(query): Query<ChangeQuery>,
    headers: HeaderMap,
    Json(body): Json<PurgeEnvironment>,
) -> Answer<Response> {
    let wish = PurgeWish {
        name: body.name,
        before_retention_ends: body.before_retention_ends,
        reason: body.reason,
        expected_revision: stated_etag(&headers)?.as_deref().map(revision).transpose()?,
        validate_only: query.validate_only,
    };
    match state.manager.purge_environment(&who, segments.get("environment")?, wish).await? {
        PurgeAnswer::Preview(purged) => shown(*purged),
        PurgeAnswer::Done(purged) => answered(&state.manager, KeptAnswer::Purged(purged)),
        PurgeAnswer::Pending(approval) => answered(&state.manager, KeptAnswer::Waits(approval)),
    }
}

pub(crate) fn shown(purged: Purged) -> Answer<Response> {
    let body = convert::purged(purged);
    answer(StatusCode::OK, Some(&body.environment.etag), &body)
}
