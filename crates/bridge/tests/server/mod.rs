//! A server of plain HTTP that answers what it is told to and remembers what it was asked.
#![allow(dead_code)] // not every test needs all of it

pub mod world;

use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// So many requests of the same path came before.
    pub nth: usize,
}

impl Asked {
    /// Which call of the bridge protocol; empty for what is none.
    pub fn call(&self) -> &str {
        self.path.strip_prefix("/bridge/v1/").unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

type Answer = dyn Fn(&Asked) -> (u16, Value) + Send + Sync;

/// A server on loopback. Status 0 closes the connection without an answer.
pub struct Server {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub async fn new(answer: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (all, answer): (_, Arc<Answer>) = (Arc::clone(&asked), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&all), Arc::clone(&answer)));
            }
        });
        Self { url, asked }
    }

    /// What was asked by this call, in order.
    pub fn asked(&self, call: &str) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.call() == call).cloned().collect()
    }

    /// The same, as the contract has it.
    pub fn bodies<T: DeserializeOwned>(&self, call: &str) -> Vec<T> {
        self.asked(call).iter().map(|asked| serde_json::from_slice(&asked.body).unwrap()).collect()
    }
}

/// One request for each connection.
async fn serve(mut stream: TcpStream, all: Arc<Mutex<Vec<Asked>>>, answer: Arc<Answer>) -> Option<()> {
    let mut read = Vec::new();
    let head = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&read[..head]).into_owned();
    let mut lines = text.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, n)| n.parse().unwrap());
    let mut body = read.split_off(head + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    let asked = {
        let mut all = all.lock().unwrap();
        let nth = all.iter().filter(|before| before.path == path).count();
        let asked = Asked { method, path, headers, body, nth };
        all.push(asked.clone());
        asked
    };
    if asked.path.contains("watch=true") {
        return watch(stream, asked, answer).await;
    }
    let (status, value) = answer(&asked);
    if status == 0 {
        return None;
    }
    let kind = if status < 400 { "application/json" } else { "application/problem+json" };
    let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let text = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{value}",
        value.len()
    );
    stream.write_all(text.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

/// The answer to a watch is all that has happened so far; what is new of it is sent.
async fn watch(mut stream: TcpStream, asked: Asked, answer: Arc<Answer>) -> Option<()> {
    stream
        .write_all(b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n")
        .await
        .ok()?;
    let mut sent = 0;
    loop {
        let (_, events) = answer(&asked);
        for event in events.as_array().into_iter().flatten().skip(sent) {
            sent += 1;
            stream.write_all(format!("{event}\n").as_bytes()).await.ok()?;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
