//! `/v1/operations`.

use crate::{
    convert,
    extract::{Json, Query, Segments, answer, page},
    guard::Caller,
    problem::Answer,
    state::ApiState,
};
use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_api_types::v1::{CancelOperation, List, Operation, OperationsQuery};
use tenantry_manager::ExpectedOperation;
use tenantry_store::OperationFilter;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_operations))
        .routes(routes!(get_operation))
        .routes(routes!(cancel_operation))
}

/// Operations that the caller may see, newest first.
#[utoipa::path(get, path = "/v1/operations", tag = "operations", params(OperationsQuery), responses((status = OK, body = List<Operation>)))]
async fn list_operations(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Query(query): Query<OperationsQuery>,
) -> Answer<Response> {
    let page = page(query.page_size, query.page_token.as_deref())?;
    let filter = OperationFilter {
        environment: query.environment,
        name: query.name,
        state: query.state,
        unfinished: query.unfinished,
        scopes: None,
    };
    let found = state.manager.operations(&who, filter, &page).await?;
    answer(StatusCode::OK, None, &convert::list::<_, Operation>(found))
}

/// One operation with its steps and their attempts.
#[utoipa::path(get, path = "/v1/operations/{operation}", tag = "operations", params(("operation" = uuid::Uuid, Path)), responses((status = OK, body = Operation)))]
async fn get_operation(State(state): State<ApiState>, segments: Segments) -> Answer<Response> {
    let view = state.manager.operation(segments.get("operation")?).await?;
    show(&convert::operation(view))
}

/// Ends an operation: no new steps start, what runs is ended.
#[utoipa::path(post, path = "/v1/operations/{operation}/~cancel", tag = "operations", params(("operation" = uuid::Uuid, Path)), request_body = CancelOperation, responses((status = OK, body = Operation)))]
async fn cancel_operation(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Json(body): Json<CancelOperation>,
) -> Answer<Response> {
    let expected = ExpectedOperation { state: body.expected_state, revision: None };
    let view =
        state.manager.cancel_operation(&who, segments.get("operation")?, body.reason, expected).await?;
    show(&convert::operation(view))
}

pub(crate) fn show(body: &Operation) -> Answer<Response> {
    answer(StatusCode::OK, Some(&tenantry_api_types::v1::etag(body.revision)), body)
}
