//! Server-sent events: keep-alive, the end when the server stops, a count of what is open.

use crate::state::ApiState;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use prometheus_client::metrics::gauge::Gauge;
use std::{convert::Infallible, time::Duration};

/// A comment is sent after so much silence: proxies and clients tell a dead stream by it. A client gives up after three
/// (`tenantry_client`).
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long a stream's read waits for something new before it looks around.
pub(crate) const POLL: Duration = Duration::from_secs(10);

struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The answer that sends `events` until they end or the server stops.
pub(crate) fn stream(state: &ApiState, events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let gauge = state.metrics.streams().clone();
    gauge.inc();
    let open = Open(gauge);
    let stopping = state.stopping.clone().cancelled_owned();
    let events = events.take_until(stopping).map(move |event| {
        let _counted_until_dropped = &open;
        Ok::<_, Infallible>(event)
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    // nginx and its kin must not hold messages back.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    response
}

/// The last message of a stream that has nothing more to say, ever: clients do not come back.
pub(crate) fn end() -> Event {
    Event::default().event("end").data("{}")
}
