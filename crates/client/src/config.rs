//! How to reach a server, and what a single call may say beside its body.

use secrecy::SecretString;
use std::{path::PathBuf, time::Duration};

/// How to reach a server.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `https://host[:port][/prefix]`; `http://` for a loopback address.
    pub server: String,
    /// Bearer token; never printed.
    pub token: Option<SecretString>,
    /// PEM file of the only authorities that are trusted; `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Of one request, from sending it to its whole answer.
    pub request_timeout: Duration,
    /// How long a call that may be repeated is repeated while the server does not answer; zero: never.
    pub retry_for: Duration,
}

impl ClientConfig {
    /// A server with defaults: 30 s for a request, 20 s of retries, the system's authorities, no token.
    #[must_use]
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            token: None,
            ca_file: None,
            request_timeout: Duration::from_secs(30),
            retry_for: Duration::from_secs(20),
        }
    }

    /// The same with a bearer token.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(SecretString::from(token.into()));
        self
    }
}

/// What a change may say beside its body.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// The Idempotency-Key; `None`: a new one, kept over this call's retries.
    pub key: Option<String>,
    /// Only check, change nothing.
    pub validate_only: bool,
    /// The ETag of the resource as the caller saw it; PATCH, PUT and DELETE need one.
    pub if_match: Option<String>,
}

impl Call {
    /// A change of the resource with this ETag.
    #[must_use]
    pub fn if_match(etag: impl Into<String>) -> Self {
        Self { if_match: Some(etag.into()), ..Self::default() }
    }
}
