//! The document that names the sinks of events.

use crate::{Bearer, HttpSink, NatsConfig, NatsSink, Sink, signature::Secrets};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tenantry_model::EventMode;

/// The example that is shown at [`EventSinks`].
pub const EXAMPLE: &str = include_str!("event-sinks.yaml");

/// The largest document.
const LIMIT: u64 = 1 << 20;

/// # Sinks of events
///
/// One document in YAML or JSON, of at most 1 MiB; a name that it does not know is an error.
///
#[doc = "```yaml"]
#[doc = include_str!("event-sinks.yaml")]
#[doc = "```"]
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventSinks {
    /// All of them.
    pub sinks: Vec<EventSink>,
}

/// One sink: either `http` or `nats`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventSink {
    /// Unique; how far it has come is kept under it.
    pub name: String,
    /// It gets events whose type begins with one of these; all, if there are none.
    #[serde(default)]
    pub types: Vec<String>,
    /// A receiver of POST requests.
    #[serde(default)]
    pub http: Option<Http>,
    /// A stream of NATS JetStream.
    #[serde(default)]
    pub nats: Option<Nats>,
}

/// A receiver of POST requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Http {
    /// Where.
    pub url: String,
    /// A file with the bearer token that it asks for; read for each event.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// A file with one or two secrets (`whsec_…`) that requests are signed with; read for each event.
    #[serde(default)]
    pub signing_secrets_file: Option<PathBuf>,
    /// Authorities that its certificate is checked with, if not the machine's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How the envelope travels.
    #[serde(default)]
    pub mode: EventMode,
}

/// A stream of NATS JetStream.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Nats {
    /// Servers, with commas.
    pub url: String,
    /// Before the subject of each event.
    #[serde(default = "prefix")]
    pub subject_prefix: String,
    /// Authorities that the server's certificate is checked with; with them a connection without TLS is refused.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// A `.creds` file.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
}

fn prefix() -> String {
    "tenantry".to_owned()
}

/// A sink that can be used.
pub struct Configured {
    /// Where events go.
    pub sink: Arc<dyn Sink>,
    /// Which.
    pub types: Vec<String>,
    /// For people: where that is.
    pub to: String,
}

impl EventSinks {
    /// Reads the document.
    ///
    /// # Errors
    /// A sentence that says what is wrong, without the document's text: by a mistake in a path it can be a file that belongs
    /// in no log.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        read(path)
    }

    /// All sinks. The files that they name are read once here: one that is not there is an error of the start.
    ///
    /// # Errors
    /// A sentence that names the sink and what is wrong with it.
    pub fn configure(&self) -> Result<Vec<Configured>, String> {
        let mut names = BTreeSet::new();
        let one = |sink: &EventSink| {
            let wrong = |why: String| format!("sink {:?}: {why}", sink.name);
            check_name(&sink.name).map_err(wrong)?;
            if !names.insert(sink.name.clone()) {
                return Err(wrong("the name is there twice".to_owned()));
            }
            if let Some(bad) = sink.types.iter().find(|prefix| !prefix.starts_with("io.tenantry.")) {
                return Err(wrong(format!("no type begins with {bad:?}: all begin with io.tenantry.")));
            }
            let (to, made): (String, Arc<dyn Sink>) = match (&sink.http, &sink.nats) {
                (Some(http), None) => {
                    let made = http.sink(&sink.name).map_err(wrong)?;
                    (made.1, Arc::new(made.0))
                }
                (None, Some(nats)) => {
                    let config = NatsConfig {
                        url: nats.url.clone(),
                        prefix: nats.subject_prefix.clone(),
                        authorities: nats.ca_file.clone(),
                        credentials: nats.credentials_file.clone(),
                    };
                    for file in nats.ca_file.iter().chain(&nats.credentials_file) {
                        bytes(file).map_err(wrong)?;
                    }
                    let made = NatsSink::new(&sink.name, config).map_err(wrong)?;
                    (format!("{} {}.>", nats.url, nats.subject_prefix), Arc::new(made))
                }
                _ => return Err(wrong("says either http or nats".to_owned())),
            };
            Ok(Configured { sink: made, types: sink.types.clone(), to })
        };
        self.sinks.iter().map(one).collect()
    }
}

impl Http {
    /// The sink, and what people are shown of its address.
    fn sink(&self, name: &str) -> Result<(HttpSink, String), String> {
        let bearer = match &self.token_file {
            None => Bearer::None,
            Some(file) => {
                bytes(file)?;
                Bearer::File(file.clone())
            }
        };
        let authorities = self.ca_file.as_deref().map(bytes).transpose()?;
        let sink = HttpSink::with(&self.url, bearer, authorities.as_deref())?.in_mode(self.mode);
        let to = sink_name(&sink);
        let sink = sink.named(name);
        let Some(file) = &self.signing_secrets_file else { return Ok((sink, to)) };
        if self.mode == EventMode::Binary {
            // The signature is over the body: nobody could tell who wrote the headers.
            return Err("a signed sink must be structured: its envelope would not be signed".to_owned());
        }
        let shown = file.display();
        let text = SecretString::from(
            std::fs::read_to_string(file)
                .map_err(|error| format!("cannot read the file {shown}: {error}"))?,
        );
        Secrets::parse(text.expose_secret()).map_err(|why| format!("{shown}: {why}"))?;
        Ok((sink.signed(file.clone()), to))
    }
}

/// Reads a document; an error holds nothing of its text.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let shown = path.display();
    let read = |error: std::io::Error| format!("cannot read the file {shown}: {error}");
    if std::fs::metadata(path).map_err(read)?.len() > LIMIT {
        return Err(format!("{shown} is larger than 1 MiB"));
    }
    parse(&std::fs::read_to_string(path).map_err(read)?).map_err(|why| format!("{shown}: {why}"))
}

pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

fn sink_name(sink: &HttpSink) -> String {
    Sink::name(sink).to_owned()
}

pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read the file {}: {error}", path.display()))
}

/// As other names in addresses.
fn check_name(name: &str) -> Result<(), String> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 63 || !name.bytes().all(good) || name.starts_with('-') {
        return Err("a name is 1 to 63 lower-case letters, digits and -".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // in tests a panic is the message
    use super::*;

    fn refused(text: &str) -> String {
        parse::<EventSinks>(text).and_then(|document| document.configure().map(drop)).unwrap_err()
    }

    #[test]
    fn the_example_can_be_read() {
        let document = parse::<EventSinks>(EXAMPLE).unwrap();
        assert_eq!(document.sinks.len(), 2);
        assert!(document.configure().err().unwrap().contains("crm"), "its files are not there");
    }

    #[test]
    fn a_sink_is_usable_and_shows_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = folder.path().join("secrets");
        std::fs::write(&secrets, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let text = format!(
            "sinks:\n- name: crm\n  http: {{url: 'http://127.0.0.1:9/part-of-secret', signingSecretsFile: '{}'}}\n\
             - {{name: bus, nats: {{url: 'nats://127.0.0.1:9'}}}}",
            secrets.display()
        );
        let all = parse::<EventSinks>(&text).unwrap().configure().unwrap();
        let shown: Vec<_> = all.iter().map(|one| (one.sink.name(), one.to.as_str())).collect();
        assert_eq!(shown, [("crm", "http:127.0.0.1:9"), ("bus", "nats://127.0.0.1:9 tenantry.>")]);
    }

    #[test]
    fn mistakes_name_the_sink_and_what_is_wrong() {
        for (text, why) in [
            ("sinks:\n- {name: A, http: {url: 'http://h'}}", "lower-case"),
            ("sinks:\n- {name: a}", "either http or nats"),
            ("sinks:\n- {name: a, http: {url: 'http://h'}, nats: {url: 'nats://h'}}", "either http or nats"),
            ("sinks:\n- {name: a, http: {url: 'http://h'}}\n- {name: a, http: {url: 'http://h'}}", "twice"),
            ("sinks:\n- {name: a, types: [environment], http: {url: 'http://h'}}", "io.tenantry."),
            ("sinks:\n- {name: a, http: {url: 'ftp://h'}}", "https://"),
            ("sinks:\n- {name: a, http: {url: 'http://h', tokenFile: /nowhere/x}}", "/nowhere/x"),
            (
                "sinks:\n- {name: a, http: {url: 'http://h', mode: binary, signingSecretsFile: /nowhere/x}}",
                "structured",
            ),
            ("sinks:\n- {name: a, http: {url: 'http://h', secret: x}}", "secret"),
        ] {
            assert!(refused(text).contains(why), "{text}: {}", refused(text));
        }
    }
}
