//! Runs attempts as Pods and Jobs in the teams' namespaces: the door of `kube-run` in the agent's words.
//!
//! It must never judge a status (`kube-run` does), and never keep anything that a restart would miss.

use super::{Executor, ExecutorError, Found, KnownAttempt, Sink, StartError, StartRequest, TemplateEvent};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use std::sync::Arc;
use tenantry_hook::{AnnotationDomains, RegionPolicy, build};
use tenantry_kube_run::{
    Cluster, Connection, CreateError, Discovered, Drained, Known, Observer, RunError, Runner, Scope,
    Settings, Settled, discover,
};
use tenantry_model::{AttemptId, Fact, KillCause, Namespace, Outcome, Problem};

/// What the Kubernetes executor has to be told.
#[derive(Clone, Debug)]
pub struct KubernetesConfig {
    /// Which API server, as whom.
    pub connection: Connection,
    /// Where templates are looked for.
    pub scope: Scope,
    /// Under which prefixes annotations count.
    pub domains: AnnotationDomains,
    /// What the region lets its hooks do.
    pub policy: RegionPolicy,
    /// Limits and tolerances.
    pub settings: Settings,
}

/// The executor of a region that is a cluster.
pub struct KubernetesExecutor {
    runner: Runner,
    config: KubernetesConfig,
}

impl KubernetesExecutor {
    /// Prepares the connection. An API server that is out of reach is waited for later, not here.
    pub async fn new(config: KubernetesConfig) -> Result<Self, ExecutorError> {
        let cluster = Cluster::connect(&config.connection, &config.settings).await.map_err(asked)?;
        Ok(Self { runner: Runner::new(cluster, config.settings.clone()), config })
    }

    /// Before uninstalling: lets go of every attempt in these namespaces, whatever it does.
    pub async fn drain(&self, namespaces: &[Namespace]) -> Result<Drained, ExecutorError> {
        self.runner.drain(namespaces).await.map_err(asked)
    }
}

#[async_trait]
impl Executor for KubernetesExecutor {
    fn kind(&self) -> tenantry_model::Executor {
        tenantry_model::Executor::Kubernetes
    }

    fn watch_templates(&self) -> BoxStream<'static, TemplateEvent> {
        let runner = self.runner.clone();
        let config = &self.config;
        discover(self.runner.cluster().clone(), &config.scope, config.domains.clone(), &config.settings)
            .map(move |seen| {
                if let Discovered::Present { path, .. } = &seen {
                    // A namespace with a hook will have an attempt: its watch saves the first one a listing.
                    runner.warm(&path.namespace);
                }
                template_event(seen)
            })
            .boxed()
    }

    async fn start(&self, start: StartRequest, sink: Arc<dyn Sink>) -> Result<(), StartError> {
        let StartRequest { request, hook, template, earlier_try } = start;
        let objects = build(&template, &hook, &request, &self.config.policy).map_err(|refusal| {
            StartError::Refused(Box::new(Outcome {
                reason: Some(refusal.reason),
                exit_code: None,
                message: refusal.to_string().chars().take(1000).collect(),
                outputs: std::collections::BTreeMap::new(),
            }))
        })?;
        let known =
            Known { attempt: request.attempt, nonce: request.nonce, log_from: 0, start_tried: earlier_try };
        match self.runner.start(&known, &objects, Arc::new(Told(sink))).await {
            Ok(_) => Ok(()),
            Err(CreateError::Refused(outcome)) => Err(StartError::Refused(outcome)),
            Err(CreateError::Unanswered(error)) => Err(StartError::Unanswered(asked(error))),
        }
    }

    async fn find(&self, attempt: KnownAttempt, sink: Arc<dyn Sink>) -> Result<Found, ExecutorError> {
        let found = self.runner.find(&known(&attempt), Arc::new(Told(sink))).await;
        found.map(told).map_err(asked)
    }

    async fn kill(&self, attempt: &KnownAttempt, cause: KillCause) -> Result<Found, ExecutorError> {
        if never_heard_of(attempt) {
            return Ok(Found::Absent);
        }
        self.runner.kill(&known(attempt), cause).await.map(told).map_err(asked)
    }

    async fn release(&self, attempt: &KnownAttempt) -> Result<(), ExecutorError> {
        if never_heard_of(attempt) {
            return Ok(());
        }
        self.runner.release(&known(attempt)).await.map_err(asked)
    }
}

/// Without a nonce no object could be told to be this attempt's.
fn never_heard_of(attempt: &KnownAttempt) -> bool {
    !attempt.start_tried && attempt.nonce.is_nil()
}

fn known(attempt: &KnownAttempt) -> Known {
    Known {
        attempt: attempt.attempt.clone(),
        nonce: attempt.nonce,
        log_from: attempt.log_from,
        start_tried: attempt.start_tried,
    }
}

fn told(settled: Settled) -> Found {
    match settled {
        Settled::Here => Found::Here,
        Settled::Absent => Found::Absent,
    }
}

fn asked(error: RunError) -> ExecutorError {
    match error {
        RunError::NotSettled { retry_in } => ExecutorError::NotSettled { retry_in },
        other => ExecutorError::platform("the cluster did not do what it was asked", other),
    }
}

fn template_event(seen: Discovered) -> TemplateEvent {
    match seen {
        Discovered::Begin => TemplateEvent::Begin,
        Discovered::Present { path, manifest } => TemplateEvent::Present { path, manifest },
        Discovered::Unreadable { path, why } => TemplateEvent::Unreadable {
            path,
            problems: vec![Problem {
                code: "unreadable".to_owned(),
                pointer: String::new(),
                message: format!("the API server does not show the Job: {why}"),
                remedy: "give the agent's service account the right to get jobs.batch in this namespace"
                    .to_owned(),
            }],
        },
        Discovered::Absent { path } => TemplateEvent::Absent { path },
        Discovered::Complete => TemplateEvent::Complete,
    }
}

/// Carries what `kube-run` sees to the agent's sink.
struct Told(Arc<dyn Sink>);

#[async_trait]
impl Observer for Told {
    async fn fact(&self, attempt: &AttemptId, fact: Fact) {
        self.0.fact(attempt, fact).await;
    }
    async fn log(&self, attempt: &AttemptId, offset: u64, bytes: Bytes) {
        self.0.log(attempt, offset, bytes).await;
    }
    async fn log_end(&self, attempt: &AttemptId, offset: u64) {
        self.0.log_end(attempt, offset).await;
    }
}
