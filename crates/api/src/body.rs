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
use std::sync::Arc;
use tenantry_api_types::v1::{ChangeQuery, IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED, MAX_BODY_BYTES};
use tenantry_manager::{MAX_EVENT_BYTES, ManagerError, Principal, RequestEvent, RequestKey};

/// So much of a body that is too large is still read and thrown away: a client that is in the middle of sending
/// would see a broken connection instead of the answer.
const MAX_DRAIN_BYTES: usize = 32 * 1024 * 1024;

/// The event that a body is, for its handler.
#[derive(Clone)]
pub(crate) struct Taken(pub(crate) Arc<RequestEvent>);

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
    let events = route == access::EVENTS;
    let limit = if events { MAX_EVENT_BYTES } else { MAX_BODY_BYTES };
    let bytes = collect(&parts.headers, body, limit).await?;
    if !parts.uri.path().starts_with("/v1/") {
        return Ok(next.run(Request::from_parts(parts, Body::from(bytes))).await);
    }
    let Query(ChangeQuery { validate_only }) = Query::from_request_parts(&mut parts, &()).await?;
    let request = if events {
        let event = RequestEvent::read(&stated(&parts.headers), &bytes).map_err(ManagerError::from)?;
        let request = event.key();
        parts.extensions.insert(Taken(Arc::new(event)));
        Some(request)
    } else {
        let key = key(&parts.headers, parts.method == Method::POST && !validate_only)?;
        // Without preconditions: who looks again after an unanswered change and repeats it has the same wish still.
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
        let hash = hash(&[parts.method.as_str().as_bytes(), target.as_bytes(), &bytes]);
        key.map(|key| RequestKey { key, hash })
    };
    let taken = parts.extensions.get::<Taken>().cloned();
    let Some(who) = parts.extensions.get_mut::<Principal>() else {
        return Err(Problem::new("internal", "a change without a caller"));
    };
    who.only_checks = validate_only;
    // A check changes nothing: its answer is always made anew.
    who.request = request.filter(|_| !validate_only);
    if let (Some(Taken(event)), None) = (&taken, &who.traceparent) {
        who.traceparent.clone_from(&event.traceparent);
    }
    let who = who.clone();
    if let Some(response) = replayed(state, &who, taken.as_ref()).await? {
        return Ok(response);
    }
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    // The same request may have been carried out meanwhile: then the refusal ("exists already") is its own doing.
    if response.status().is_client_error()
        && let Some(again) = replayed(state, &who, taken.as_ref()).await?
    {
        return Ok(again);
    }
    Ok(response)
}

/// What the same request was answered when it was carried out.
async fn replayed(state: &ApiState, who: &Principal, event: Option<&Taken>) -> Answer<Option<Response>> {
    let kept = match event {
        Some(Taken(event)) => state.manager.replay_event(who, event).await?,
        None => state.manager.replay(who).await?,
    };
    let Some(kept) = kept else { return Ok(None) };
    let mut response = answered(&state.manager, kept)?;
    response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    Ok(Some(response))
}

/// The headers that say what an event is. One that is no text is none of an event.
fn stated(headers: &HeaderMap) -> Vec<(String, String)> {
    let of_events = |name: &str| name == "content-type" || name.starts_with("ce-");
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let of_event = headers.iter().filter(|(name, _)| of_events(name.as_str()));
    of_event.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
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

async fn collect(headers: &HeaderMap, body: Body, limit: usize) -> Answer<Bytes> {
    let stated: Option<usize> = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok());
    if stated.is_some_and(|length| length > MAX_DRAIN_BYTES) {
        return Err(
            too_large(stated, limit).with_header(header::CONNECTION, HeaderValue::from_static("close"))
        );
    }
    let mut taken = Vec::with_capacity(stated.unwrap_or(0).min(limit));
    let mut seen = 0_usize;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk =
            chunk.map_err(|_| Problem::new("invalid-body", "the body ended before it was complete"))?;
        seen = seen.saturating_add(chunk.len());
        if seen > MAX_DRAIN_BYTES {
            break;
        }
        if seen <= limit {
            taken.extend_from_slice(&chunk);
        }
    }
    if seen > limit { Err(too_large(Some(seen), limit)) } else { Ok(Bytes::from(taken)) }
}

fn too_large(size: Option<usize>, limit: usize) -> Problem {
    let size = size.map_or(String::new(), |size| format!(" is {size} bytes;"));
    Problem::new(
        "body-too-large",
        format!("the request's body{size} at most {limit} bytes ({} MiB) are allowed", limit / (1024 * 1024)),
    )
}
