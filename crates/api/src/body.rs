//! Bodies of requests: bounded, read once, and answered once per Idempotency-Key.
//!
//! The service keeps what a request came to in the transaction of its change, so nothing is carried out twice; this
//! layer shows it again (see [`crate::answers`]). A refused request changed nothing and does not use its key up.

use crate::{
    access,
    answers::answered,
    extract::Query,
    problem::{Answer, Problem},
    state::ApiState,
    verbs,
};
use axum::{
    body::{Body, Bytes},
    extract::{FromRequestParts as _, MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use tenantry_api_types::v1::{ChangeQuery, IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED, MAX_BODY_BYTES};
use tenantry_manager::{Principal, RequestKey};

/// So much of a body that is too large is still read and thrown away: a client that is in the middle of sending
/// would see a broken connection instead of the answer.
const MAX_DRAIN_BYTES: usize = 32 * 1024 * 1024;

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
    let bytes = collect(&parts.headers, body).await?;
    if !parts.uri.path().starts_with("/v1/") {
        return Ok(next.run(Request::from_parts(parts, Body::from(bytes))).await);
    }
    let Query(ChangeQuery { validate_only }) = Query::from_request_parts(&mut parts, &()).await?;
    let key = key(&parts.headers, parts.method == Method::POST && !validate_only)?;
    // Without preconditions: who looks again after an unanswered change and repeats it has the same wish still.
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let hash = hash(&[parts.method.as_str().as_bytes(), target.as_bytes(), &bytes]);
    let Some(who) = parts.extensions.get_mut::<Principal>() else {
        return Err(Problem::new("internal", "a change without a caller"));
    };
    who.only_checks = validate_only;
    // A check changes nothing: its answer is always made anew.
    who.request = key.filter(|_| !validate_only).map(|key| RequestKey { key, hash });
    let who = who.clone();
    if let Some(response) = replayed(state, &who).await? {
        return Ok(response);
    }
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    // The same request may have been carried out meanwhile: then the refusal ("exists already") is its own doing.
    if response.status().is_client_error()
        && let Some(again) = replayed(state, &who).await?
    {
        return Ok(again);
    }
    Ok(response)
}

/// What the same request was answered when it was carried out.
async fn replayed(state: &ApiState, who: &Principal) -> Answer<Option<Response>> {
    let Some(kept) = state.manager.replay(who).await? else { return Ok(None) };
    let mut response = answered(&state.manager, kept)?;
    response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    Ok(Some(response))
}

fn key(headers: &HeaderMap, required: bool) -> Answer<Option<String>> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        if !required {
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
    Ok(Some(text.to_owned()))
}

/// Lower-case hex of SHA-256 over the parts, each with its length.
pub(crate) fn hash(parts: &[&[u8]]) -> String {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    tenantry_model::hex(context.finish().as_ref())
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
