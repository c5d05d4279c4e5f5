//! For machines that watch this one, and for people who look a code up.

use crate::{
    codes,
    extract::Segments,
    problem::{Answer, Problem},
    state::ApiState,
};
use axum::{
    extract::State,
    http::{HeaderName, header},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

type Text = ([(HeaderName, &'static str); 1], String);

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
        .routes(routes!(openapi))
        .routes(routes!(explain_code))
}

/// Whether the process answers at all.
#[utoipa::path(get, path = "/healthz", tag = "probes", responses((status = OK, body = String, content_type = "text/plain")))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether requests can be served: the store answers, and the server is not stopping.
#[utoipa::path(get, path = "/readyz", tag = "probes", responses((status = OK, body = String, content_type = "text/plain")))]
async fn readyz(State(state): State<ApiState>) -> Answer<&'static str> {
    if state.stopping.is_cancelled() {
        return Err(Problem::new("stopping", "the server is stopping"));
    }
    state.manager.ping().await?;
    Ok("ready\n")
}

/// Numbers in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "probes", responses((status = OK, body = String, content_type = "text/plain")))]
async fn metrics(State(state): State<ApiState>) -> Answer<Text> {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], state.metrics.text(&state.manager).await?))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "probes", responses((status = OK, body = Object)))]
async fn openapi() -> Response {
    // The committed one, which a test compares with the code: written anew, it would be in every manager's memory.
    const DOCUMENT: &str = include_str!("../../../../docs/openapi.json");
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

/// What a problem's code means, and what to do about it.
#[utoipa::path(get, path = "/errors/{code}", tag = "probes", params(("code" = String, Path)), responses((status = OK, body = String, content_type = "text/markdown")))]
async fn explain_code(segments: Segments) -> Answer<Text> {
    let code: String = segments.get("code")?;
    let entry =
        codes::find(&code).ok_or_else(|| Problem::new("not-found", format!("code {code} does not exist")))?;
    Ok(([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], codes::section(entry)))
}
