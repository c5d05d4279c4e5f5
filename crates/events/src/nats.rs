//! A stream of NATS JetStream. An event is delivered once the stream has said that it is stored; a second delivery of the
//! same event within the stream's window is thrown away by its message id.
//!
//! The connection is made with the first event and mends itself; credentials are read when it is made.

use crate::{CloudEvent, Sink, Undelivered};
use async_nats::jetstream::{Context, context::PublishErrorKind, message::PublishMessage};
use async_nats::{Client, ConnectOptions, ServerAddr, connection::State};
use async_trait::async_trait;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tenantry_model::with_causes;
use tokio::sync::Mutex;

/// How long a connection, or the stream's word for one event, may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// Where a stream is.
#[derive(Clone, Debug)]
pub struct NatsConfig {
    /// `nats://HOST:PORT` or `tls://HOST:PORT`, several with commas.
    pub url: String,
    /// Before the subject of each event.
    pub prefix: String,
    /// Authorities (PEM) that the server's certificate is checked with, if not the machine's.
    pub authorities: Option<PathBuf>,
    /// A `.creds` file.
    pub credentials: Option<PathBuf>,
}

/// A stream.
pub struct NatsSink {
    name: String,
    config: NatsConfig,
    servers: Vec<ServerAddr>,
    client: Mutex<Option<Client>>,
}

impl NatsSink {
    /// A stream whose subjects begin with the prefix.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the address or the prefix.
    pub fn new(name: &str, config: NatsConfig) -> Result<Self, String> {
        let servers = servers(&config.url, "NATS sink")?;
        let token = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        if !config.prefix.split('.').all(token) {
            return Err(
                "the prefix of a NATS sink must be words of letters, digits, - and _ with dots between"
                    .to_owned(),
            );
        }
        Ok(Self { name: name.to_owned(), config, servers, client: Mutex::new(None) })
    }

    /// `PREFIX.ENVIRONMENT.step.changed.v1`; `none` for what belongs to no environment.
    #[must_use]
    pub fn subject(&self, event: &CloudEvent) -> String {
        let kind = event.kind.strip_prefix("io.tenantry.").unwrap_or(&event.kind);
        format!("{}.{}.{kind}", self.config.prefix, event.partitionkey.as_deref().unwrap_or("none"))
    }

    async fn context(&self) -> Result<Context, String> {
        let mut held = self.client.lock().await;
        if let Some(client) = held.as_ref() {
            // It is mending itself: a publication now would wait in its memory and be sent when nobody expects it any more.
            if client.connection_state() != State::Connected {
                return Err("the connection is broken".to_owned());
            }
            return Ok(context(client));
        }
        let (credentials, authorities) = (&self.config.credentials, &self.config.authorities);
        let client = connect(&self.servers, credentials.as_deref(), authorities.as_deref()).await?;
        let context = context(&client);
        *held = Some(client);
        Ok(context)
    }
}

/// Servers, with commas between.
pub(crate) fn servers(url: &str, what: &str) -> Result<Vec<ServerAddr>, String> {
    let one = |text: &str| {
        let address: ServerAddr =
            text.trim().parse().map_err(|error| format!("the address of a {what} is none: {error}"))?;
        // What stands there would be shown in lists and logs.
        if address.has_user_pass() {
            return Err(format!("the address of a {what} holds a user: use a credentials file"));
        }
        Ok(address)
    };
    url.split(',').map(one).collect()
}

/// A connection that mends itself.
pub(crate) async fn connect(
    servers: &[ServerAddr],
    credentials: Option<&Path>,
    authorities: Option<&Path>,
) -> Result<Client, String> {
    let mut options = ConnectOptions::new().name("tenantry").connection_timeout(TIMEOUT);
    if let Some(path) = credentials {
        options = options
            .credentials_file(path)
            .await
            .map_err(|error| format!("the credentials' file {} cannot be used: {error}", path.display()))?;
    }
    if let Some(path) = authorities {
        // The library's own error would not name it.
        tokio::fs::read(path)
            .await
            .map_err(|error| format!("the authorities' file {} cannot be read: {error}", path.display()))?;
        options = options.add_root_certificates(path.to_owned()).require_tls(true);
    }
    options.connect(servers).await.map_err(|error| with_causes(&error))
}

pub(crate) fn context(client: &Client) -> Context {
    let mut context = async_nats::jetstream::new(client.clone());
    context.set_timeout(TIMEOUT);
    context
}

#[async_trait]
impl Sink for NatsSink {
    fn name(&self) -> &str {
        &self.name
    }

    async fn deliver(&self, event: &CloudEvent) -> Result<(), Undelivered> {
        let body = serde_json::to_vec(event)
            .map_err(|error| Undelivered::for_good(format!("cannot be written: {error}")))?;
        let unreached = |why: String| Undelivered::unreachable(format!("cannot be reached: {why}"));
        let context = match tokio::time::timeout(TIMEOUT, self.context()).await {
            Ok(context) => context.map_err(unreached)?,
            Err(_) => return Err(unreached("no answer in time".to_owned())),
        };
        let message = PublishMessage::build()
            .payload(body.into())
            .header("content-type", "application/cloudevents+json; charset=utf-8")
            .message_id(&event.id);
        let sent = async { context.send_publish(self.subject(event), message).await?.await };
        match sent.await {
            Ok(_) => Ok(()),
            Err(error) => {
                let message = with_causes(&error);
                Err(match error.kind() {
                    PublishErrorKind::MaxPayloadExceeded => Undelivered::for_good(message),
                    PublishErrorKind::Other => Undelivered::later(message),
                    // No stream takes any event; or nobody has said whether this one is stored.
                    _ => unreached(message),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // in tests a panic is the message
    use super::*;

    fn config(url: &str, prefix: &str) -> NatsConfig {
        NatsConfig { url: url.to_owned(), prefix: prefix.to_owned(), authorities: None, credentials: None }
    }

    #[test]
    fn the_subject_names_environment_and_type() {
        let sink = NatsSink::new("bus", config("nats://127.0.0.1:1", "prod.tenantry")).unwrap();
        let mut event = CloudEvent::new(
            "1".to_owned(),
            "urn:x",
            "io.tenantry.step.changed.v1",
            jiff::Timestamp::UNIX_EPOCH,
            serde_json::json!({}),
        );
        assert_eq!(sink.subject(&event), "prod.tenantry.none.step.changed.v1");
        event.partitionkey = Some("0199".to_owned());
        assert_eq!(sink.subject(&event), "prod.tenantry.0199.step.changed.v1");
    }

    #[test]
    fn a_user_in_the_address_and_a_prefix_with_wildcards_are_refused() {
        let refused = |url, prefix| NatsSink::new("bus", config(url, prefix)).err().unwrap();
        assert!(refused("nats://me:secret@127.0.0.1:1", "a").contains("credentials file"));
        assert!(!refused("nats://me:secret@127.0.0.1:1", "a").contains("secret@"));
        for prefix in ["", "a.", "a.>", "a.*", "a b"] {
            assert!(refused("nats://127.0.0.1:1", prefix).contains("prefix"), "{prefix}");
        }
    }
}
