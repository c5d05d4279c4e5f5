//! Logs of attempts: a range of bytes, or the bytes as they come.

use crate::{
    extract::{Query, Segments},
    problem::{Answer, Problem},
    routes::events::last_event_id,
    sse::{self, POLL},
    state::ApiState,
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{Response, sse::Event as Message},
};
use base64::Engine as _;
use std::time::Duration;
use tenantry_api_types::v1::{LOG_COMPLETE, LOG_NEXT_OFFSET, LogEvent, LogQuery, MAX_LOG_RANGE_BYTES};
use tenantry_model::{AttemptId, with_causes};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Bytes of one message of a followed log.
const MESSAGE_BYTES: usize = 64 * 1024;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read_log)).routes(routes!(follow_log))
}

/// A range of an attempt's log, as the hook wrote it (any bytes; what is missing is said by a line in its place).
#[utoipa::path(get, path = "/v1/operations/{operation}/steps/{step}/attempts/{attempt}/log", tag = "logs",
    params(("operation" = uuid::Uuid, Path), ("step" = String, Path), ("attempt" = u32, Path), LogQuery),
    responses((status = OK, body = String, content_type = "text/plain", headers(
        ("tenantry-log-next-offset" = u64, description = "where the next range begins"),
        ("tenantry-log-complete" = bool, description = "nothing follows, ever")))))]
async fn read_log(
    State(state): State<ApiState>,
    segments: Segments,
    Query(query): Query<LogQuery>,
) -> Answer<Response> {
    let attempt = attempt(&state, &segments).await?;
    let limit = query.limit.unwrap_or(MAX_LOG_RANGE_BYTES);
    if limit == 0 || limit > MAX_LOG_RANGE_BYTES {
        let rule = format!("must be 1 to {MAX_LOG_RANGE_BYTES}");
        return Err(Problem::new("invalid-query", format!("limit is {limit}; it {rule}")).at("limit", rule));
    }
    let limit = usize::try_from(limit).unwrap_or(MESSAGE_BYTES);
    let part = state.manager.read_log(&attempt, query.offset, limit, Duration::ZERO).await?;
    let (next, complete) = (part.next, part.end);
    let mut response = Response::new(Body::from(part.bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(LOG_NEXT_OFFSET, HeaderValue::from(next));
    headers.insert(LOG_COMPLETE, HeaderValue::from_static(if complete { "true" } else { "false" }));
    Ok(response)
}

/// An attempt's log as it comes (SSE): each message a [`LogEvent`], its id the next offset. Ends with a message
/// `end` when the log is complete.
#[utoipa::path(get, path = "/v1/operations/{operation}/steps/{step}/attempts/{attempt}/log/~follow", tag = "logs",
    params(("operation" = uuid::Uuid, Path), ("step" = String, Path), ("attempt" = u32, Path), LogQuery, ("last-event-id" = Option<u64>, Header, description = "goes on at this offset")),
    responses((status = OK, body = LogEvent, content_type = "text/event-stream")))]
async fn follow_log(
    State(state): State<ApiState>,
    segments: Segments,
    Query(query): Query<LogQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let attempt = attempt(&state, &segments).await?;
    let offset = last_event_id(&headers)?.unwrap_or(query.offset);
    let follower = Box::new(Follower { state: state.clone(), attempt, offset });
    let events = futures::stream::unfold(Next::Read(follower), |next| async move {
        match next {
            Next::Stop => None,
            Next::End => Some((sse::end(), Next::Stop)),
            Next::Read(follower) => follower.step().await,
        }
    });
    Ok(sse::stream(&state, events))
}

enum Next {
    Read(Box<Follower>),
    End,
    Stop,
}

struct Follower {
    state: ApiState,
    attempt: AttemptId,
    offset: u64,
}

impl Follower {
    async fn step(mut self: Box<Self>) -> Option<(Message, Next)> {
        loop {
            let part =
                match self.state.manager.read_log(&self.attempt, self.offset, MESSAGE_BYTES, POLL).await {
                    Ok(part) => part,
                    Err(error) => {
                        // The client comes back with its Last-Event-ID.
                        tracing::warn!(error = %with_causes(&error), "a log stream broke off");
                        return None;
                    }
                };
            let (next, complete) = (part.next, part.end);
            if part.bytes.is_empty() {
                if complete {
                    return Some((sse::end(), Next::Stop));
                }
                continue;
            }
            let event = LogEvent {
                offset: part.offset,
                next_offset: next,
                complete,
                data: base64::engine::general_purpose::STANDARD.encode(&part.bytes),
            };
            let data = serde_json::to_string(&event).ok()?;
            self.offset = next;
            let message = Message::default().event("log").id(next.to_string()).data(data);
            return Some((message, if complete { Next::End } else { Next::Read(self) }));
        }
    }
}

/// The attempt that the path names, if there is one.
async fn attempt(state: &ApiState, segments: &Segments) -> Answer<AttemptId> {
    let id = AttemptId {
        operation: segments.get("operation")?,
        step: segments.hook("step")?,
        number: segments.get("attempt")?,
    };
    if state.manager.has_attempt(&id).await? {
        return Ok(id);
    }
    Err(Problem::new("not-found", format!("attempt {id} does not exist")))
}
