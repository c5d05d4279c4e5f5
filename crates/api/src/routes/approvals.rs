//! `/v1/approvals`.

use crate::{
    convert,
    extract::{Json, Query, Segments, answer, page},
    guard::Caller,
    problem::Answer,
    state::ApiState,
};
use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_api_types::v1::{Approval, ApprovalsQuery, ChangeQuery, DecideApproval, DecidedApproval, List};
use tenantry_manager::{Decide, Decided, Principal, PurgeAnswer, Steered};
use tenantry_store::ApprovalFilter;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_approvals))
        .routes(routes!(get_approval))
        .routes(routes!(approve))
        .routes(routes!(reject))
}

/// Verbs that wait for a second person, oldest first.
#[utoipa::path(get, path = "/v1/approvals", tag = "approvals", params(ApprovalsQuery), responses((status = OK, body = List<Approval>)))]
async fn list_approvals(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Query(query): Query<ApprovalsQuery>,
) -> Answer<Response> {
    let page = page(query.page_size, query.page_token.as_deref())?;
    let filter = ApprovalFilter {
        operation: query.operation,
        environment: query.environment,
        decided: query.decided,
        scopes: None,
    };
    let found = state.manager.approvals(&who, filter, &page).await?;
    answer(StatusCode::OK, None, &convert::list::<_, Approval>(found))
}

/// One of them.
#[utoipa::path(get, path = "/v1/approvals/{approval}", tag = "approvals", params(("approval" = uuid::Uuid, Path)), responses((status = OK, body = Approval)))]
async fn get_approval(State(state): State<ApiState>, segments: Segments) -> Answer<Response> {
    let found = state.manager.approval(segments.get("approval")?).await?;
    answer(StatusCode::OK, None, &Approval::from(found))
}

/// Carries the verb out. Needs another credential than the one that asked, with at least its role.
#[utoipa::path(post, path = "/v1/approvals/{approval}/~approve", tag = "approvals", params(("approval" = uuid::Uuid, Path), ChangeQuery), request_body = DecideApproval, responses((status = OK, body = DecidedApproval)))]
async fn approve(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Query(query): Query<ChangeQuery>,
    Json(body): Json<DecideApproval>,
) -> Answer<Response> {
    decide(&state, &who, &segments, query, body, Decide::Approve).await
}

/// The verb is not carried out. The one who asked may do this too.
#[utoipa::path(post, path = "/v1/approvals/{approval}/~reject", tag = "approvals", params(("approval" = uuid::Uuid, Path), ChangeQuery), request_body = DecideApproval, responses((status = OK, body = DecidedApproval)))]
async fn reject(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Query(query): Query<ChangeQuery>,
    Json(body): Json<DecideApproval>,
) -> Answer<Response> {
    decide(&state, &who, &segments, query, body, Decide::Reject).await
}

async fn decide(
    state: &ApiState,
    who: &Principal,
    segments: &Segments,
    query: ChangeQuery,
    body: DecideApproval,
    decide: Decide,
) -> Answer<Response> {
    let id = segments.get("approval")?;
    let (approval, came_of_it) =
        state.manager.decide_approval(who, id, decide, body.reason, query.validate_only).await?;
    let mut decided =
        DecidedApproval { approval: approval.into(), operation: None, purged: None, preview: None };
    match came_of_it {
        Some(Decided::Verb(Steered::Done(view))) => decided.operation = Some(convert::operation(*view)),
        Some(Decided::Verb(Steered::Preview(preview))) => {
            decided.preview = Some(convert::verb_preview(*preview));
        }
        Some(Decided::Purge(PurgeAnswer::Done(purged) | PurgeAnswer::Preview(purged))) => {
            decided.purged = Some(convert::purged(*purged));
        }
        Some(Decided::Verb(Steered::Pending(_)) | Decided::Purge(PurgeAnswer::Pending(_))) | None => {}
    }
    answer(StatusCode::OK, None, &decided)
}
