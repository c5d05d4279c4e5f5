//! A receiver of events: a real HTTP server.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tenantry_events::CloudEvent;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// What an event is answered; 0: nothing, the connection is closed.
pub type Rule = Box<dyn Fn(&CloudEvent) -> u16 + Send>;

/// Answers each POST by its rule, or with the next status (200 when there is none left), and keeps head and body.
#[derive(Clone, Default)]
pub struct Pager {
    rule: Arc<Mutex<Option<Rule>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
    pub got: Arc<Mutex<Vec<(String, CloudEvent)>>>,
}

impl Pager {
    pub async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks/secret-part", listener.local_addr().unwrap());
        let pager = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let pager = pager.clone();
                tokio::spawn(async move { pager.serve(BufReader::new(stream)).await });
            }
        });
        url
    }

    async fn serve(&self, mut stream: BufReader<tokio::net::TcpStream>) {
        loop {
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return;
                }
                let lower = line.to_ascii_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                head.push_str(&lower);
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            let event: CloudEvent = serde_json::from_slice(&body).unwrap();
            let ruled = self.rule.lock().unwrap().as_ref().map(|rule| rule(&event));
            let status = ruled.unwrap_or_else(|| self.answers.lock().unwrap().pop_front().unwrap_or(200));
            if status == 0 {
                return;
            }
            if status == 200 {
                self.got.lock().unwrap().push((head, event));
            }
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    pub fn judge(&self, rule: impl Fn(&CloudEvent) -> u16 + Send + 'static) {
        *self.rule.lock().unwrap() = Some(Box::new(rule));
    }

    /// What was taken.
    pub fn events(&self) -> Vec<CloudEvent> {
        self.got.lock().unwrap().iter().map(|(_, event)| event.clone()).collect()
    }

    pub fn answer(&self, status: u16, times: usize) {
        self.answers.lock().unwrap().extend(std::iter::repeat_n(status, times));
    }

    /// What was taken, as the kind of event and of attention.
    pub fn taken(&self) -> Vec<(String, String)> {
        let got = self.got.lock().unwrap();
        let short = |event: &CloudEvent| {
            let kind = event.kind.rsplit('.').nth(1).unwrap().to_owned();
            (kind, event.data["kind"].as_str().unwrap().to_owned())
        };
        got.iter().map(|(_, event)| short(event)).collect()
    }
}
