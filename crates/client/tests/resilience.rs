//! What the client does when a connection breaks: the same key again, the stream from where it was.

#![allow(clippy::unwrap_used)] // helpers too: a test that unwraps says what it expects

use futures::StreamExt;
use std::time::Duration;
use tenantry_api_types::v1::CreateTenant;
use tenantry_client::{Call, Client, ClientConfig, ClientError, EventScope};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const DEADLINE: Duration = Duration::from_secs(20);

/// One request as it came over the wire: head and body.
async fn read(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await.unwrap();
        text.extend_from_slice(&buffer[..count]);
        let so_far = String::from_utf8_lossy(&text).to_lowercase();
        if let Some((head, body)) = so_far.split_once("\r\n\r\n") {
            let length = header(head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return so_far;
            }
        }
        assert!(count > 0, "the request ended early: {so_far}");
    }
}

fn header(request: &str, name: &str) -> Option<String> {
    request
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}: ")).map(|value| value.trim().to_owned()))
}

async fn bench() -> (TcpListener, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = ClientConfig::new(format!("http://{}", listener.local_addr().unwrap())).with_token("secret");
    (listener, Client::new(&config).unwrap())
}

#[tokio::test]
async fn a_change_is_repeated_under_the_same_key_until_it_is_answered() {
    let (listener, client) = bench().await;
    let server = tokio::spawn(async move {
        let mut keys = Vec::new();
        // The answer to the first is lost, the second is refused for a moment, a proxy answers the third.
        for number in 0..4 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read(&mut stream).await;
            assert_eq!(header(&request, "authorization").unwrap(), "bearer secret");
            keys.push(header(&request, "idempotency-key").unwrap());
            let problem = r#"{"type":"/errors/busy","title":"t","status":503,"detail":"d","instance":"i","code":"busy","fault":"server","retryable":true}"#;
            let tenant =
                r#"{"name":"acme","displayName":"acme","etag":"\"1\"","createdAt":"2026-11-21T10:00:00Z"}"#;
            let answer = match number {
                0 => continue,
                1 => format!(
                    "HTTP/1.1 503 x\r\ncontent-type: application/problem+json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{problem}",
                    problem.len()
                ),
                2 => "HTTP/1.1 502 x\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: 5\r\n\r\nproxy"
                    .to_owned(),
                _ => format!(
                    "HTTP/1.1 201 x\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{tenant}",
                    tenant.len()
                ),
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        keys
    });
    let body = CreateTenant { name: "acme".parse().unwrap(), display_name: None };
    let made =
        tokio::time::timeout(DEADLINE, client.create_tenant(&body, &Call::default())).await.unwrap().unwrap();
    assert_eq!(made.name.as_str(), "acme");
    let keys = tokio::time::timeout(DEADLINE, server).await.unwrap().unwrap();
    assert_eq!(keys.len(), 4);
    assert!(keys.iter().all(|key| *key == keys[0] && key.len() == 36), "{keys:?}");
}

#[tokio::test]
async fn a_change_of_a_resource_is_repeated_with_its_key_and_its_precondition() {
    let (listener, client) = bench().await;
    let server = tokio::spawn(async move {
        let mut seen = Vec::new();
        // The connection breaks after the first was sent: it may be done, or not.
        for number in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read(&mut stream).await;
            let line = request.lines().next().unwrap().to_owned();
            seen.push((line, header(&request, "idempotency-key"), header(&request, "if-match")));
            if number == 1 {
                stream.write_all(b"HTTP/1.1 204 x\r\nconnection: close\r\n\r\n").await.unwrap();
            }
        }
        seen
    });
    let name = "acme".parse().unwrap();
    let call = Call::if_match("\"7\"");
    tokio::time::timeout(DEADLINE, client.delete_tenant(&name, &call)).await.unwrap().unwrap();
    let seen = tokio::time::timeout(DEADLINE, server).await.unwrap().unwrap();
    assert_eq!(seen[0], seen[1]);
    let (line, key, etag) = &seen[0];
    assert!(line.starts_with("delete /v1/tenants/acme "), "{line}");
    assert_eq!((key.as_ref().unwrap().len(), etag.as_deref()), (36, Some("\"7\"")));
}

#[tokio::test]
async fn a_client_without_patience_repeats_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = ClientConfig::new(format!("http://{}", listener.local_addr().unwrap()));
    config.retry_for = Duration::ZERO;
    let client = Client::new(&config).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read(&mut stream).await;
    });
    let name = "acme".parse().unwrap();
    let lost =
        tokio::time::timeout(DEADLINE, client.delete_tenant(&name, &Call::if_match("\"1\""))).await.unwrap();
    assert!(matches!(lost, Err(ClientError::Unreachable { unsent: false, .. })), "{lost:?}");
    tokio::time::timeout(DEADLINE, server).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_broken_stream_goes_on_after_the_last_message() {
    let (listener, client) = bench().await;
    let server = tokio::spawn(async move {
        let event = |position: u64| {
            format!(
                "event: io.tenantry.x.v1\nid: {position}\ndata: {{\"position\":{position},\"type\":\"io.tenantry.x.v1\",\"version\":1,\"at\":\"2026-11-21T10:00:00Z\",\"data\":{{}}}}\n\n"
            )
        };
        let head = "HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        let mut seen = Vec::new();
        // In the middle of a message; after a whole one; with an end.
        let whole = event(8);
        let half = whole.split_at(whole.len() / 2).0.to_owned();
        for text in [event(7) + &half, event(8), "event: end\ndata: {}\n\n".to_owned()] {
            let (mut stream, _) = listener.accept().await.unwrap();
            seen.push(header(&read(&mut stream).await, "last-event-id"));
            stream.write_all(format!("{head}{text}").as_bytes()).await.unwrap();
        }
        seen
    });
    let events = client.events(EventScope::All, Some(6)).map(|event| event.unwrap().position);
    let positions: Vec<u64> = tokio::time::timeout(DEADLINE, events.collect()).await.unwrap();
    assert_eq!(positions, vec![7, 8]);
    let seen: Vec<_> =
        tokio::time::timeout(DEADLINE, server).await.unwrap().unwrap().into_iter().flatten().collect();
    assert_eq!(seen, vec!["6", "7", "8"]);
}

#[tokio::test]
async fn something_else_that_answers_is_named() {
    let (listener, client) = bench().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read(&mut stream).await;
        let answer = "HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: 5\r\n\r\nproxy";
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let refused = client.whoami().await.unwrap_err();
    assert!(
        matches!(&refused, ClientError::Protocol { what, .. } if what.contains("404") && what.contains("proxy")),
        "{refused:?}"
    );
}

#[test]
fn a_configuration_that_cannot_work_is_refused_before_any_call() {
    for bad in ["", "localhost:8080", "ftp://host", "unix:/run/x"] {
        assert!(matches!(Client::new(&ClientConfig::new(bad)), Err(ClientError::Config(_))), "{bad:?}");
    }
    let mut config = ClientConfig::new("https://localhost");
    config.ca_file = Some("/nowhere/ca.pem".into());
    let refused = Client::new(&config).unwrap_err().to_string();
    assert!(refused.contains("/nowhere/ca.pem"), "{refused}");
    let shown = format!("{:?}", ClientConfig::new("https://localhost").with_token("hunter2"));
    assert!(!shown.contains("hunter2"));
}
