//! Messages from a stream of NATS JetStream, through a durable consumer that is told of each whether it was dealt with. What
//! it is not told comes again, to this manager or to another one that shares the consumer.
//!
//! The connection is made with the first look and mends itself; credentials are read when it is made.

use crate::nats::{TIMEOUT, connect, context, servers};
use async_nats::jetstream::{
    self, AckKind,
    consumer::{AckPolicy, PullConsumer, pull},
};
use async_nats::{Client, ServerAddr, connection::State};
use bytes::Bytes;
use futures::StreamExt as _;
use jiff::Timestamp;
use std::path::PathBuf;
use std::time::Duration;
use tenantry_model::with_causes;
use tokio::sync::Mutex;

/// A message that nobody has answered for comes again after this time: its manager is gone.
const ACK_WAIT: Duration = Duration::from_mins(1);

/// Where messages are.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// `nats://HOST:PORT` or `tls://HOST:PORT`, several with commas.
    pub url: String,
    /// The stream.
    pub stream: String,
    /// The durable consumer; made when it is not there.
    pub consumer: String,
    /// Only what is published under this subject, for a consumer that is made; without it all.
    pub subject: Option<String>,
    /// Authorities (PEM) that the server's certificate is checked with, if not the machine's.
    pub authorities: Option<PathBuf>,
    /// A `.creds` file.
    pub credentials: Option<PathBuf>,
}

/// A stream, as one consumer sees it.
pub struct NatsSource {
    config: SourceConfig,
    servers: Vec<ServerAddr>,
    held: Mutex<Option<(Client, PullConsumer)>>,
}

/// A message, whatever it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Of which stream.
    pub stream: String,
    /// Its number in it.
    pub sequence: u64,
    /// What it was published under.
    pub subject: String,
    /// When, by the server's clock.
    pub published_at: Timestamp,
    /// How often it has come, this time counted.
    pub delivered: u64,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// What it holds.
    pub body: Bytes,
}

/// A message that waits for its answer.
pub struct Received {
    /// What came.
    pub message: Message,
    raw: jetstream::Message,
}

/// Messages that come until a look is over.
pub struct Messages(pull::Batch);

impl NatsSource {
    /// A stream.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the address or a name.
    pub fn new(config: SourceConfig) -> Result<Self, String> {
        let servers = servers(&config.url, "NATS inbox")?;
        for (what, name) in [("stream", &config.stream), ("consumer", &config.consumer)] {
            let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            if name.is_empty() || !name.bytes().all(good) {
                return Err(format!("the name of a {what} is letters, digits, - and _; {name:?} is none"));
            }
        }
        Ok(Self { config, servers, held: Mutex::new(None) })
    }

    /// For people; holds no secret.
    #[must_use]
    pub fn name(&self) -> String {
        format!("nats:{}/{}", self.config.stream, self.config.consumer)
    }

    /// Up to `most` messages, as they come within `wait`.
    ///
    /// # Errors
    /// A sentence that says why there can be none now.
    pub async fn look(&self, most: usize, wait: Duration) -> Result<Messages, String> {
        let mut held = self.held.lock().await;
        if held.is_none() {
            *held = Some(
                tokio::time::timeout(TIMEOUT, self.open())
                    .await
                    .map_err(|_| "no answer in time".to_owned())??,
            );
        }
        let Some((client, consumer)) = held.as_ref() else { return Err("there is no connection".to_owned()) };
        if client.connection_state() != State::Connected {
            // It is mending itself.
            return Err("the connection is broken".to_owned());
        }
        let messages = consumer.batch().max_messages(most).expires(wait).messages().await;
        match messages {
            Ok(messages) => Ok(Messages(messages)),
            Err(error) => {
                // Looked up anew: stream or consumer may be gone.
                *held = None;
                Err(with_causes(&error))
            }
        }
    }

    /// After what came of a look was no message: the consumer may be gone.
    pub async fn forget(&self) {
        *self.held.lock().await = None;
    }

    async fn open(&self) -> Result<(Client, PullConsumer), String> {
        let (credentials, authorities) = (&self.config.credentials, &self.config.authorities);
        let client = connect(&self.servers, credentials.as_deref(), authorities.as_deref()).await?;
        let (stream, name) = (&self.config.stream, &self.config.consumer);
        let found = context(&client)
            .get_stream(stream)
            .await
            .map_err(|error| format!("stream {stream}: {}", with_causes(&error)))?;
        let wanted = pull::Config {
            durable_name: Some(name.clone()),
            description: Some("asks tenantry for operations".to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_deliver: -1,
            filter_subject: self.config.subject.clone().unwrap_or_default(),
            ..pull::Config::default()
        };
        let consumer: PullConsumer = found
            .get_or_create_consumer(name, wanted)
            .await
            .map_err(|error| format!("consumer {name} of stream {stream}: {}", with_causes(&error)))?;
        // One that somebody else has made could lose messages.
        let config = &consumer.cached_info().config;
        if config.ack_policy != AckPolicy::Explicit || config.max_deliver > 0 {
            return Err(format!(
                "consumer {name} of stream {stream} could lose messages: it must have explicit acknowledgements and no \
                 largest number of deliveries"
            ));
        }
        Ok((client, consumer))
    }
}

impl Messages {
    /// The next one; `None`: the look is over.
    pub async fn next(&mut self) -> Option<Result<Received, String>> {
        let raw = match self.0.next().await? {
            Ok(raw) => raw,
            Err(error) => return Some(Err(error.to_string())),
        };
        Some(message(&raw).map(|message| Received { message, raw }))
    }
}

impl Received {
    /// It was dealt with. When this is lost it comes again.
    pub async fn done(&self) {
        if let Err(error) = self.raw.ack().await {
            tracing::debug!(%error, "an acknowledgement was not sent; the message comes again");
        }
    }

    /// It could not be dealt with now, and comes again after this time.
    pub async fn later(&self, after: Duration) {
        if let Err(error) = self.raw.ack_with(AckKind::Nak(Some(after))).await {
            tracing::debug!(%error, "a message was not given back; it comes again by itself");
        }
    }
}

fn message(raw: &jetstream::Message) -> Result<Message, String> {
    let info = raw.info().map_err(|error| format!("a message without a place in a stream: {error}"))?;
    let headers = raw.headers.iter().flat_map(|headers| headers.iter()).flat_map(|(name, values)| {
        let name = name.to_string().to_ascii_lowercase();
        values.iter().map(move |value| (name.clone(), value.as_str().to_owned()))
    });
    Ok(Message {
        stream: info.stream.to_owned(),
        sequence: info.stream_sequence,
        subject: raw.subject.to_string(),
        published_at: Timestamp::from_nanosecond(info.published.unix_timestamp_nanos())
            .map_err(|error| error.to_string())?,
        delivered: u64::try_from(info.delivered).unwrap_or(1),
        headers: headers.collect(),
        body: raw.payload.clone(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // in tests a panic is the message
    use super::*;

    #[test]
    fn names_that_are_subjects_and_users_in_addresses_are_refused() {
        let new = |url: &str, stream: &str, consumer: &str| {
            let config = SourceConfig {
                url: url.to_owned(),
                stream: stream.to_owned(),
                consumer: consumer.to_owned(),
                subject: None,
                authorities: None,
                credentials: None,
            };
            NatsSource::new(config).map(|source| source.name())
        };
        assert_eq!(new("nats://h:1", "requests", "tenantry").unwrap(), "nats:requests/tenantry");
        assert!(new("nats://me:secret@h:1", "a", "b").unwrap_err().contains("credentials file"));
        assert!(new("nats://h:1", "a.>", "b").unwrap_err().contains("stream"));
        assert!(new("nats://h:1", "a", "").unwrap_err().contains("consumer"));
    }
}
