//! `/v1/tokens` and `/v1/whoami`.

use crate::{
    answers::answered,
    convert,
    extract::{Json, Query, Segments, answer, page},
    guard::Caller,
    problem::{Answer, Problem},
    state::ApiState,
};
use axum::{extract::State, http::StatusCode, response::Response};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use tenantry_api_types::v1::{
    ChangeQuery, CreateToken, CreatedToken, List, PageQuery, RevokeToken, Token, WhoAmI,
};
use tenantry_manager::KeptAnswer;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_tokens, create_token))
        .routes(routes!(revoke_token))
        .routes(routes!(whoami))
}

/// All tokens by id, revoked ones included; never their secrets.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", params(PageQuery), responses((status = OK, body = List<Token>)))]
async fn list_tokens(State(state): State<ApiState>, Query(query): Query<PageQuery>) -> Answer<Response> {
    let found = state.manager.tokens(&page(query.page_size, query.page_token.as_deref())?).await?;
    answer(StatusCode::OK, None, &convert::list::<_, Token>(found))
}

/// Makes a token. Its secret is in this answer only: the same request again is 409 `request-already-applied`.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", params(ChangeQuery), request_body = CreateToken, responses((status = CREATED, body = CreatedToken), (status = OK, description = "with `validateOnly`: without the secret", body = CreatedToken)))]
async fn create_token(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Json(body): Json<CreateToken>,
) -> Answer<Response> {
    let expires_at = match body.expires_in {
        None => None,
        Some(length) if length.is_positive() => {
            Some(Timestamp::now().checked_add(length).map_err(|_| bad_length())?)
        }
        Some(_) => return Err(bad_length()),
    };
    let issued = state.manager.create_token(&who, body.name, body.role, body.scopes, expires_at).await?;
    let token = issued.token.into();
    if who.only_checks {
        return answer(StatusCode::OK, None, &CreatedToken { token, secret: String::new() });
    }
    let secret = issued.secret.expose_secret().to_owned();
    answer(StatusCode::CREATED, None, &CreatedToken { token, secret })
}

fn bad_length() -> Problem {
    let detail = "expiresIn must be a positive time that ends before the year 9999";
    Problem::new("invalid-request", detail).at("/expiresIn", detail)
}

/// Refuses a token from now on. Doing it twice changes nothing.
#[utoipa::path(post, path = "/v1/tokens/{token}/~revoke", tag = "tokens", params(("token" = uuid::Uuid, Path), ChangeQuery), request_body = RevokeToken, responses((status = OK, body = Token)))]
async fn revoke_token(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Json(body): Json<RevokeToken>,
) -> Answer<Response> {
    let token = state.manager.revoke_token(&who, segments.get("token")?, body.reason).await?;
    answered(&state.manager, KeptAnswer::Revoked(token))
}

/// Who the caller is, and what it may do.
#[utoipa::path(get, path = "/v1/whoami", tag = "tokens", responses((status = OK, body = WhoAmI)))]
async fn whoami(Caller(who): Caller) -> Answer<Response> {
    let token = who.token.ok_or_else(|| Problem::new("internal", "a caller without a token"))?;
    let body = WhoAmI {
        actor: who.actor,
        token,
        role: who.role,
        scopes: who.scopes,
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    answer(StatusCode::OK, None, &body)
}
