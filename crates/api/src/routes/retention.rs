//! `/v1/retention`: what is old and needed by nothing.

use crate::{
    answers::answered,
    extract::{Json, answer},
    guard::Caller,
    problem::Answer,
    state::ApiState,
};
use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_api_types::v1::{ChangeQuery, Retention, RunRetention};
use tenantry_manager::{KeptAnswer, Retired};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(preview_retention)).routes(routes!(run_retention))
}

/// How much would be removed now by the settings. Removes nothing.
#[utoipa::path(get, path = "/v1/retention", tag = "retention", responses((status = OK, body = Retention)))]
async fn preview_retention(State(state): State<ApiState>) -> Answer<Response> {
    answer(StatusCode::OK, None, &retention(state.manager.preview_retention().await?))
}

/// Removes it now, for some seconds; `more` says that it is to be asked again. The manager does it by itself as well.
#[utoipa::path(post, path = "/v1/retention/~run", tag = "retention", params(ChangeQuery), request_body = RunRetention, responses((status = OK, body = Retention)))]
async fn run_retention(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Json(body): Json<RunRetention>,
) -> Answer<Response> {
    let gone = if who.only_checks {
        state.manager.preview_retention().await?
    } else {
        state.manager.retire(&who, body.clock_is_right).await?
    };
    answered(&state.manager, KeptAnswer::Retired(gone))
}

pub(crate) fn retention(from: Retired) -> Retention {
    Retention {
        operations: from.operations,
        logs: from.logs,
        orphans: from.orphans,
        events: from.events,
        attentions: from.attentions,
        answers: from.answers,
        more: from.more,
        clock_doubted: from.clock_doubted,
    }
}
