//! `/v1/cloudevents`: operations that are asked for by events; `/v1/inbox`: messages of a stream that were refused.

use crate::{
    answers::answered,
    body::Taken,
    convert,
    extract::{Json, Query, Segments, answer, page},
    guard::Caller,
    problem::Answer,
    routes::environments::accepted,
    state::ApiState,
};
use axum::{Extension, extract::State, http::StatusCode, response::Response};
use tenantry_api_types::v1::{
    Accepted, ChangeQuery, DiscardMessages, DiscardedMessages, List, MessageHeader, PageQuery,
    RefusedMessage, RetryMessage,
};
use tenantry_manager::{KeptAnswer, LettersDiscarded};
use tenantry_store::LetterRow;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(take_event))
        .routes(routes!(list_refused_messages))
        .routes(routes!(get_refused_message))
        .routes(routes!(retry_refused_message))
        .routes(routes!(discard_refused_messages))
}

/// Starts the operation that a CloudEvent (`io.tenantry.operation.request.v1`) asks for. The event's source and id are the
/// key of the request: the same event is carried out once. Either whole as `application/cloudevents+json`, or its data as
/// `application/json` and its attributes as headers that begin with `ce-`.
#[utoipa::path(post, path = "/v1/cloudevents", tag = "events", params(ChangeQuery), request_body(content = serde_json::Value, content_type = "application/cloudevents+json"), responses((status = ACCEPTED, body = Accepted), (status = OK, description = "with `validateOnly`", body = Accepted)))]
async fn take_event(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Query(query): Query<ChangeQuery>,
    Extension(Taken(event)): Extension<Taken>,
) -> Answer<Response> {
    // A plan is in it: on the heap, as the futures of all callers would carry it along.
    let (environment, operation) =
        Box::pin(state.manager.take_event(&who, &event, query.validate_only)).await?;
    accepted(&convert::started(environment, Some(operation)))
}

/// Messages that were refused, by when they were published.
#[utoipa::path(get, path = "/v1/inbox/dead-letters", tag = "events", params(PageQuery), responses((status = OK, body = List<RefusedMessage>)))]
async fn list_refused_messages(
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> Answer<Response> {
    let page = page(query.page_size, query.page_token.as_deref())?;
    let found = state.manager.letters(&page).await?;
    answer(StatusCode::OK, None, &convert::list_with(found, listed))
}

/// One message that was refused, with what is kept of it.
#[utoipa::path(get, path = "/v1/inbox/dead-letters/{letter}", tag = "events", params(("letter" = uuid::Uuid, Path)), responses((status = OK, body = RefusedMessage)))]
async fn get_refused_message(State(state): State<ApiState>, segments: Segments) -> Answer<Response> {
    let row = state.manager.letter(segments.get("letter")?).await?;
    let header =
        |(name, value): &(String, String)| MessageHeader { name: name.clone(), value: value.clone() };
    let headers = Some(row.headers.iter().map(header).collect());
    let body = Some(row.body.clone());
    answer(StatusCode::OK, None, &RefusedMessage { headers, body, ..listed(row) })
}

/// Does after all what a refused message asked for, in the name of the caller.
#[utoipa::path(post, path = "/v1/inbox/dead-letters/{letter}/~retry", tag = "events", params(("letter" = uuid::Uuid, Path), ChangeQuery), request_body = RetryMessage, responses((status = ACCEPTED, body = Accepted), (status = OK, description = "with `validateOnly`", body = Accepted)))]
async fn retry_refused_message(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Json(body): Json<RetryMessage>,
) -> Answer<Response> {
    let id = segments.get("letter")?;
    let retried = Box::pin(state.manager.retry_letter(&who, id, body.reason.as_deref()));
    let (environment, operation) = retried.await?;
    accepted(&convert::started(environment, Some(operation)))
}

/// Throws refused messages away.
#[utoipa::path(post, path = "/v1/inbox/dead-letters/~discard", tag = "events", params(ChangeQuery), request_body = DiscardMessages, responses((status = OK, body = DiscardedMessages)))]
async fn discard_refused_messages(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Json(body): Json<DiscardMessages>,
) -> Answer<Response> {
    let discarded = state.manager.discard_letters(&who, &body.messages, &body.reason).await?;
    answered(&state.manager, KeptAnswer::LettersDiscarded(discarded))
}

fn listed(row: LetterRow) -> RefusedMessage {
    RefusedMessage {
        id: row.id,
        place: row.place,
        subject: row.subject,
        source: row.source,
        event: row.event,
        code: row.code,
        problem: row.problem,
        token: row.token,
        published_at: row.published_at,
        refused_at: row.at,
        size: row.size,
        whole: row.whole,
        headers: None,
        body: None,
    }
}

pub(crate) fn discarded(from: LettersDiscarded) -> DiscardedMessages {
    DiscardedMessages { messages: from.letters, more: from.more }
}
