//! The way to one API server: TLS, deadlines, retries, and a count of the requests made.
//!
//! It must never know what the requests are for.

use crate::{RunError, Settings};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Config,
    client::{Body, ClientBuilder},
    config::{KubeConfigOptions, Kubeconfig},
};
use std::{
    future::Future,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tenantry_model::{Namespace, with_causes};
use tower::util::MapRequestLayer;

/// Which API server, as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// A kubeconfig file; `None`: the Pod's service account, else the user's default kubeconfig.
    pub kubeconfig: Option<PathBuf>,
    /// A context of it; `None`: its current one.
    pub context: Option<String>,
}

/// A connection to one API server. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    requests: Arc<Requests>,
    request_timeout: Duration,
    answer_deadline: Duration,
}

/// Requests made through one [`Cluster`].
#[derive(Debug, Default)]
pub struct Requests {
    watches: AtomicU64,
    others: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestsSoFar {
    /// Watches opened.
    pub watches: u64,
    /// Everything else.
    pub others: u64,
}

/// One provider for the whole process; a second install (another cluster, a test) changes nothing.
pub fn provide_cryptography() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

impl Requests {
    fn count(&self, uri: &str) {
        let counter = if uri.contains("watch=true") { &self.watches } else { &self.others };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters now.
    #[must_use]
    pub fn so_far(&self) -> RequestsSoFar {
        RequestsSoFar {
            watches: self.watches.load(Ordering::Relaxed),
            others: self.others.load(Ordering::Relaxed),
        }
    }
}

impl Cluster {
    /// Prepares the connection; nothing is sent yet.
    pub async fn connect(connection: &Connection, settings: &Settings) -> Result<Self, RunError> {
        provide_cryptography();
        let shown = connection
            .kubeconfig
            .as_ref()
            .map_or("(in-cluster or default)".into(), |p| p.display().to_string());
        let unusable = |source: Box<dyn std::error::Error + Send + Sync>| RunError::Kubeconfig {
            path: shown.clone(),
            source,
        };
        let options =
            KubeConfigOptions { context: connection.context.clone(), ..KubeConfigOptions::default() };
        let config = match &connection.kubeconfig {
            Some(path) => {
                let read = Kubeconfig::read_from(path).map_err(|e| unusable(e.into()))?;
                Config::from_custom_kubeconfig(read, &options).await.map_err(|e| unusable(e.into()))?
            }
            None if connection.context.is_some() => {
                Config::from_kubeconfig(&options).await.map_err(|e| unusable(e.into()))?
            }
            None => Config::infer().await.map_err(|e| unusable(e.into()))?,
        };
        let requests = Arc::new(Requests::default());
        let counted = requests.clone();
        let client = ClientBuilder::try_from(config)
            .map_err(|e| unusable(e.into()))?
            .with_layer(&MapRequestLayer::new(move |request: http::Request<Body>| {
                counted.count(request.uri().query().unwrap_or_default());
                request
            }))
            .build();
        Ok(Self {
            client,
            requests,
            request_timeout: settings.request_timeout,
            answer_deadline: settings.answer_deadline,
        })
    }

    /// Requests made so far.
    #[must_use]
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// The plain client.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    pub(crate) fn namespaced<K>(&self, namespace: &Namespace) -> Api<K>
    where
        K: k8s_openapi::Resource<Scope = NamespaceResourceScope>
            + k8s_openapi::Metadata<Ty = ObjectMeta>
            + kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace.as_str())
    }

    pub(crate) fn all<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = ClusterResourceScope>,
    {
        Api::all(self.client.clone())
    }

    /// One request under the deadline of an answer.
    pub(crate) async fn once<T, F>(&self, what: &str, request: F) -> Result<T, RunError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        match tokio::time::timeout(self.request_timeout, request).await {
            Err(_) => Err(RunError::Timeout { what: what.to_owned(), after: self.request_timeout }),
            Ok(Err(error)) => Err(RunError::Api { what: what.to_owned(), source: Box::new(error) }),
            Ok(Ok(value)) => Ok(value),
        }
    }

    /// Repeats the request, backing off, until it is answered for good or the answer's deadline has passed.
    ///
    /// # Errors
    ///
    /// The last answer, or that there was none.
    pub async fn until_answered<T, F, R>(&self, what: &str, request: R) -> Result<T, RunError>
    where
        R: Fn() -> F,
        F: Future<Output = kube::Result<T>>,
    {
        let mut tries = Tries::new(self.answer_deadline);
        loop {
            match self.once(what, request()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => tries.pause(&self.client, what, error).await?,
            }
        }
    }
}

/// The tries of one request; the same code for all kinds of answers.
struct Tries {
    pauses: ExponentialBackoff,
    /// The API server was ready when it last refused.
    was_ready: bool,
}

impl Tries {
    fn new(deadline: Duration) -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(10))
            .with_total_delay(Some(deadline))
            .without_max_times()
            .with_jitter()
            .build();
        Self { pauses, was_ready: false }
    }

    /// Waits for the next try; an error: there is none. A refusal is believed of an API server that was ready before it, and not of
    /// one that has just started.
    async fn pause(&mut self, client: &Client, what: &str, mut error: RunError) -> Result<(), RunError> {
        if error.code() == Some(403) && !std::mem::replace(&mut self.was_ready, is_ready(client).await) {
            error = RunError::NotReady { what: what.to_owned() };
        }
        let pause = if error.is_transient() { self.pauses.next() } else { None };
        let Some(pause) = pause else { return Err(error) };
        tracing::debug!(error = %with_causes(&error), ?pause, what, "asking again");
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// Whether the API server says that it has read all it needs. One that has just started knows no rights, and answers 403 to everybody.
pub(crate) async fn is_ready(client: &Client) -> bool {
    let Ok(request) = http::Request::get("/readyz").body(Body::empty()) else { return false };
    match tokio::time::timeout(READY_WITHIN, client.send(request)).await {
        // One that has no such page, or does not show it, says nothing against it.
        Ok(Ok(answer)) => !answer.status().is_server_error(),
        Ok(Err(_)) | Err(_) => false,
    }
}

const READY_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::{collections::VecDeque, convert::Infallible, sync::Mutex};

    /// A cluster whose API server answers so: to the request, and to who asks whether it is ready. The last answer stays.
    fn cluster(answers: &[u16], ready: &[u16]) -> (Cluster, Arc<Mutex<usize>>) {
        let script = Arc::new(Mutex::new([VecDeque::from(answers.to_vec()), VecDeque::from(ready.to_vec())]));
        let asked = Arc::new(Mutex::new(0));
        let count = Arc::clone(&asked);
        let server = tower::service_fn(move |request: http::Request<Body>| {
            let is_ready = request.uri().path() == "/readyz";
            let mut script = script.lock().unwrap();
            let left = &mut script[usize::from(is_ready)];
            let code = if left.len() > 1 { left.pop_front() } else { left.front().copied() }.unwrap();
            *count.lock().unwrap() += usize::from(!is_ready);
            let body = json!({"status": "Failure", "code": code, "message": "", "reason": ""}).to_string();
            let answer = http::Response::builder().status(code).body(Body::from(body.into_bytes())).unwrap();
            async { Ok::<_, Infallible>(answer) }
        });
        let Settings { request_timeout, answer_deadline, .. } = Settings::default();
        let client = Client::new(server, "default");
        (Cluster { client, requests: Arc::default(), request_timeout, answer_deadline }, asked)
    }

    async fn ask(cluster: &Cluster) -> Result<String, RunError> {
        let client = cluster.client();
        let request = || http::Request::get("/version").body(Vec::new()).unwrap();
        cluster.until_answered("ask", || client.request_text(request())).await
    }

    #[tokio::test]
    async fn what_a_server_refuses_that_has_just_started_is_asked_again() {
        let (cluster, asked) = cluster(&[403, 403, 200], &[500, 200]);
        ask(&cluster).await.unwrap();
        assert_eq!(*asked.lock().unwrap(), 3);
    }

    #[tokio::test]
    async fn a_refusal_is_believed_of_a_server_that_was_ready_before_it() {
        let (cluster, asked) = cluster(&[403], &[200]);
        let error = ask(&cluster).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), (Some(403), false));
        assert_eq!(*asked.lock().unwrap(), 2, "once more, since it may have become ready a moment before");
    }
}
