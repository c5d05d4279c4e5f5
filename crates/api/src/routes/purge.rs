//! `/v1/environments/{environment}:purge`: the one method of an environment that cannot be undone.

use crate::{
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
use tenantry_manager::{PurgeAnswer, PurgeWish};
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
        PurgeAnswer::Done(purged) | PurgeAnswer::Preview(purged) => {
            let body = convert::purged(*purged);
            answer(StatusCode::OK, Some(&body.environment.etag), &body)
        }
        PurgeAnswer::Pending(approval) => {
            let location = format!("/v1/approvals/{}", approval.id);
            let mut response = answer(StatusCode::ACCEPTED, None, &Approval::from(*approval))?;
            if let Ok(value) = location.parse() {
                response.headers_mut().insert(axum::http::header::LOCATION, value);
            }
            Ok(response)
        }
    }
}
