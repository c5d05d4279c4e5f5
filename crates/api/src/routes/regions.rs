//! `/v1/regions`.

use crate::{
    answers::answered,
    convert,
    extract::{Json, Query, Segments, answer, page},
    guard::Caller,
    problem::Answer,
    state::ApiState,
};
use axum::{extract::State, http::StatusCode, response::Response};
use secrecy::ExposeSecret;
use tenantry_api_types::v1::{
    ChangeQuery, CreateJoinToken, CreateRegion, JoinToken, List, PageQuery, Region,
};
use tenantry_manager::KeptAnswer;
use tenantry_model::RegionName;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_regions, create_region))
        .routes(routes!(get_region))
        .routes(routes!(create_join_token))
}

/// Regions that the caller may see, by name.
#[utoipa::path(get, path = "/v1/regions", tag = "regions", params(PageQuery), responses((status = OK, body = List<Region>)))]
async fn list_regions(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Query(query): Query<PageQuery>,
) -> Answer<Response> {
    let page = page(query.page_size, query.page_token.as_deref())?;
    let found = state.manager.regions(&who).await?;
    let part = convert::cut(found, &page, |region| region.name.to_string());
    answer(StatusCode::OK, None, &convert::list_with(part, |region| convert::region(&state.manager, region)))
}

/// Makes a region.
#[utoipa::path(post, path = "/v1/regions", tag = "regions", params(ChangeQuery), request_body = CreateRegion, responses((status = CREATED, body = Region), (status = OK, description = "with `validateOnly`", body = Region)))]
async fn create_region(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Json(body): Json<CreateRegion>,
) -> Answer<Response> {
    let made = state.manager.create_region(&who, body.name).await?;
    if who.only_checks {
        return answer(StatusCode::OK, None, &convert::region(&state.manager, made));
    }
    answered(&state.manager, KeptAnswer::Region(made))
}

/// One region.
#[utoipa::path(get, path = "/v1/regions/{region}", tag = "regions", params(("region" = String, Path)), responses((status = OK, body = Region)))]
async fn get_region(State(state): State<ApiState>, segments: Segments) -> Answer<Response> {
    let name: RegionName = segments.get("region")?;
    let found = state.manager.region(&name).await?;
    answer(StatusCode::OK, None, &convert::region(&state.manager, found))
}

/// Makes a token with which one agent can join the region, once. It is in this answer only: the same request again is
/// 409 `request-already-applied`.
#[utoipa::path(post, path = "/v1/regions/{region}/join-tokens", tag = "regions", params(("region" = String, Path), ChangeQuery), request_body = CreateJoinToken, responses((status = CREATED, body = JoinToken), (status = OK, description = "with `validateOnly`: without the token", body = JoinToken)))]
async fn create_join_token(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Json(CreateJoinToken {}): Json<CreateJoinToken>,
) -> Answer<Response> {
    let region: RegionName = segments.get("region")?;
    let issued = state.manager.create_join_token(&who, &region).await?;
    let expires_at = issued.token.expires_at;
    if who.only_checks {
        return answer(StatusCode::OK, None, &JoinToken { region, token: String::new(), expires_at });
    }
    let token = issued.secret.expose_secret().to_owned();
    answer(StatusCode::CREATED, None, &JoinToken { region, token, expires_at })
}
