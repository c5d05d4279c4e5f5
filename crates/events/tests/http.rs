//! What a receiver of POST requests gets: a real server reads them and checks signatures as a receiver would.

#![allow(clippy::unwrap_used)] // in tests a panic is the message

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use tenantry_events::signature::{ID, Refused, SIGNATURE, Secrets, TIMESTAMP};
use tenantry_events::{CloudEvent, HttpSink, Sink, sortable};
use tenantry_model::EventMode;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

struct Request {
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// Takes one request and answers it with this status.
async fn take(listener: &TcpListener, status: u16) -> Request {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
    Request { headers, body }
}

fn event() -> CloudEvent {
    let at = "2026-11-21T06:00:00.5Z".parse().unwrap();
    let data = json!({ "name": "prod", "note": "grün" });
    let mut event =
        CloudEvent::new("7-1".to_owned(), "urn:x", "io.tenantry.environment.changed.v1", at, data);
    event.subject = Some("environments/grün".to_owned());
    event.sequence = Some(sortable(7));
    event.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    event
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    (listener, url)
}

async fn sent(sink: &HttpSink, listener: &TcpListener) -> Request {
    let event = event();
    let (delivered, request) = tokio::join!(sink.deliver(&event), take(listener, 204));
    delivered.unwrap();
    request
}

fn verify(request: &Request, secrets: &str, body: &[u8], now: Timestamp) -> Result<(), Refused> {
    let header = |name: &str| request.headers[name].as_str();
    Secrets::parse(secrets).unwrap().verify(header(ID), header(TIMESTAMP), header(SIGNATURE), body, now)
}

#[tokio::test]
async fn the_envelope_is_in_the_body_or_in_headers() {
    let (listener, url) = listen().await;
    let structured = sent(&HttpSink::new(&url, None).unwrap(), &listener).await;
    assert_eq!(structured.headers["content-type"], "application/cloudevents+json; charset=utf-8");
    assert_eq!(serde_json::from_slice::<CloudEvent>(&structured.body).unwrap(), event());
    let sink = HttpSink::new(&url, None).unwrap().in_mode(EventMode::Binary);
    let binary = sent(&sink, &listener).await;
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&binary.body).unwrap(), event().data);
    for (name, value) in [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "7-1"),
        ("ce-source", "urn:x"),
        ("ce-type", "io.tenantry.environment.changed.v1"),
        ("ce-time", "2026-11-21T06:00:00.5Z"),
        ("ce-subject", "environments/gr%C3%BCn"),
        ("ce-sequence", "00000000000000000007"),
        ("ce-traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ] {
        assert_eq!(binary.headers.get(name).map(String::as_str), Some(value), "{name}");
    }
}

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn write(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap();
}

#[tokio::test]
async fn a_receiver_takes_what_is_signed_and_refuses_what_is_changed_forged_or_old() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secrets");
    write(&file, OLD);
    let (listener, url) = listen().await;
    let sink = HttpSink::new(&url, None).unwrap().signed(file.clone());
    let request = sent(&sink, &listener).await;
    let now = Timestamp::now();
    assert_eq!(request.headers[ID], "7-1");
    assert_eq!(verify(&request, OLD, &request.body, now), Ok(()));
    assert_eq!(verify(&request, NEW, &request.body, now), Err(Refused::Forged));
    let mut changed = request.body.clone();
    changed[10] ^= 1;
    assert_eq!(verify(&request, OLD, &changed, now), Err(Refused::Forged));
    let later = now + SignedDuration::from_mins(6);
    assert_eq!(verify(&request, OLD, &request.body, later), Err(Refused::Old), "sent again by somebody else");
    // While the secret is replaced, receivers with either of them take it; the file is read for each event.
    write(&file, &format!("{NEW}\n{OLD}\n"));
    let both = sent(&sink, &listener).await;
    assert_eq!(verify(&both, OLD, &both.body, Timestamp::now()), Ok(()));
    assert_eq!(verify(&both, NEW, &both.body, Timestamp::now()), Ok(()));
    write(&file, NEW);
    let new = sent(&sink, &listener).await;
    assert_eq!(verify(&new, OLD, &new.body, Timestamp::now()), Err(Refused::Forged));
    assert_eq!(verify(&new, NEW, &new.body, Timestamp::now()), Ok(()));
}

#[tokio::test]
async fn what_says_nothing_about_the_event_is_told_apart_from_a_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, url) = listen().await;
    let sink = HttpSink::new(&url, None).unwrap();
    for (status, permanent) in [(500, false), (429, false), (401, false), (400, true), (413, true)] {
        let event = event();
        let (delivered, _) = tokio::join!(sink.deliver(&event), take(&listener, status));
        let error = delivered.unwrap_err();
        assert_eq!((error.permanent, error.unreachable), (permanent, false), "{error:?}");
    }
    let missing = folder.path().join("missing");
    let unsigned = HttpSink::new(&url, None).unwrap().signed(missing).deliver(&event()).await.unwrap_err();
    assert!(unsigned.unreachable && unsigned.message.contains("signing secrets"), "{unsigned:?}");
    drop(listener);
    let error = sink.deliver(&event()).await.unwrap_err();
    assert!(error.unreachable && !error.permanent, "{error:?}");
}
