//! A receiver that takes events by POST. Redirects are not followed: a token must not go elsewhere.

use crate::{CloudEvent, Sink, Undelivered};
use async_trait::async_trait;
use reqwest::{Certificate, Client, StatusCode, Url, header, redirect};
use secrecy::{ExposeSecret, SecretString};
use std::path::PathBuf;
use std::time::Duration;
use tenantry_model::with_causes;

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
                Err(error) => Err(Undelivered {
                    message: format!("the token's file {} cannot be read: {error}", path.display()),
                    permanent: false,
                }),
            },
        }
    }
}

/// A receiver at a URL.
pub struct HttpSink {
    name: String,
    url: Url,
    token: Bearer,
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
        Ok(Self { name: format!("http:{host}{port}"), url, token, client })
    }
}

#[async_trait]
impl Sink for HttpSink {
    fn name(&self) -> &str {
        &self.name
    }

    async fn deliver(&self, event: &CloudEvent) -> Result<(), Undelivered> {
        let body = serde_json::to_vec(event).map_err(|error| Undelivered {
            message: format!("cannot be written: {error}"),
            permanent: true,
        })?;
        let mut request = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/cloudevents+json; charset=utf-8")
            .body(body);
        if let Some(token) = self.token.token().await? {
            request = request.bearer_auth(token.expose_secret());
        }
        let answer = request.send().await.map_err(|error| {
            let what = if error.is_timeout() { "no answer in time" } else { "cannot be reached" };
            Undelivered {
                message: format!("{what}: {}", with_causes(&error.without_url())),
                permanent: false,
            }
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(Undelivered { message: format!("answered with status {status}"), permanent: is_final(status) })
    }
}

/// Whether the receiver will say the same again.
fn is_final(status: StatusCode) -> bool {
    let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    // A credential or an address may be mended meanwhile.
    let mended = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND];
    !status.is_server_error() && !later.contains(&status) && !mended.contains(&status)
}
