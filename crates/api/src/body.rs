//! Bodies of requests: bounded, read once, and answered once per Idempotency-Key.
//!
//! The service claims the key in the transaction of its change, so nothing is carried out twice; this layer keeps
//! the answer and gives it again. Only answers of status 2xx are kept: a refused request changed nothing. Answers
//! that hold a secret are never kept (see [`Secret`]).

use crate::{
    access,
    problem::{Answer, Problem},
    state::ApiState,
    verbs,
};
use axum::{
    body::{Body, Bytes},
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use std::{fmt::Write as _, time::Duration};
use tenantry_api_types::v1::{IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED, MAX_BODY_BYTES};
use tenantry_manager::{ManagerError, Principal, RequestKey, StoredAnswer};

/// So much of a body that is too large is still read and thrown away: a client that is in the middle of sending
/// would see a broken connection instead of the answer.
const MAX_DRAIN_BYTES: usize = 32 * 1024 * 1024;
/// How long a request with a key that is being carried out waits for that answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);
const ANSWER_POLL: Duration = Duration::from_millis(100);

/// Marks an answer that must not be stored.
#[derive(Clone, Copy)]
pub(crate) struct Secret;

/// The layer.
pub(crate) async fn body(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    match once(&state, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn once(state: &ApiState, request: Request, next: Next) -> Answer<Response> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(next.run(request).await);
    }
    let (mut parts, body) = request.into_parts();
    let route =
        parts.extensions.get::<MatchedPath>().map_or(String::new(), |path| verbs::public(path.as_str()));
    let query = parts.uri.query().unwrap_or_default();
    if !query.is_empty() && !access::can_check(&parts.method, &route) {
        let detail = "this endpoint takes no query parameters (and cannot only check)";
        return Err(Problem::new("invalid-query", detail)
            .at(query.split(['=', '&']).next().unwrap_or_default(), detail));
    }
    let only_checks = query.split('&').any(|pair| pair == "validateOnly=true");
    let bytes = collect(&parts.headers, body).await?;
    let keyed = parts.method == Method::POST && parts.uri.path().starts_with("/v1/");
    if !keyed {
        return Ok(next.run(Request::from_parts(parts, Body::from(bytes))).await);
    }
    let Some(key) = key(&parts.headers, only_checks)? else {
        return Ok(next.run(Request::from_parts(parts, Body::from(bytes))).await);
    };
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let hash = hash(&[parts.method.as_str().as_bytes(), target.as_bytes(), &bytes]);
    let Some(who) = parts.extensions.get_mut::<Principal>() else {
        return Err(Problem::new("internal", "a request with a key but without a caller"));
    };
    who.request = Some(RequestKey { key, hash });
    let who = who.clone();
    if let Some(answer) = replay(state, &who).await? {
        return Ok(replayed(answer));
    }
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    // The same request may have been carried out meanwhile: then the refusal ("exists already") is its own doing.
    if response.status().is_client_error()
        && let Some(answer) = replay(state, &who).await?
    {
        return Ok(replayed(answer));
    }
    remember(state, &who, response).await
}

/// The stored answer. One that is on its way is waited for.
async fn replay(state: &ApiState, who: &Principal) -> Answer<Option<StoredAnswer>> {
    let deadline = tokio::time::Instant::now() + ANSWER_PATIENCE;
    loop {
        match state.manager.replay(who).await {
            Err(ManagerError::AlreadyApplied(_)) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(ANSWER_POLL).await;
            }
            other => return Ok(other?),
        }
    }
}

fn replayed(answer: StoredAnswer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    if let Some(etag) = answer.etag.and_then(|etag| etag.parse().ok()) {
        headers.insert(header::ETAG, etag);
    }
    response
}

async fn remember(state: &ApiState, who: &Principal, response: Response) -> Answer<Response> {
    if !response.status().is_success() || response.extensions().get::<Secret>().is_some() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX)
        .await
        .map_err(|why| Problem::new("internal", format!("an answer cannot be read: {why}")))?;
    let answer = StoredAnswer {
        status: parts.status.as_u16(),
        body: String::from_utf8_lossy(&bytes).into_owned(),
        etag: parts.headers.get(header::ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned),
    };
    // The change is committed: that its answer cannot be kept must not make it look refused.
    if let Err(error) = state.manager.remember(who, answer).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the answer to a keyed request was not kept"
        );
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn key(headers: &HeaderMap, only_checks: bool) -> Answer<Option<String>> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        if only_checks {
            return Ok(None);
        }
        let detail = "this POST needs the header Idempotency-Key (a new UUID for each new request)";
        return Err(Problem::new("idempotency-key-required", detail).at(IDEMPOTENCY_KEY, "is missing"));
    };
    let text = value.to_str().unwrap_or_default();
    if text.is_empty() || text.len() > 255 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let detail = "the Idempotency-Key must be 1 to 255 visible ASCII characters";
        return Err(Problem::new("idempotency-key-invalid", detail).at(IDEMPOTENCY_KEY, detail));
    }
    // A check changes nothing: its answer is always made anew.
    Ok((!only_checks).then(|| text.to_owned()))
}

/// Lower-case hex of SHA-256 over the parts, each with its length.
pub(crate) fn hash(parts: &[&[u8]]) -> String {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

async fn collect(headers: &HeaderMap, body: Body) -> Answer<Bytes> {
    let stated: Option<usize> = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok());
    if stated.is_some_and(|length| length > MAX_DRAIN_BYTES) {
        return Err(too_large(stated).with_header(header::CONNECTION, HeaderValue::from_static("close")));
    }
    let mut taken = Vec::with_capacity(stated.unwrap_or(0).min(MAX_BODY_BYTES));
    let mut seen = 0_usize;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk =
            chunk.map_err(|_| Problem::new("invalid-body", "the body ended before it was complete"))?;
        seen = seen.saturating_add(chunk.len());
        if seen > MAX_DRAIN_BYTES {
            break;
        }
        if seen <= MAX_BODY_BYTES {
            taken.extend_from_slice(&chunk);
        }
    }
    if seen > MAX_BODY_BYTES { Err(too_large(Some(seen))) } else { Ok(Bytes::from(taken)) }
}

fn too_large(size: Option<usize>) -> Problem {
    let size = size.map_or(String::new(), |size| format!(" is {size} bytes;"));
    Problem::new(
        "body-too-large",
        format!("the request's body{size} at most {MAX_BODY_BYTES} bytes (2 MiB) are allowed"),
    )
}
