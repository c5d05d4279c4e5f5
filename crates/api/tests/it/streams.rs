//! Event and log streams: resuming, ending, scopes.

use crate::harness::{Bench, DEADLINE, hook, wish};
use futures::StreamExt;
use serde_json::json;
use std::time::Duration;
use tenantry_api_types::v1::*;
use tenantry_client::{Call, EventScope, OperationVerb};
use tenantry_model::{AttemptId, Role, Scope};

/// The text of a stream until it holds `until`.
async fn read_until(response: reqwest::Response, until: &str) -> String {
    let mut text = String::new();
    let mut chunks = response.bytes_stream();
    let reading = async {
        while let Some(chunk) = chunks.next().await {
            text.push_str(&String::from_utf8_lossy(&chunk.unwrap()));
            if text.contains(until) {
                return;
            }
        }
        panic!("the stream ended without {until:?}: {text}");
    };
    tokio::time::timeout(DEADLINE, reading).await.unwrap();
    text
}

#[tokio::test]
async fn a_stream_goes_on_after_the_last_event_that_was_seen() {
    let bench = Bench::new().await;
    bench.basics().await;
    let first = bench.environment("one").await.environment.id;
    let mut all = Box::pin(bench.admin().events(EventScope::All, Some(0)));
    let mut seen = Vec::new();
    while !seen.iter().any(|event: &Event| event.environment == Some(first)) {
        seen.push(tokio::time::timeout(DEADLINE, all.next()).await.unwrap().unwrap().unwrap());
    }
    drop(all);
    let last = seen.last().unwrap().position;
    assert!(seen.is_sorted_by(|a, b| a.position < b.position));

    let request = bench
        .ask(&bench.admin, reqwest::Method::GET, "/v1/events")
        .header("last-event-id", (last - 1).to_string());
    let text = read_until(request.send().await.unwrap(), &format!("id: {last}")).await;
    assert!(
        text.starts_with(&format!("event: position\nid: {}\n", last - 1))
            || text.contains(&format!("id: {}", last - 1))
    );
    assert_eq!(text.matches("event: io.").count(), 1, "{text}");

    let request =
        bench.ask(&bench.admin, reqwest::Method::GET, "/v1/events").header("last-event-id", "999999");
    crate::harness::got(request).await.is_problem(400, "invalid-last-event-id");
    let request = bench.ask(&bench.admin, reqwest::Method::GET, "/v1/events").header("last-event-id", "x");
    crate::harness::got(request).await.is_problem(400, "invalid-last-event-id");
}

#[tokio::test]
async fn a_stream_of_everything_shows_only_what_is_in_scope() {
    let bench = Bench::new().await;
    bench.basics().await;
    bench.tenant("other").await;
    let admin = bench.admin();
    let hidden = admin.create_environment(&wish("other", "prod", "eu1"), &Call::default()).await.unwrap();
    let shown = bench.environment("prod").await;
    let token = bench.token(Role::Viewer, vec![Scope::Tenant("acme".parse().unwrap())]).await;
    let mut events = Box::pin(bench.client(&token).events(EventScope::All, Some(0)));
    let first = tokio::time::timeout(DEADLINE, events.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(first.environment, Some(shown.environment.id));
    assert_ne!(first.environment, Some(hidden.environment.id));
}

#[tokio::test]
async fn the_stream_of_an_operation_ends_with_it() {
    let bench = Bench::new().await;
    bench.basics().await;
    let operation = bench.environment("prod").await.operation.unwrap().id;
    let mut events = Box::pin(bench.admin().events(EventScope::Operation(operation), Some(0)));
    let cancel = CancelOperation { reason: "enough".to_owned(), expected_state: None };
    bench.admin().steer_operation(operation, &OperationVerb::Cancel(cancel), &Call::default()).await.unwrap();
    let mut last = None;
    while let Some(event) = tokio::time::timeout(DEADLINE, events.next()).await.unwrap() {
        last = Some(event.unwrap());
    }
    assert_eq!(last.unwrap().data["state"], "cancelled");
    // One that is over already: what is stored, then the end.
    let mut events = Box::pin(bench.admin().events(EventScope::Operation(operation), None));
    assert!(tokio::time::timeout(DEADLINE, events.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_log_is_followed_to_its_end_and_from_any_byte() {
    let bench = Bench::new().await;
    bench.basics().await;
    let (credential, session) = bench.agent("eu1", json!([hook("crm/tenant")])).await;
    let operation = bench.environment("prod").await.operation.unwrap().id;
    let lease = json!({ "session": session, "limit": 10, "waitSeconds": 20 });
    let leased = bench.post(&credential, "/agent/v1/commands:lease", &lease).await;
    let attempt = leased.body["commands"][0]["attempt"].clone();
    let id = AttemptId { operation, step: "eu1/crm/tenant".parse().unwrap(), number: 1 };
    let send = async |offset: u64, data: &str, last: bool| {
        let body = json!({ "session": session, "chunks": [{ "attempt": attempt, "offset": offset, "data": data, "last": last }] });
        let sent = bench.post(&credential, "/agent/v1/logs", &body).await;
        assert_eq!(sent.body["unknown"], json!([]), "{sent:?}");
    };
    send(0, "b25lCg==", false).await;
    let mut whole = Box::pin(bench.admin().follow_log(&id, 0));
    let mut rest = Box::pin(bench.admin().follow_log(&id, 6));
    let first = tokio::time::timeout(DEADLINE, whole.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(&first.bytes[..], b"one\n");
    send(4, "dHdvCg==", false).await;
    let second = tokio::time::timeout(DEADLINE, whole.next()).await.unwrap().unwrap().unwrap();
    assert_eq!((&second.bytes[..], second.next_offset), (&b"two\n"[..], 8));
    send(8, "", true).await;
    let text = async |stream: &mut (dyn futures::Stream<Item = _> + Unpin + Send)| {
        let mut text = Vec::new();
        while let Some(part) = tokio::time::timeout(DEADLINE, stream.next()).await.unwrap() {
            let part: tenantry_client::Result<tenantry_client::LogRange> = part;
            text.extend_from_slice(&part.unwrap().bytes);
        }
        text
    };
    assert_eq!(text(&mut whole).await, b"");
    assert_eq!(text(&mut rest).await, b"o\n");
    let missing = AttemptId { number: 2, ..id };
    let refused = bench.admin().log(&missing, &LogQuery::default()).await.unwrap_err();
    assert_eq!(refused.code(), Some("not-found"));
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let bench = Bench::new().await;
    let response = bench.ask(&bench.admin, reqwest::Method::GET, "/v1/events").send().await.unwrap();
    let reading = tokio::spawn(async move { response.bytes_stream().count().await });
    let began = tokio::time::Instant::now();
    bench.stop(Duration::from_secs(10)).await;
    tokio::time::timeout(DEADLINE, reading).await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(8), "the stream held the stop up");
}
