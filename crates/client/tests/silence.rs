//! Servers that take connections and say nothing: they stand still, or a firewall drops what they say.

#![allow(clippy::unwrap_used)] // helpers too: a test that unwraps says what it expects

use futures::StreamExt;
use std::time::Duration;
use tenantry_api_types::agent::FinishRequest;
use tenantry_client::{Client, ClientConfig, EventScope, agent::AgentClient};
use tenantry_model::AgentSessionId;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

const DEADLINE: Duration = Duration::from_mins(2);

/// One request as it came over the wire; `None`: the client has had enough.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        text += &String::from_utf8_lossy(&buffer[..count]).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.and_then(|text| text.parse().ok()).unwrap_or(0) {
                return Some(text);
            }
        }
    }
}

async fn finish(client: &AgentClient) -> Result<(), tenantry_client::agent::AgentClientError> {
    let session = AgentSessionId(uuid::Uuid::nil());
    client.finish(&FinishRequest { session, commands: vec![] }).await.map(drop)
}

/// A balancer's view: connections made before the manager stood still lead to it, later ones to another.
#[tokio::test]
async fn after_an_answer_that_did_not_come_no_kept_connection_is_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (still, stands_still) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut stands_still = stands_still.clone();
            let led_to_it = !*stands_still.borrow_and_update();
            tokio::spawn(async move {
                while request(&mut stream).await.is_some() {
                    if led_to_it && *stands_still.borrow() {
                        // Until the client has had enough.
                        while request(&mut stream).await.is_some() {}
                        return;
                    }
                    // Slow enough that calls at the same time need a connection each.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let answer =
                        b"HTTP/1.1 200 x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let client = AgentClient::new(&url, "secret".to_owned().into(), &[]).unwrap().within(DEADLINE);
    for done in futures::future::join_all((0..4).map(|_| finish(&client))).await {
        done.unwrap();
    }
    still.send(true).unwrap();
    let lost = finish(&client.within(Duration::from_millis(500))).await.unwrap_err();
    assert!(lost.is_timeout() && lost.is_unreachable(), "{lost:?}");
    // Three connections to the one that stands still are left, and none of them is tried.
    finish(&client).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_says_nothing_is_opened_again_where_it_was() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = ClientConfig::new(format!("http://{}", listener.local_addr().unwrap()));
    let client = Client::new(&config).unwrap();
    let server = tokio::spawn(async move {
        let head = "HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        let event = |position: u64| {
            format!(
                "event: io.tenantry.x.v1\nid: {position}\ndata: {{\"position\":{position},\"type\":\"io.tenantry.x.v1\",\"version\":1,\"at\":\"2026-11-21T10:00:00Z\",\"data\":{{}}}}\n\n"
            )
        };
        let mut seen = Vec::new();
        let mut open = Vec::new();
        // Not even an answer; a message and then nothing; all is well.
        for text in [String::new(), head.to_owned() + &event(7), head.to_owned() + "event: end\ndata: {}\n\n"]
        {
            let (mut stream, _) = listener.accept().await.unwrap();
            let asked = request(&mut stream).await.unwrap();
            seen.push(asked.contains("last-event-id: 7"));
            stream.write_all(text.as_bytes()).await.unwrap();
            open.push(stream);
        }
        (seen, open)
    });
    let events = client.events(EventScope::All, Some(6)).map(|event| event.unwrap().position);
    let positions: Vec<u64> = tokio::time::timeout(DEADLINE, events.collect()).await.unwrap();
    assert_eq!(positions, [7]);
    assert_eq!(server.await.unwrap().0, [false, false, true]);
}
