//! The way to the manager: a call is repeated until it is answered.
//!
//! It must never know what the calls are for, and never hold more than one answer.

use crate::cli::Managed;
use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use http::{
    Request, StatusCode, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tenantry_api_types::bridge::{REGION_HEADER, VERSION, VERSION_HEADER, WorkflowRef};
use tenantry_kube_run::provide_cryptography;
use tenantry_model::{OperationId, RegionName, with_causes};
use tokio::{sync::watch, time::Instant};

/// Between two tries.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Longer than a busy manager takes, beyond what it was asked to wait.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two lines that say that nobody answers.
const SAY_EVERY: Duration = Duration::from_mins(1);
/// No answer is larger: a start has at most 512 KiB of files, an order of ten thousand steps 2 MiB.
const MAX_ANSWER: u64 = 32 * 1024 * 1024;

/// Why the manager cannot be asked, or what it refuses.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// A flag, or the file that it names.
    #[error("{what}")]
    Config {
        /// What is wrong with it.
        what: String,
        /// Why.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The manager understood and says no. Repeating the same call gives the same answer.
    #[error("the manager refuses {call} with {status}{}: {detail}", in_brackets(.code))]
    Refused {
        /// Which call.
        call: &'static str,
        /// HTTP status.
        status: u16,
        /// The problem's stable code; empty if the answer was no problem document.
        code: String,
        /// In the manager's words.
        detail: String,
    },
    /// What answers is no manager of this protocol version.
    #[error("the answer to {call} is not of version {VERSION} of the bridge protocol: {what}")]
    Protocol {
        /// Which call.
        call: &'static str,
        /// What does not fit.
        what: String,
    },
}

impl ManagerError {
    fn config(what: impl Into<String>) -> Self {
        Self::Config { what: what.into(), source: None }
    }

    /// Who asks is not known, or may not ask.
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Refused { status: 401 | 403, .. })
    }

    /// What to do.
    pub(crate) fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Refused { status: 401, .. } => Some(
                "the token of --manager-token-file is not taken: check that it is a projected one of this Pod's service \
                 account, that its audience is the one that the installation names (tenantry, if it names no other), and \
                 that the manager has this region's keys",
            ),
            Self::Refused { status: 403, .. } => Some(
                "the token is known, and its service account may not do this: check that --region is this region's \
                 name, and that the region allows this namespace and service account",
            ),
            Self::Refused { status: 404, code, .. } if !code.is_empty() => Some(
                "nobody has asked the manager for this Workflow, or it has forgotten it (a backup was restored): nothing is run. \
                 If the operation waits for a Workflow of this name, delete this one, and it is made anew",
            ),
            Self::Refused { status: 426, .. } | Self::Protocol { .. } => {
                Some("use the tenantry-bridge of the manager's version, and check --manager")
            }
            _ => None,
        }
    }
}

fn in_brackets(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!(" ({code})") }
}

/// What a refusal says: as much of a problem document as is needed.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    detail: String,
}

/// Why a try was in vain.
enum Failure {
    /// Another one may be answered.
    Again(String),
    Never(ManagerError),
}

/// One manager, asked for one Workflow.
pub(crate) struct Manager {
    client: Client,
    token: PathBuf,
    url: String,
    /// Whom it is asked for.
    pub workflow: WorkflowRef,
    said: Mutex<Option<Instant>>,
    contact: watch::Sender<bool>,
}

impl Manager {
    /// Prepares the connection; nothing is sent yet. `None`: no manager is named.
    pub fn new(
        flags: &Managed,
        operation: Option<OperationId>,
        workflow: Option<String>,
    ) -> Result<Option<Self>, ManagerError> {
        let Some(url) = &flags.manager else { return Ok(None) };
        let (Some(operation), Some(region)) = (operation, flags.region_name.clone()) else {
            return Err(ManagerError::config("--manager needs --operation-id and --region"));
        };
        let name = workflow.unwrap_or_else(|| workflow_name(operation, flags.round));
        let manager = Self {
            client: client(base(url)?, flags.manager_ca_file.as_deref())?,
            token: flags.manager_token_file.clone(),
            url: url.clone(),
            workflow: WorkflowRef { region, operation, round: flags.round, name },
            said: Mutex::default(),
            contact: watch::Sender::new(true),
        };
        // One that is not there now is a mistake of whoever wrote the Pod; later it may be replaced at this moment.
        manager.bearer().map_err(|source| ManagerError::Config {
            what: format!("cannot read the token of --manager-token-file {}", manager.token.display()),
            source: Some(source),
        })?;
        Ok(Some(manager))
    }

    /// Which region it is asked for.
    pub(super) fn region(&self) -> &RegionName {
        &self.workflow.region
    }

    /// Whether the newest try was answered.
    pub(super) fn contact(&self) -> watch::Receiver<bool> {
        self.contact.subscribe()
    }

    /// One call, repeated until it is answered. `wait`: how long the manager may think. The request is told whether the try
    /// before it was in vain.
    pub async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        call: &'static str,
        wait: Duration,
        request: impl Fn(bool) -> Q,
    ) -> Result<A, ManagerError> {
        let text = |in_vain| serde_json::to_vec(&request(in_vain));
        let answer = self.answer(call, wait, &text).await?;
        serde_json::from_slice(&answer)
            .map_err(|error| ManagerError::Protocol { call, what: error.to_string() })
    }

    /// The part that is the same for every type: the program has it once.
    async fn answer(
        &self,
        call: &'static str,
        wait: Duration,
        request: &dyn Fn(bool) -> serde_json::Result<Vec<u8>>,
    ) -> Result<Bytes, ManagerError> {
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times()
            .with_jitter()
            .build();
        let mut in_vain = false;
        loop {
            let body =
                request(in_vain).map_err(|error| ManagerError::Protocol { call, what: error.to_string() })?;
            let answer = match tokio::time::timeout(wait + PATIENCE, self.once(call, body)).await {
                Ok(answer) => answer,
                Err(_) => Err(Failure::Again(format!("no answer within {} s", (wait + PATIENCE).as_secs()))),
            };
            match answer {
                Ok(answer) => {
                    self.contact.send_replace(true);
                    return Ok(answer);
                }
                Err(Failure::Never(error)) => return Err(error),
                Err(Failure::Again(why)) => self.say(call, &why),
            }
            in_vain = true;
            let mut contact = self.contact.subscribe();
            self.contact.send_replace(false);
            let pause = pauses.next().unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
            tokio::time::sleep(FIRST_PAUSE.min(pause)).await;
            // Another call that gets through ends the pause: the manager is back.
            tokio::select! {
                () = tokio::time::sleep(pause.saturating_sub(FIRST_PAUSE)) => {}
                _ = contact.wait_for(|up| *up) => {}
            }
        }
    }

    async fn once(&self, call: &'static str, body: Vec<u8>) -> Result<Bytes, Failure> {
        let bearer = self.bearer().map_err(|error| {
            Failure::Again(format!("cannot read {}: {}", self.token.display(), with_causes(&*error)))
        })?;
        let request = Request::post(format!("/bridge/v1/{call}"))
            .header(AUTHORIZATION, bearer)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, application/problem+json")
            .header(VERSION_HEADER, VERSION)
            .header(REGION_HEADER, self.region().as_str())
            .body(Body::from(body))
            .map_err(|error| Failure::Never(ManagerError::config(error.to_string())))?;
        let lost = |error: kube::Error| Failure::Again(with_causes(&error));
        let answer = self.client.send(request).await.map_err(lost)?;
        let status = answer.status();
        let length =
            answer.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: u64| length > MAX_ANSWER) {
            let what = format!("it is larger than {MAX_ANSWER} bytes");
            return Err(Failure::Never(ManagerError::Protocol { call, what }));
        }
        let body = answer.into_body().collect_bytes().await.map_err(lost)?;
        if status.is_success() {
            return Ok(body);
        }
        let Problem { code, mut detail } = serde_json::from_slice(&body).unwrap_or_default();
        if detail.is_empty() {
            detail = String::from_utf8_lossy(&body).chars().take(200).collect();
        }
        if is_later(status) {
            return Err(Failure::Again(format!("it answers {status}: {detail}")));
        }
        Err(Failure::Never(ManagerError::Refused { call, status: status.as_u16(), code, detail }))
    }

    /// Read for each call: a projected token is replaced before it runs out.
    fn bearer(&self) -> Result<HeaderValue, Box<dyn std::error::Error + Send + Sync>> {
        let token = std::fs::read_to_string(&self.token)?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn say(&self, call: &str, why: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            *said = Some(Instant::now());
            eprintln!("tenantry-bridge: waiting for the manager {} ({call}): {why}", self.url);
        }
    }
}

/// As the Sensor names it.
pub(crate) fn workflow_name(operation: OperationId, round: u32) -> String {
    if round > 1 { format!("tenantry-{operation}-{round}") } else { format!("tenantry-{operation}") }
}

/// 500 counts too: facts must not be lost for a store that hiccups.
fn is_later(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
}

/// The token would go in the clear: plain HTTP is for a proxy beside this program alone.
fn base(url: &str) -> Result<Uri, ManagerError> {
    let unusable = |why: &str| ManagerError::config(format!("--manager {url:?} cannot be used: {why}"));
    let base: Uri = url.parse().map_err(|error: http::uri::InvalidUri| unusable(&error.to_string()))?;
    let host = base.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match base.scheme_str() {
        Some("https") => {}
        Some("http") if is_here => {}
        _ => return Err(unusable("it must begin with https:// (or http:// on loopback)")),
    }
    if base.query().is_some() {
        return Err(unusable("take the query away"));
    }
    Ok(base)
}

/// Kubernetes' own client, which is linked anyway, is a client of HTTP and TLS.
fn client(base: Uri, authority: Option<&Path>) -> Result<Client, ManagerError> {
    provide_cryptography();
    let plain = base.scheme_str() == Some("http");
    let mut config = Config::new(base);
    // The calls are repeated here, where it can be said.
    config.default_retry = false;
    if plain || authority.is_some() {
        // No authority of the image's: there may be none at all.
        config.root_cert = Some(Vec::new());
    }
    config.root_cert_file = authority.filter(|_| !plain).map(Path::to_owned);
    let unusable = |error: kube::Error| ManagerError::Config {
        what: match authority {
            Some(file) => format!("cannot use the certificates of --manager-ca-file {}", file.display()),
            None => "cannot use the certificates of this image; give --manager-ca-file".to_owned(),
        },
        source: Some(error.into()),
    };
    Ok(ClientBuilder::try_from(config).map_err(unusable)?.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_goes_in_the_clear() {
        for fine in [
            "https://m.example",
            "https://m:7777/prefix/",
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "http://localhost",
        ] {
            base(fine).unwrap();
        }
        for wrong in
            ["http://m.example", "m.example:7777", "ftp://m", "", "https://m/?a=b", "http://127.example"]
        {
            base(wrong).unwrap_err();
        }
    }

    #[test]
    fn a_workflow_of_a_further_round_has_its_number() {
        let id = "0192f0c8-a7b3-7c3e-8f00-00000000abcd".parse().unwrap();
        assert_eq!(workflow_name(id, 1), "tenantry-0192f0c8-a7b3-7c3e-8f00-00000000abcd");
        assert_eq!(workflow_name(id, 3), "tenantry-0192f0c8-a7b3-7c3e-8f00-00000000abcd-3");
    }
}
