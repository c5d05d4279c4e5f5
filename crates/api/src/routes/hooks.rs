//! `/v1/hooks`.

use crate::{
    answers::answered,
    convert,
    extract::{Json, Query, Segments, answer, page},
    guard::Caller,
    problem::Answer,
    state::ApiState,
};
use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_api_types::v1::{
    ChangeQuery, ExplainQuery, Hook, HookExplanation, HooksQuery, List, RetireHook,
};
use tenantry_manager::KeptAnswer;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_hooks))
        .routes(routes!(get_hook))
        .routes(routes!(explain_hook))
        .routes(routes!(retire_hook))
}

/// Hooks of the regions that the caller may see, by region, namespace and name.
#[utoipa::path(get, path = "/v1/hooks", tag = "hooks", params(HooksQuery), responses((status = OK, body = List<Hook>)))]
async fn list_hooks(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Query(query): Query<HooksQuery>,
) -> Answer<Response> {
    let page = page(query.page_size, query.page_token.as_deref())?;
    let found = state.manager.hooks(&who, query.region.as_ref(), &page).await?;
    answer(StatusCode::OK, None, &convert::list_with(found, convert::hook))
}

/// One hook.
#[utoipa::path(get, path = "/v1/hooks/{hook}", tag = "hooks", params(("hook" = String, Path, description = "`region.namespace.name`")), responses((status = OK, body = Hook)))]
async fn get_hook(State(state): State<ApiState>, segments: Segments) -> Answer<Response> {
    let row = state.manager.hook(&segments.hook("hook")?).await?;
    answer(StatusCode::OK, None, &convert::hook(row))
}

/// Why a hook does or does not run for an environment.
#[utoipa::path(get, path = "/v1/hooks/{hook}/~explain", tag = "hooks", params(("hook" = String, Path, description = "`region.namespace.name`"), ExplainQuery), responses((status = OK, body = HookExplanation)))]
async fn explain_hook(
    State(state): State<ApiState>,
    segments: Segments,
    Query(query): Query<ExplainQuery>,
) -> Answer<Response> {
    let hook = segments.hook("hook")?;
    let found = state.manager.explain_hook(&hook, query.environment, &query.operation).await?;
    answer(StatusCode::OK, None, &convert::explanation(found))
}

/// Declares that an absent hook is gone for good: plans no longer miss it.
#[utoipa::path(post, path = "/v1/hooks/{hook}/~retire", tag = "hooks", params(("hook" = String, Path, description = "`region.namespace.name`"), ChangeQuery), request_body = RetireHook, responses((status = OK, body = Hook)))]
async fn retire_hook(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Json(body): Json<RetireHook>,
) -> Answer<Response> {
    let row = state.manager.retire_hook(&who, &segments.hook("hook")?, body.reason).await?;
    answered(&state.manager, KeptAnswer::Hook(Box::new(row)))
}
