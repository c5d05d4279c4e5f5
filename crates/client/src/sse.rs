//! A stream of server-sent events that comes back after a broken connection, at the place where it was.

use crate::{Client, ClientError, Result};
use backon::BackoffBuilder;
use bytes::Bytes;
use eventsource_stream::{Event as Message, Eventsource};
use futures::{Stream, StreamExt, stream::BoxStream};
use reqwest::Method;
use std::time::Duration;
use tenantry_model::with_causes;

/// A server that says nothing for so long, not even a comment (every 5 s), stands still or is cut off.
const SILENCE: Duration = Duration::from_secs(16);
/// One that begins a stream does so at once.
const OPENING: Duration = Duration::from_secs(10);

type Messages = BoxStream<'static, std::result::Result<Message, String>>;

struct State {
    client: Client,
    path: String,
    query: Vec<(&'static str, String)>,
    last: Option<String>,
    open: Option<Messages>,
    pauses: backon::ExponentialBackoff,
}

impl Client {
    /// Messages of `path`; `last` is the id after which to begin. The stream ends when the server ends it with a
    /// message of type `end`; it fails when the server refuses, or does not answer for the client's retry time.
    pub(crate) fn messages(
        &self,
        path: String,
        query: Vec<(&'static str, String)>,
        last: Option<String>,
    ) -> impl Stream<Item = Result<Message>> + Send + use<> {
        let client = self.clone();
        let pauses = client.stream_backoff();
        let state = State { client, path, query, last, open: None, pauses };
        futures::stream::unfold(Some(state), |state| async move {
            let mut state = state?;
            match state.next().await {
                Ok(Some(message)) => Some((Ok(message), Some(state))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    fn stream_backoff(&self) -> backon::ExponentialBackoff {
        // At least one try after a broken connection, even when calls are not repeated.
        let patience = self.retry_for().max(Duration::from_secs(1));
        Self::backoff().with_total_delay(Some(patience)).without_max_times().build()
    }
}

impl State {
    async fn next(&mut self) -> Result<Option<Message>> {
        loop {
            let mut messages = match self.open.take() {
                Some(messages) => messages,
                None => match tokio::time::timeout(OPENING, self.connect()).await.unwrap_or_else(|_| {
                    Err(ClientError::Silent { server: self.client.server().to_owned(), for_so_long: OPENING })
                }) {
                    Ok(messages) => messages,
                    Err(error) if error.is_transient() => {
                        let Some(pause) = self.pauses.next() else { return Err(error) };
                        tracing::debug!(error = %with_causes(&error), ?pause, "connecting to a stream again");
                        tokio::time::sleep(pause).await;
                        continue;
                    }
                    Err(error) => return Err(error),
                },
            };
            match messages.next().await {
                Some(Ok(message)) if message.event == "end" => return Ok(None),
                Some(Ok(message)) => {
                    // Something arrived: the next break begins a new row of pauses.
                    self.pauses = self.client.stream_backoff();
                    if !message.id.is_empty() {
                        self.last = Some(message.id.clone());
                    }
                    self.open = Some(messages);
                    return Ok(Some(message));
                }
                Some(Err(why)) => tracing::debug!(why, "a stream broke"),
                // A server that stops ends its streams; so does a proxy.
                None => tracing::debug!("a stream ended"),
            }
            let Some(pause) = self.pauses.next() else {
                return Err(ClientError::Deadline(format!(
                    "the stream {} breaks again and again",
                    self.path
                )));
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn connect(&mut self) -> Result<Messages> {
        let mut request = self
            .client
            .request(Method::GET, &self.path, &self.query)?
            .header("accept", "text/event-stream, application/problem+json");
        if let Some(last) = &self.last {
            request = request.header("last-event-id", last.clone());
        }
        let client = self.client.clone();
        let response = client.open(&request, None).await?;
        let bytes = alive(response.bytes_stream().boxed());
        Ok(bytes.eventsource().map(|item| item.map_err(|why| why.to_string())).boxed())
    }
}

/// Ends with an error when nothing comes any more. Comments count here, and nowhere later.
fn alive(
    bytes: BoxStream<'static, reqwest::Result<Bytes>>,
) -> impl Stream<Item = std::result::Result<Bytes, String>> {
    futures::stream::unfold(Some(bytes), |bytes| async move {
        let mut bytes = bytes?;
        match tokio::time::timeout(SILENCE, bytes.next()).await {
            Ok(Some(Ok(part))) => Some((Ok(part), Some(bytes))),
            Ok(Some(Err(why))) => Some((Err(why.to_string()), None)),
            Ok(None) => None,
            Err(_) => Some((Err(format!("nothing for {} s", SILENCE.as_secs())), None)),
        }
    })
}
