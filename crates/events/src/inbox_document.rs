//! The document that names the stream from which operations are asked for.

use crate::document::{bytes, read};
use crate::{NatsSource, SourceConfig};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The example that is shown at [`EventInbox`].
pub const EXAMPLE: &str = include_str!("event-inbox.yaml");

/// # An inbox of events
///
/// One document in YAML or JSON, of at most 1 MiB; a name that it does not know is an error.
///
#[doc = "```yaml"]
#[doc = include_str!("event-inbox.yaml")]
#[doc = "```"]
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventInbox {
    /// A file with the token in whose name messages are carried out; read for each message.
    pub token_file: PathBuf,
    /// The stream.
    pub nats: NatsInbox,
}

/// A stream of NATS JetStream.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NatsInbox {
    /// Servers, with commas.
    pub url: String,
    /// The stream, which must be there.
    pub stream: String,
    /// The durable consumer; made when it is not there. All managers share it.
    #[serde(default = "consumer")]
    pub consumer: String,
    /// Only what is published under this subject, for a consumer that is made.
    #[serde(default)]
    pub subject: Option<String>,
    /// Authorities that the server's certificate is checked with; with them a connection without TLS is refused.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// A `.creds` file.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
}

fn consumer() -> String {
    "tenantry".to_owned()
}

impl EventInbox {
    /// Reads the document.
    ///
    /// # Errors
    /// A sentence that says what is wrong, without the document's text.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        read(path)
    }

    /// The stream. The files that it names are read once here: one that is not there is an error of the start.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn configure(&self) -> Result<NatsSource, String> {
        let nats = &self.nats;
        for file in [&self.token_file].into_iter().chain(&nats.ca_file).chain(&nats.credentials_file) {
            bytes(file)?;
        }
        NatsSource::new(SourceConfig {
            url: nats.url.clone(),
            stream: nats.stream.clone(),
            consumer: nats.consumer.clone(),
            subject: nats.subject.clone(),
            authorities: nats.ca_file.clone(),
            credentials: nats.credentials_file.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // in tests a panic is the message
    use super::*;
    use crate::document::parse;

    #[test]
    fn the_example_can_be_read_and_names_that_it_does_not_know_are_refused() {
        let document: EventInbox = parse(EXAMPLE).unwrap();
        assert!(document.configure().err().unwrap().contains("inbox-token"), "its files are not there");
        let wrong = EXAMPLE.replace("subject:", "subjects:");
        assert!(parse::<EventInbox>(&wrong).unwrap_err().contains("subjects"));
    }

    #[test]
    fn an_inbox_is_usable_with_a_token_and_a_stream_alone() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "tnt_x").unwrap();
        let text =
            format!("tokenFile: '{}'\nnats: {{url: 'nats://127.0.0.1:9', stream: asked}}", token.display());
        let document: EventInbox = parse(&text).unwrap();
        assert_eq!(document.configure().unwrap().name(), "nats:asked/tenantry");
    }
}
