//! Streams of changes (SSE).
//!
//! A stream reads the outbox by position, so a client that comes back with `Last-Event-ID` misses nothing and sees
//! nothing twice. The first message (`position`) says where the stream begins: what is read after it holds
//! everything that came before.

use crate::{
    convert,
    extract::{Query, Segments},
    guard::{Caller, is_missing},
    problem::{Answer, Problem},
    sse::{self, POLL},
    state::ApiState,
};
use axum::{
    extract::State,
    http::HeaderMap,
    response::{Response, sse::Event as Message},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};
use tenantry_api_types::v1::{Event, EventsQuery};
use tenantry_manager::{EnvironmentKey, Principal, Target};
use tenantry_model::{EnvironmentId, OperationId, OperationState, Role, Scope, with_causes};
use tenantry_store::{EventFilter, EventRecord};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Events read at once.
const BATCH: u32 = 500;
/// A stream remembers of so many environments whether they are in scope; then it asks again.
const MAX_REMEMBERED: usize = 10_000;
const OPERATION_CHANGED: &str = "io.tenantry.operation.changed.v1";

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(stream_events))
        .routes(routes!(stream_environment_events))
        .routes(routes!(stream_operation_events))
}

/// Changes of everything that the caller may see.
#[utoipa::path(get, path = "/v1/events", tag = "events", params(EventsQuery, ("last-event-id" = Option<u64>, Header)), responses((status = OK, body = Event, content_type = "text/event-stream")))]
async fn stream_events(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    begin(state, who, EventFilter::default(), query, &headers).await
}

/// Changes of an environment and of its operations.
#[utoipa::path(get, path = "/v1/environments/{environment}/events", tag = "events", params(("environment" = uuid::Uuid, Path), EventsQuery, ("last-event-id" = Option<u64>, Header)), responses((status = OK, body = Event, content_type = "text/event-stream")))]
async fn stream_environment_events(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let id: EnvironmentId = segments.get("environment")?;
    state.manager.environment(&EnvironmentKey::Id(id)).await?;
    begin(state, who, EventFilter { environment: Some(id), operation: None }, query, &headers).await
}

/// Changes of an operation, its steps and attempts. Ends with a message `end` when the operation has ended.
#[utoipa::path(get, path = "/v1/operations/{operation}/events", tag = "events", params(("operation" = uuid::Uuid, Path), EventsQuery, ("last-event-id" = Option<u64>, Header)), responses((status = OK, body = Event, content_type = "text/event-stream")))]
async fn stream_operation_events(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let id: OperationId = segments.get("operation")?;
    begin(state, who, EventFilter { environment: None, operation: Some(id) }, query, &headers).await
}

async fn begin(
    state: ApiState,
    who: Principal,
    filter: EventFilter,
    query: EventsQuery,
    headers: &HeaderMap,
) -> Answer<Response> {
    let newest = state.manager.last_event().await?;
    let after = match last_event_id(headers)? {
        Some(last) => Some(last),
        None => query.after,
    };
    if after.is_some_and(|after| after > newest) {
        let detail = format!("the newest event has position {newest}: the position is of another server");
        return Err(Problem::new("invalid-last-event-id", detail.clone()).at("last-event-id", detail));
    }
    let position = after.unwrap_or(newest);
    // Read after the position: an operation that ends in between ends with an event that is still to come.
    let finished = match filter.operation {
        Some(id) => state.manager.operation_row(id).await?.state.is_final(),
        None => false,
    };
    let first = Message::default()
        .event("position")
        .id(position.to_string())
        .data(json!({ "position": position }).to_string());
    let reader = Reader {
        state: state.clone(),
        who,
        filter,
        position,
        ready: [first].into(),
        seen: BTreeMap::new(),
        finished,
    };
    let events = futures::stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        match reader.next().await {
            Some(message) => Some((message, Some(reader))),
            None if reader.finished => Some((sse::end(), None)),
            None => None,
        }
    });
    Ok(sse::stream(&state, events))
}

pub(crate) fn last_event_id(headers: &HeaderMap) -> Answer<Option<u64>> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    value.to_str().ok().and_then(|text| text.parse().ok()).map(Some).ok_or_else(|| {
        Problem::new("invalid-last-event-id", "the Last-Event-ID is not one of this stream")
            .at("last-event-id", "send the id of the last message unchanged")
    })
}

struct Reader {
    state: ApiState,
    who: Principal,
    filter: EventFilter,
    position: u64,
    ready: VecDeque<Message>,
    /// Whether the caller may see this environment. A move to another region or tenant is seen by new streams.
    seen: BTreeMap<EnvironmentId, bool>,
    /// The operation has ended: what is stored is all there will be.
    finished: bool,
}

impl Reader {
    /// The next message; `None` when there will be no more.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            let wait = if self.finished { Duration::ZERO } else { POLL };
            let found = match self.state.manager.events_after(&self.filter, self.position, BATCH, wait).await
            {
                Ok(found) => found,
                Err(error) => {
                    // The client comes back with its Last-Event-ID.
                    tracing::warn!(error = %with_causes(&error), "an event stream broke off");
                    self.finished = false;
                    return None;
                }
            };
            if found.is_empty() && self.finished {
                return None;
            }
            for record in found {
                self.position = record.position;
                self.finished |= self.filter.operation.is_some() && ends_operation(&record);
                if self.may_see(&record).await {
                    self.ready.extend(message(record));
                }
            }
        }
    }

    async fn may_see(&mut self, record: &EventRecord) -> bool {
        // The guard has judged a stream of one environment or operation.
        if self.who.scopes.contains(&Scope::All)
            || self.filter.environment.is_some()
            || self.filter.operation.is_some()
        {
            return true;
        }
        let Some(id) = record.environment else { return false };
        if let Some(known) = self.seen.get(&id) {
            return *known;
        }
        let may = match self.state.manager.environment(&EnvironmentKey::Id(id)).await {
            Ok(environment) => self.who.may(Role::Viewer, &Target::of(&environment)),
            Err(error) if is_missing(&error) => false,
            // Cannot be told now: not shown, and asked again for the next event.
            Err(_) => return false,
        };
        if self.seen.len() >= MAX_REMEMBERED {
            self.seen.clear();
        }
        self.seen.insert(id, may);
        may
    }
}

fn ends_operation(record: &EventRecord) -> bool {
    let state = record.data.get("state").cloned().unwrap_or_default();
    record.kind == OPERATION_CHANGED
        && serde_json::from_value::<OperationState>(state).is_ok_and(OperationState::is_final)
}

fn message(record: EventRecord) -> Option<Message> {
    let event = convert::event(record);
    let data = serde_json::to_string(&event).ok()?;
    Some(Message::default().event(event.kind).id(event.position.to_string()).data(data))
}
