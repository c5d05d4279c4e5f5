//! `/v1/tokens` and `/v1/whoami`.

use crate::{
    body::Secret,
    convert,
    extract::{Json, Query, Segments, answer, page},
    guard::Caller,
    problem::{Answer, Problem},
    state::ApiState,
};
use axum::{extract::State, http::StatusCode, response::Response};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use tenantry_api_types::v1::{CreateToken, CreatedToken, List, PageQuery, RevokeToken, Token, WhoAmI};
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

/// Makes a token. Its secret is in this answer only.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = CreateToken, responses((status = CREATED, body = CreatedToken)))]
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
    let made = CreatedToken { secret: issued.secret.expose_secret().to_owned(), token: issued.token.into() };
    let mut response = answer(StatusCode::CREATED, None, &made)?;
    response.extensions_mut().insert(Secret);
    Ok(response)
}

fn bad_length() -> Problem {
    let detail = "expiresIn must be a positive time that ends before the year 9999";
    Problem::new("invalid-request", detail).at("/expiresIn", detail)
}

/// Refuses a token from now on. Doing it twice changes nothing.
#[utoipa::path(post, path = "/v1/tokens/{token}/~revoke", tag = "tokens", params(("token" = uuid::Uuid, Path)), request_body = RevokeToken, responses((status = OK, body = Token)))]
async fn revoke_token(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Json(body): Json<RevokeToken>,
) -> Answer<Response> {
    let token = state.manager.revoke_token(&who, segments.get("token")?, body.reason).await?;
    answer(StatusCode::OK, None, &Token::from(token))
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
