//! `/v1/holds`.

use crate::{
    answers::answered,
    convert,
    extract::{Json, Query, Segments, answer, page},
    guard::Caller,
    problem::Answer,
    state::ApiState,
};
use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_api_types::v1::{ChangeQuery, CreateHold, Hold, HoldsQuery, LiftHold, List};
use tenantry_manager::{KeptAnswer, NewHold, hold_target};
use tenantry_model::Role;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_holds, create_hold))
        .routes(routes!(get_hold))
        .routes(routes!(lift_hold))
}

/// Holds by predicate that the caller may see, oldest first.
#[utoipa::path(get, path = "/v1/holds", tag = "holds", params(HoldsQuery), responses((status = OK, body = List<Hold>)))]
async fn list_holds(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Query(query): Query<HoldsQuery>,
) -> Answer<Response> {
    let page = page(query.page_size, query.page_token.as_deref())?;
    let found = state.manager.holds(&who, query.lifted, &page).await?;
    answer(StatusCode::OK, None, &convert::list_with(found, convert::hold_row))
}

/// Sets a hold: what it fits does not start, in operations that run and in those that start later.
#[utoipa::path(post, path = "/v1/holds", tag = "holds", params(ChangeQuery), request_body = CreateHold, responses((status = CREATED, body = Hold), (status = OK, description = "with `validateOnly`", body = Hold)))]
async fn create_hold(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ChangeQuery>,
    Json(body): Json<CreateHold>,
) -> Answer<Response> {
    caller.require(Role::Operator, &hold_target(&body.predicate))?;
    let new = NewHold {
        predicate: body.predicate,
        until: body.until,
        reason: body.reason,
        max_steps: body.max_steps,
        validate_only: query.validate_only,
    };
    let hold = Box::new(state.manager.create_hold(&caller.0, new).await?);
    answered(&state.manager, KeptAnswer::Hold { hold, made: !query.validate_only })
}

/// One hold, and the steps that it holds now.
#[utoipa::path(get, path = "/v1/holds/{hold}", tag = "holds", params(("hold" = uuid::Uuid, Path)), responses((status = OK, body = Hold)))]
async fn get_hold(State(state): State<ApiState>, segments: Segments) -> Answer<Response> {
    answer(StatusCode::OK, None, &convert::hold(state.manager.hold(segments.get("hold")?).await?))
}

/// Lifts a hold: what it held goes on. Doing it twice changes nothing.
#[utoipa::path(post, path = "/v1/holds/{hold}/~lift", tag = "holds", params(("hold" = uuid::Uuid, Path), ChangeQuery), request_body = LiftHold, responses((status = OK, body = Hold)))]
async fn lift_hold(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Query(query): Query<ChangeQuery>,
    Json(body): Json<LiftHold>,
) -> Answer<Response> {
    let id = segments.get("hold")?;
    let lifted = state.manager.lift_hold(&who, id, body.reason, query.validate_only).await?;
    answered(&state.manager, KeptAnswer::Hold { hold: Box::new(lifted), made: false })
}
