//! `/v1/operations`.

use crate::{
    convert,
    extract::{Json, Query, Segments, answer, page},
    guard::Caller,
    problem::Answer,
    routes::{environments::accepted, steps::steered},
    state::ApiState,
};
use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_api_types::v1::{
    Accepted, CancelOperation, ChangeQuery, List, Operation, OperationsQuery, ReplayOperation,
    SteerOperation, VerbAnswer,
};
use tenantry_manager::{EnvironmentKey, ExpectedOperation, OperationVerb, Principal, ReplayWish};
use tenantry_store::OperationFilter;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_operations))
        .routes(routes!(get_operation))
        .routes(routes!(cancel_operation))
        .routes(routes!(pause_operation))
        .routes(routes!(resume_operation))
        .routes(routes!(replay_operation))
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

async fn steer(
    state: &ApiState,
    who: &Principal,
    segments: &Segments,
    query: ChangeQuery,
    verb: OperationVerb,
    body: SteerOperation,
) -> Answer<Response> {
    let expected = ExpectedOperation { state: body.expected_state, revision: None };
    let id = segments.get("operation")?;
    let manager = &state.manager;
    let came_of_it =
        manager.steer_operation(who, id, verb, body.reason, expected, query.validate_only).await?;
    steered(manager, came_of_it)
}

/// Ends an operation: no new steps start, what runs is ended.
#[utoipa::path(post, path = "/v1/operations/{operation}/~cancel", tag = "operations", params(("operation" = uuid::Uuid, Path), ChangeQuery), request_body = CancelOperation, responses((status = OK, body = VerbAnswer)))]
async fn cancel_operation(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Query(query): Query<ChangeQuery>,
    Json(body): Json<CancelOperation>,
) -> Answer<Response> {
    let body = SteerOperation { reason: Some(body.reason), expected_state: body.expected_state };
    steer(&state, &who, &segments, query, OperationVerb::Cancel, body).await
}

/// No new steps start; what runs goes on to its end.
#[utoipa::path(post, path = "/v1/operations/{operation}/~pause", tag = "operations", params(("operation" = uuid::Uuid, Path), ChangeQuery), request_body = SteerOperation, responses((status = OK, body = VerbAnswer)))]
async fn pause_operation(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Query(query): Query<ChangeQuery>,
    Json(body): Json<SteerOperation>,
) -> Answer<Response> {
    steer(&state, &who, &segments, query, OperationVerb::Pause, body).await
}

/// What is ready starts.
#[utoipa::path(post, path = "/v1/operations/{operation}/~resume", tag = "operations", params(("operation" = uuid::Uuid, Path), ChangeQuery), request_body = SteerOperation, responses((status = OK, body = VerbAnswer)))]
async fn resume_operation(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Query(query): Query<ChangeQuery>,
    Json(body): Json<SteerOperation>,
) -> Answer<Response> {
    steer(&state, &who, &segments, query, OperationVerb::Resume, body).await
}

/// Repeats an operation that has ended as a new one.
#[utoipa::path(post, path = "/v1/operations/{operation}/~replay", tag = "operations", params(("operation" = uuid::Uuid, Path), ChangeQuery), request_body = ReplayOperation, responses((status = ACCEPTED, body = Accepted), (status = OK, description = "with `validateOnly`", body = Accepted)))]
async fn replay_operation(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Query(query): Query<ChangeQuery>,
    Json(body): Json<ReplayOperation>,
) -> Answer<Response> {
    let id = segments.get("operation")?;
    let wish = ReplayWish {
        from: body.from,
        versions: body.versions,
        set: body.set,
        reason: body.reason,
        on_conflict: body.on_conflict,
        validate_only: query.validate_only,
    };
    let asked = state.manager.replay_operation(&who, id, wish).await?;
    let original = state.manager.operation_row(id).await?;
    let environment = state.manager.environment(&EnvironmentKey::Id(original.environment)).await?;
    accepted(&convert::started(environment, Some(asked)))
}

pub(crate) fn show(body: &Operation) -> Answer<Response> {
    answer(StatusCode::OK, Some(&tenantry_api_types::v1::etag(body.revision)), body)
}
