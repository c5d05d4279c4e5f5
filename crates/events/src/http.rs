//! A receiver that takes events by POST. Redirects are not followed: a token must not go elsewhere.

use crate::{CloudEvent, Sink, Undelivered, signature};
use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::{Certificate, Client, StatusCode, Url, header, redirect};
use secrecy::{ExposeSecret, SecretString};
use std::path::PathBuf;
use std::time::Duration;
use tenantry_model::{EventMode, with_causes};

/// How long one delivery may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The bearer token that a receiver asks for.
#[derive(Debug)]
pub enum Bearer {
    /// It asks for none.
    None,
    /// This one.
    Token(SecretString),
    /// What the file holds when an event is delivered: somebody else renews it.
    File(PathBuf),
}

impl Bearer {
    async fn token(&self) -> Result<Option<SecretString>, Undelivered> {
        match self {
            Self::None => Ok(None),
            Self::Token(token) => Ok(Some(token.clone())),
            Self::File(path) => match tokio::fs::read_to_string(path).await {
                Ok(text) => Ok(Some(SecretString::from(text.trim()))),
                // As good as nobody there: no event can be sent.
                Err(error) => {
                    let path = path.display();
                    Err(Undelivered::unreachable(format!("the token's file {path} cannot be read: {error}")))
                }
            },
        }
    }
}

/// A receiver at a URL.
pub struct HttpSink {
    name: String,
    url: Url,
    token: Bearer,
    secrets: Option<PathBuf>,
    mode: EventMode,
    client: Client,
}

impl HttpSink {
    /// A receiver at `url`, with a bearer token if it wants one. Its name is its host: the rest of the address may be a
    /// secret (many pagers put one there).
    ///
    /// # Errors
    /// A sentence that says what is wrong with the address, without it.
    pub fn new(url: &str, token: Option<SecretString>) -> Result<Self, String> {
        Self::with(url, token.map_or(Bearer::None, Bearer::Token), None)
    }

    /// The same, with certificates checked with these authorities (PEM) instead of the machine's.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the address or the authorities.
    pub fn with(url: &str, token: Bearer, authorities: Option<&[u8]>) -> Result<Self, String> {
        let url: Url =
            url.parse().map_err(|error| format!("the address of an HTTP sink is no URL: {error}"))?;
        let host = url.host_str().ok_or("the address of an HTTP sink has no host")?.to_owned();
        if !matches!(url.scheme(), "http" | "https") {
            return Err("the address of an HTTP sink must begin with https:// or http://".to_owned());
        }
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let mut builder = Client::builder()
            .user_agent(concat!("tenantry/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none());
        if url.scheme() == "http" {
            // No certificate is ever checked, so a machine without any authorities must not be an error.
            builder = builder.tls_certs_only([]);
        } else if let Some(pem) = authorities {
            let certificates = Certificate::from_pem_bundle(pem)
                .map_err(|error| format!("the authorities of an HTTP sink are no PEM: {error}"))?;
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().map_err(|error| format!("HTTP sinks cannot be used: {error}"))?;
        let name = format!("http:{host}{port}");
        Ok(Self { name, url, token, secrets: None, mode: EventMode::default(), client })
    }

    /// The same under a name of its own.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// The same, signed with the secrets that the file holds when an event is delivered.
    #[must_use]
    pub fn signed(self, secrets: PathBuf) -> Self {
        Self { secrets: Some(secrets), ..self }
    }

    /// The same in this mode.
    #[must_use]
    pub fn in_mode(self, mode: EventMode) -> Self {
        Self { mode, ..self }
    }

    /// The signature over this body now.
    async fn signature(&self, id: &str, body: &[u8]) -> Result<Option<(i64, String)>, Undelivered> {
        let Some(path) = &self.secrets else { return Ok(None) };
        let failed = |why: String| {
            Undelivered::unreachable(format!("the signing secrets in {}: {why}", path.display()))
        };
        let text = tokio::fs::read_to_string(path).await.map_err(|error| failed(error.to_string()))?;
        let text = SecretString::from(text);
        let secrets = signature::Secrets::parse(text.expose_secret()).map_err(failed)?;
        let now = Timestamp::now().as_second();
        Ok(Some((now, secrets.sign(id, now, body))))
    }
}

#[async_trait]
impl Sink for HttpSink {
    fn name(&self) -> &str {
        &self.name
    }

    async fn deliver(&self, event: &CloudEvent) -> Result<(), Undelivered> {
        let unwritten = |error| Undelivered::for_good(format!("cannot be written: {error}"));
        let mut request = self.client.post(self.url.clone());
        let body = match self.mode {
            EventMode::Structured => {
                request = request.header(header::CONTENT_TYPE, "application/cloudevents+json; charset=utf-8");
                serde_json::to_vec(event).map_err(unwritten)?
            }
            EventMode::Binary => {
                request = request.header(header::CONTENT_TYPE, &event.datacontenttype);
                for (name, value) in event.headers() {
                    request = request.header(name, value);
                }
                serde_json::to_vec(&event.data).map_err(unwritten)?
            }
        };
        if let Some((at, signature)) = self.signature(&event.id, &body).await? {
            request = request
                .header(signature::ID, &event.id)
                .header(signature::TIMESTAMP, at)
                .header(signature::SIGNATURE, signature);
        }
        let mut request = request.body(body);
        if let Some(token) = self.token.token().await? {
            request = request.bearer_auth(token.expose_secret());
        }
        let answer = request.send().await.map_err(|error| {
            let what = if error.is_timeout() { "no answer in time" } else { "cannot be reached" };
            Undelivered::unreachable(format!("{what}: {}", with_causes(&error.without_url())))
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let message = format!("answered with status {status}");
        Err(Undelivered { message, permanent: is_final(status), unreachable: false })
    }
}

/// Whether the receiver will say the same again.
fn is_final(status: StatusCode) -> bool {
    let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    // A credential or an address may be mended meanwhile.
    let mended = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND];
    !status.is_server_error() && !later.contains(&status) && !mended.contains(&status)
}
