//! One request and its answer: headers, retries, problems. Everything typed is built on [`Client::send`].

use crate::{Call, ClientConfig, ClientError, Result};
use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use reqwest::{
    Certificate, Method, Response, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tenantry_api_types::v1::{IDEMPOTENCY_KEY, PROBLEM_MEDIA_TYPE};
use tenantry_model::with_causes;

/// Of any request, between two pieces of its answer; streams are watched more closely (`sse.rs`).
const READ_TIMEOUT: Duration = Duration::from_secs(45);
/// So many times a read that will be repeated is given up early: the first time after a quarter of its time limit, then
/// after half of it. A new connection may go to another server, which is quick.
const EARLY: u32 = 2;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection pool to one server, with one credential. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Arc<SecretString>>,
    request_timeout: Duration,
    retry_for: Duration,
}

/// A request that can be sent more than once.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: Method,
    url: Url,
    body: Option<Bytes>,
    headers: Vec<(&'static str, String)>,
    /// Carried out twice, it changes nothing more than once.
    repeatable: bool,
}

/// An answer of status 2xx.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    /// Reads the configuration; connects with the first call.
    pub fn new(config: &ClientConfig) -> Result<Self> {
        let mut base = Url::parse(&config.server)
            .map_err(|why| ClientError::Config(format!("server {:?} is no URL: {why}", config.server)))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(ClientError::Config(format!(
                "server {:?} must begin with https:// (or http:// on loopback)",
                config.server
            )));
        }
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("tenantry/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(file) = &config.ca_file {
            builder = builder.tls_certs_only(authorities(file)?);
        } else if base.scheme() == "http" {
            // No certificate is ever checked, so a machine without any authorities must not be an error.
            builder = builder.tls_certs_only([]);
        }
        let http = builder
            .build()
            .map_err(|why| ClientError::Config(format!("the TLS set-up cannot be used: {why}")))?;
        Ok(Self {
            http,
            base,
            token: config.token.clone().map(Arc::new),
            request_timeout: config.request_timeout,
            retry_for: config.retry_for,
        })
    }

    /// The server, as configured.
    #[must_use]
    pub fn server(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    pub(crate) async fn get<A: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<A> {
        let request = self.request(Method::GET, path, query)?;
        self.json(&self.send(&request).await?)
    }

    pub(crate) async fn post<A: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        call: &Call,
    ) -> Result<A> {
        self.json(&self.send(&self.change(Method::POST, path, Some(body), call)?).await?)
    }

    /// A change by the public API: gets its Idempotency-Key here, once for all tries, so that it can be repeated
    /// whenever its answer did not arrive.
    pub(crate) fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        call: &Call,
    ) -> Result<Request> {
        let query: &[(&str, &str)] = if call.validate_only { &[("validateOnly", "true")] } else { &[] };
        let mut request = self.request(method, path, &query)?;
        let key = call.key.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        request.headers.push((IDEMPOTENCY_KEY, key));
        request.repeatable = true;
        if let Some(etag) = &call.if_match {
            request.headers.push(("if-match", etag.clone()));
        }
        if let Some(body) = body {
            let bytes = serde_json::to_vec(body).map_err(|why| {
                ClientError::Config(format!("the request cannot be written as JSON: {why}"))
            })?;
            request.headers.push(("content-type", "application/json".to_owned()));
            request.body = Some(Bytes::from(bytes));
        }
        Ok(request)
    }

    pub(crate) fn request(&self, method: Method, path: &str, query: &impl Serialize) -> Result<Request> {
        let url = self
            .base
            .join(path)
            .map_err(|why| ClientError::Config(format!("path {path:?} cannot be used: {why}")))?;
        let repeatable = method.is_safe();
        // reqwest writes the query as the server reads it.
        let url = self
            .http
            .request(method.clone(), url)
            .query(query)
            .build()
            .map_err(|why| ClientError::Config(format!("the query cannot be written: {why}")))?
            .url()
            .clone();
        Ok(Request { method, url, body: None, headers: Vec::new(), repeatable })
    }

    /// Sends, repeats with backoff what may be repeated, reads the whole answer.
    pub(crate) async fn send(&self, request: &Request) -> Result<Answer> {
        let tries = AtomicU32::new(0);
        let once = || async {
            let number = tries.fetch_add(1, Ordering::Relaxed);
            let early = request.method.is_safe() && !self.retry_for.is_zero() && number < EARLY;
            let limit = if early { self.request_timeout / (4 >> number) } else { self.request_timeout };
            let response = self.open(request, Some(limit)).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = response.bytes().await.map_err(|why| self.unreachable(why))?;
            Ok(Answer { status, headers, body })
        };
        if self.retry_for.is_zero() {
            return once().await;
        }
        once.retry(Self::backoff().with_total_delay(Some(self.retry_for)).without_max_times())
            .when(|error| Self::may_repeat(request, error))
            .notify(
                |error, pause| tracing::debug!(error = %with_causes(error), ?pause, "repeating a request"),
            )
            .await
    }

    /// Sends once; the answer's body is still to come.
    pub(crate) async fn open(&self, request: &Request, timeout: Option<Duration>) -> Result<Response> {
        let mut builder = self.http.request(request.method.clone(), request.url.clone());
        if let Some(timeout) = timeout {
            builder = builder.timeout(timeout);
        }
        if let Some(token) = &self.token {
            builder = builder.bearer_auth(token.expose_secret());
        }
        if !request.headers.iter().any(|(name, _)| *name == "accept") {
            builder = builder.header(ACCEPT, "application/json, application/problem+json");
        }
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let response = builder.send().await.map_err(|why| self.unreachable(why))?;
        if response.status().is_success() { Ok(response) } else { Err(self.problem(response).await) }
    }

    pub(crate) fn json<A: DeserializeOwned>(&self, answer: &Answer) -> Result<A> {
        serde_json::from_slice(&answer.body)
            .map_err(|why| self.protocol(format!("its answer cannot be read: {why}")))
    }

    pub(crate) fn protocol(&self, what: String) -> ClientError {
        ClientError::Protocol { server: self.server().to_owned(), what, transient: false }
    }

    pub(crate) fn unreachable(&self, source: reqwest::Error) -> ClientError {
        let unsent = source.is_connect();
        ClientError::Unreachable { server: self.server().to_owned(), unsent, source: source.without_url() }
    }

    /// The same with more patience for a server that does not answer; none stays none.
    pub(crate) fn patient(&self, least: Duration) -> Self {
        let retry_for = if self.retry_for.is_zero() { self.retry_for } else { self.retry_for.max(least) };
        Self { retry_for, ..self.clone() }
    }

    pub(crate) fn retry_for(&self) -> Duration {
        self.retry_for
    }

    /// Pauses between tries: 100 ms, doubling, at most 5 s, with jitter.
    pub(crate) fn backoff() -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(5))
            .with_jitter()
    }

    fn may_repeat(request: &Request, error: &ClientError) -> bool {
        error.is_transient()
            && (request.repeatable || matches!(error, ClientError::Unreachable { unsent: true, .. }))
    }

    async fn problem(&self, response: Response) -> ClientError {
        let status = response.status();
        let is_problem = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with(PROBLEM_MEDIA_TYPE));
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(why) => return self.unreachable(why),
        };
        match serde_json::from_slice(&body) {
            Ok(problem) if is_problem => ClientError::Problem(Box::new(problem)),
            _ => {
                let text: String = String::from_utf8_lossy(&body).chars().take(200).collect();
                ClientError::Protocol {
                    server: self.server().to_owned(),
                    what: format!("status {status} with {text:?}"),
                    transient: matches!(status.as_u16(), 502..=504),
                }
            }
        }
    }
}

impl Request {
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

fn authorities(file: &std::path::Path) -> Result<Vec<Certificate>> {
    let name = file.display();
    let pem = std::fs::read(file)
        .map_err(|why| ClientError::Config(format!("the CA file {name} cannot be read: {why}")))?;
    let found = Certificate::from_pem_bundle(&pem)
        .map_err(|why| ClientError::Config(format!("the CA file {name} is no PEM of certificates: {why}")))?;
    if found.is_empty() {
        return Err(ClientError::Config(format!("the CA file {name} holds no certificate")));
    }
    Ok(found)
}
