//! `/v1/event-sinks`: where events go, and what could not be delivered there.

use crate::{
    answers::answered,
    convert,
    extract::{Json, Query, Segments, answer, page},
    guard::Caller,
    problem::{Answer, Problem},
    state::ApiState,
};
use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_api_types::v1::{
    ChangeQuery, ChangedDeadLetters, DeadLetter, DiscardEvents, EventSink, ForgetEventSink, List, PageQuery,
    RedeliverEvents, ReplayEvents,
};
use tenantry_manager::{DeadLettersChanged, EventSinkView, KeptAnswer, ReplayFrom};
use tenantry_store::{DeadLetterRow, ParkedRow};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_event_sinks))
        .routes(routes!(replay_events))
        .routes(routes!(forget_event_sink))
        .routes(routes!(list_dead_letters))
        .routes(routes!(redeliver_dead_letters))
        .routes(routes!(discard_dead_letters))
}

/// All sinks, by name.
#[utoipa::path(get, path = "/v1/event-sinks", tag = "events", params(PageQuery), responses((status = OK, body = List<EventSink>)))]
async fn list_event_sinks(State(state): State<ApiState>, Query(query): Query<PageQuery>) -> Answer<Response> {
    let page = page(query.page_size, query.page_token.as_deref())?;
    let all = convert::cut(state.manager.event_sinks().await?, &page, |sink| sink.name.clone());
    answer(StatusCode::OK, None, &convert::list_with(all, shown))
}

/// Has a sink given again what it was given before, from a position or a time on; each event under the id that it had.
#[utoipa::path(post, path = "/v1/event-sinks/{sink}/~replay", tag = "events", params(("sink" = String, Path), ChangeQuery), request_body = ReplayEvents, responses((status = OK, body = EventSink)))]
async fn replay_events(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Json(body): Json<ReplayEvents>,
) -> Answer<Response> {
    let from = match (body.from_position, body.from_time) {
        (Some(position), None) => ReplayFrom::Position(position),
        (None, Some(time)) => ReplayFrom::Time(time),
        _ => {
            let detail = "say either fromPosition or fromTime";
            return Err(Problem::new("invalid-request", detail).at("/fromPosition", detail));
        }
    };
    let sink: String = segments.get("sink")?;
    let view = state.manager.replay_events(&who, &sink, from, body.reason.as_deref()).await?;
    answered(&state.manager, KeptAnswer::EventSink(Box::new(view)))
}

/// Forgets a sink with what it was not given; one that is still configured begins anew with what happens then.
#[utoipa::path(post, path = "/v1/event-sinks/{sink}/~forget", tag = "events", params(("sink" = String, Path), ChangeQuery), request_body = ForgetEventSink, responses((status = NO_CONTENT)))]
async fn forget_event_sink(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Json(body): Json<ForgetEventSink>,
) -> Answer<Response> {
    let sink: String = segments.get("sink")?;
    state.manager.forget_event_sink(&who, &sink, &body.reason).await?;
    answered(&state.manager, KeptAnswer::Gone)
}

/// Events that a sink was not given, by position.
#[utoipa::path(get, path = "/v1/event-sinks/{sink}/dead-letters", tag = "events", params(("sink" = String, Path), PageQuery), responses((status = OK, body = List<DeadLetter>)))]
async fn list_dead_letters(
    State(state): State<ApiState>,
    segments: Segments,
    Query(query): Query<PageQuery>,
) -> Answer<Response> {
    let page = page(query.page_size, query.page_token.as_deref())?;
    let sink: String = segments.get("sink")?;
    let found = state.manager.dead_letters(&sink, &page).await?;
    answer(StatusCode::OK, None, &convert::list_with(found, letter))
}

/// Has dead letters delivered after all, as soon as the sink takes something.
#[utoipa::path(post, path = "/v1/event-sinks/{sink}/dead-letters/~redeliver", tag = "events", params(("sink" = String, Path), ChangeQuery), request_body = RedeliverEvents, responses((status = OK, body = ChangedDeadLetters)))]
async fn redeliver_dead_letters(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Json(body): Json<RedeliverEvents>,
) -> Answer<Response> {
    let sink: String = segments.get("sink")?;
    let changed = state.manager.redeliver(&who, &sink, &body.positions, body.reason.as_deref()).await?;
    answered(&state.manager, KeptAnswer::DeadLetters(changed))
}

/// Throws dead letters away: the sink will never get them.
#[utoipa::path(post, path = "/v1/event-sinks/{sink}/dead-letters/~discard", tag = "events", params(("sink" = String, Path), ChangeQuery), request_body = DiscardEvents, responses((status = OK, body = ChangedDeadLetters)))]
async fn discard_dead_letters(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Json(body): Json<DiscardEvents>,
) -> Answer<Response> {
    let sink: String = segments.get("sink")?;
    let changed = state.manager.discard(&who, &sink, &body.positions, &body.reason).await?;
    answered(&state.manager, KeptAnswer::DeadLetters(changed))
}

pub(crate) fn shown(view: EventSinkView) -> EventSink {
    EventSink {
        name: view.name,
        to: view.to,
        types: view.types,
        position: view.position,
        newest: view.newest,
        tries: view.tries,
        not_before: view.not_before,
        problem: view.problem,
        parked: view.parked.into_iter().map(parked).collect(),
        dead_letters: view.dead_letters,
    }
}

fn parked(row: ParkedRow) -> tenantry_api_types::v1::ParkedEnvironment {
    tenantry_api_types::v1::ParkedEnvironment {
        environment: row.environment,
        position: row.after,
        tries: row.tries,
        not_before: row.not_before,
        since: row.since,
        problem: row.problem,
    }
}

fn letter(row: DeadLetterRow) -> DeadLetter {
    DeadLetter {
        position: row.event.position,
        kind: row.event.kind,
        environment: row.event.environment,
        version: row.event.version,
        operation: row.event.operation,
        at: row.event.at,
        data: row.event.data,
        tries: row.tries,
        problem: row.problem,
        given_up_at: row.at,
        wanted: row.wanted,
    }
}

pub(crate) fn changed(from: DeadLettersChanged) -> ChangedDeadLetters {
    ChangedDeadLetters { sink: from.sink, positions: from.positions, more: from.more }
}
