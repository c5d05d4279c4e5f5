//! The outermost layer: a request's id and span, panics as problems, problems as documents, metrics.
//!
//! It never logs a header or a body: credentials and settings are in them.

use crate::{
    guard::Route,
    problem::{Pending, Problem},
    state::ApiState,
};
use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use std::{panic::AssertUnwindSafe, time::Instant};
use tenantry_api_types::v1::REQUEST_ID;
use tracing::Instrument;

/// The layer.
pub(crate) async fn outermost(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = uuid::Uuid::now_v7().to_string();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("request", id, %method, path);
    let answer = async {
        let mut response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => {
                state.metrics.panicked();
                tracing::error!(panic = words(panic.as_ref()), "a handler panicked");
                Problem::new(
                    "internal",
                    "a defect stopped the request; the server's log holds it under this instance",
                )
                .into_response()
            }
        };
        let route =
            response.extensions_mut().remove::<Route>().map_or("unmatched".to_owned(), |route| route.0);
        let mut response = finished(response, &id);
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        let (status, took) = (response.status().as_u16(), began.elapsed());
        state.metrics.answered(method.as_str(), &route, status, took);
        // Polls of agents and probes are the server's heartbeat, not its news.
        if status >= 500 {
            tracing::warn!(status, ?took, route, "answered");
        } else if route.starts_with("/v1/") && method != axum::http::Method::GET {
            tracing::info!(status, ?took, route, "answered");
        } else {
            tracing::debug!(status, ?took, route, "answered");
        }
        response
    };
    answer.instrument(span).await
}

fn finished(mut response: Response, id: &str) -> Response {
    if let Some(Pending(problem)) = response.extensions_mut().remove::<Pending>() {
        return problem.render(id);
    }
    // What a library refused by itself has no document yet.
    let status = response.status();
    if (status.is_client_error() || status.is_server_error()) && !is_document(&response) {
        let code = match status {
            StatusCode::NOT_FOUND => "route-not-found",
            StatusCode::METHOD_NOT_ALLOWED => "method-not-allowed",
            StatusCode::PAYLOAD_TOO_LARGE => "body-too-large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported-media-type",
            status if status.is_client_error() => "invalid-body",
            _ => "internal",
        };
        return Problem::new(code, format!("the server answered {status}")).render(id);
    }
    response
}

fn is_document(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/"))
}

fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
