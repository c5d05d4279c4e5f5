//! The agent's side of the agent protocol: one method per call of [`tenantry_api_types::agent`].
//!
//! Tells three kinds of trouble apart, because the agent does something else in each: wait, give up, complain. It
//! never retries and knows nothing of sessions: that is the agent's. What it knows is its connections: after a call that
//! was not answered in time all of them are left, so that the next call gets a new one, and behind a balancer another
//! manager.

use crate::connections::{Connections, Trust};
use reqwest::{Certificate, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{sync::Arc, time::Duration};
use tenantry_api_types::agent::{
    FinishAnswer, FinishRequest, InventoryAnswer, InventoryRequest, JoinAnswer, JoinRequest, LeaseAnswer,
    LeaseRequest, LogsAnswer, LogsRequest, ObservationsAnswer, ObservationsRequest, REGION_HEADER,
    SessionAnswer, SessionRequest, VERSION, VERSION_HEADER,
};
use tenantry_model::RegionName;

/// An answer is taken up to this size; a lease of 500 starts with files of 256 KiB each would be larger, and no
/// manager sends it.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// A call is given up after this time, unless [`AgentClient::within`] says another.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What went wrong with a call.
#[derive(Debug, thiserror::Error)]
pub enum AgentClientError {
    /// No answer, or one that says "later" (429, 502, 503, 504): try again with backoff.
    #[error("cannot reach the manager at {url}")]
    Unreachable {
        /// What was called.
        url: String,
        /// What the network said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The manager understood and says no. Repeating the same call gives the same answer.
    #[error("the manager refuses {call} with {status} ({code}): {detail}")]
    Refused {
        /// Which call.
        call: &'static str,
        /// HTTP status.
        status: u16,
        /// The problem's stable code; empty if the answer was no problem document.
        code: String,
        /// What to do, in the manager's words.
        detail: String,
    },
    /// What answers is no manager of this protocol version, or one side has a bug.
    #[error("the answer to {call} is not of protocol version {VERSION}")]
    Protocol {
        /// Which call.
        call: &'static str,
        /// What does not fit.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The client cannot be made: a certificate that cannot be read, a URL that is none.
    #[error("the connection to the manager cannot be configured: {what}")]
    Configuration {
        /// Which setting.
        what: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl AgentClientError {
    /// No answer: waiting helps.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// No answer came in time. Whoever did not answer may be as slow again, or stand still for ever.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        let Self::Unreachable { source, .. } = self else { return false };
        source.downcast_ref().is_some_and(reqwest::Error::is_timeout)
    }

    /// The credential is not (or no longer) good for this region.
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Refused { status: 401 | 403, .. })
    }

    /// The session is not the region's present one.
    #[must_use]
    pub fn is_session_over(&self) -> bool {
        matches!(self, Self::Refused { status: 404 | 409 | 410, .. })
    }
}

/// Speaks to one manager for one region.
#[derive(Clone, Debug)]
pub struct AgentClient {
    connections: Arc<Connections>,
    base: String,
    credential: SecretString,
    region: Option<RegionName>,
    limit: Duration,
}

/// What a refusal says; only what the agent needs of a problem document.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    detail: String,
}

impl AgentClient {
    /// `base`: the manager's URL without a path (`https://tenantry.example:7777`). `certificates`: PEM texts of
    /// further authorities to be trusted.
    pub fn new(
        base: &str,
        credential: SecretString,
        certificates: &[Vec<u8>],
    ) -> Result<Self, AgentClientError> {
        let mut authorities = Vec::new();
        for pem in certificates {
            authorities
                .extend(Certificate::from_pem_bundle(pem).map_err(|e| configuration("a certificate", e))?);
        }
        let parsed = reqwest::Url::parse(base).map_err(|e| configuration(format!("the URL {base:?}"), e))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            let text = "use http:// or https://";
            return Err(configuration(format!("the URL {base:?}"), text));
        }
        let trust = if parsed.scheme() == "http" { Trust::Nobody } else { Trust::Also(authorities) };
        Ok(Self {
            connections: Arc::new(Connections::new(trust).map_err(|e| configuration("the HTTP client", e))?),
            base: base.trim_end_matches('/').to_owned(),
            credential,
            region: None,
            limit: CALL_TIMEOUT,
        })
    }

    /// The same, saying with each call which region it serves: a manager refuses the credential of another one.
    #[must_use]
    pub fn for_region(self, region: RegionName) -> Self {
        Self { region: Some(region), ..self }
    }

    /// The same, giving each call up after this time. It shares its connections with this one.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        Self { limit, ..self.clone() }
    }

    /// Makes a credential of the agent's own the region's; this client's is a join token. May be repeated.
    pub async fn join(&self, request: &JoinRequest) -> Result<JoinAnswer, AgentClientError> {
        self.call("join", request).await
    }

    /// Begins a session.
    pub async fn session(&self, request: &SessionRequest) -> Result<SessionAnswer, AgentClientError> {
        self.call("sessions", request).await
    }

    /// Reports hooks.
    pub async fn inventory(&self, request: &InventoryRequest) -> Result<InventoryAnswer, AgentClientError> {
        self.call("inventory", request).await
    }

    /// Waits for commands; the call's limit has to be longer than the wait.
    pub async fn lease(&self, request: &LeaseRequest) -> Result<LeaseAnswer, AgentClientError> {
        self.call("commands:lease", request).await
    }

    /// Says that commands are carried out.
    pub async fn finish(&self, request: &FinishRequest) -> Result<FinishAnswer, AgentClientError> {
        self.call("commands:finish", request).await
    }

    /// Reports facts.
    pub async fn observations(
        &self,
        request: &ObservationsRequest,
    ) -> Result<ObservationsAnswer, AgentClientError> {
        self.call("observations", request).await
    }

    /// Reports log text.
    pub async fn logs(&self, request: &LogsRequest) -> Result<LogsAnswer, AgentClientError> {
        self.call("logs", request).await
    }

    async fn call<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        call: &'static str,
        request: &Q,
    ) -> Result<A, AgentClientError> {
        let url = format!("{}/agent/v1/{call}", self.base);
        let (http, generation) = self.connections.now();
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| AgentClientError::Unreachable {
            url: url.clone(),
            source,
        };
        let lost = |error: reqwest::Error| {
            if error.is_timeout() {
                self.connections.leave(generation);
            }
            unreachable(error.without_url().into())
        };
        let mut request_of_region = http.post(&url);
        if let Some(region) = &self.region {
            request_of_region = request_of_region.header(REGION_HEADER, region.as_str());
        }
        let mut answer = request_of_region
            .timeout(self.limit)
            .header(VERSION_HEADER, VERSION)
            .header(header::ACCEPT, "application/json")
            .bearer_auth(self.credential.expose_secret())
            .json(request)
            .send()
            .await
            .map_err(lost)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(lost)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER_BYTES {
                let source = format!("the answer is larger than {MAX_ANSWER_BYTES} bytes").into();
                return Err(AgentClientError::Protocol { call, source });
            }
        }
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|e| AgentClientError::Protocol { call, source: e.into() });
        }
        let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
        if is_later(status) {
            return Err(unreachable(format!("answer {status}: {}", problem.detail).into()));
        }
        Err(AgentClientError::Refused {
            call,
            status: status.as_u16(),
            code: problem.code,
            detail: if problem.detail.is_empty() {
                String::from_utf8_lossy(&body).chars().take(300).collect()
            } else {
                problem.detail
            },
        })
    }
}

/// 500 counts too: a manager whose store hiccups must not lose facts for it.
fn is_later(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
}

fn configuration(
    what: impl Into<String>,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> AgentClientError {
    AgentClientError::Configuration { what: what.into(), source: source.into() }
}
