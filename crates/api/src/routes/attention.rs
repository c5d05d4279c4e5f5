//! `/v1/attention`.

use crate::{
    convert,
    extract::{Query, answer, page},
    guard::Caller,
    problem::Answer,
    state::ApiState,
};
use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_api_types::v1::{Attention, AttentionQuery, List};
use tenantry_store::AttentionFilter;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_attention))
}

/// What waits for a person, oldest first.
#[utoipa::path(get, path = "/v1/attention", tag = "attention", params(AttentionQuery), responses((status = OK, body = List<Attention>)))]
async fn list_attention(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Query(query): Query<AttentionQuery>,
) -> Answer<Response> {
    let page = page(query.page_size, query.page_token.as_deref())?;
    let filter = AttentionFilter { operation: query.operation, settled: query.settled, scopes: None };
    let found = state.manager.attentions(&who, filter, &page).await?;
    answer(StatusCode::OK, None, &convert::list::<_, Attention>(found))
}
