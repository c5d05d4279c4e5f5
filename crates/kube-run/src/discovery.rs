//! Finds templates: a metadata watch names candidates, and one GET reads each that changed.
//!
//! A thousand Jobs that are no hooks cost nothing but their metadata. A template's identity is its name; its uid only
//! says that it may have changed (Argo CD replaces templates at will). It must never judge what a template says.

use crate::{Cluster, RunError, Settings, namespace::pauses};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api,
    api::DynamicObject,
    core::{ApiResource, ObjectMeta, PartialObjectMeta},
    runtime::watcher::{self, Event, watcher},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tenantry_hook::{AnnotationDomains, LABEL_ATTEMPT, is_candidate};
use tenantry_model::{HookPath, Namespace, with_causes};

/// Where templates are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In the whole cluster.
    Cluster,
    /// In these namespaces alone.
    Namespaces(BTreeSet<Namespace>),
}

/// What discovery saw. The first listing of all scopes lies between `Begin` and `Complete`; what it does not name is
/// absent. After a watch had to be listed anew, only what differs is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Discovered {
    /// The listing of everything begins.
    Begin,
    /// It is there, or has changed: the Job as JSON as stored.
    Present {
        /// Which.
        path: HookPath,
        /// The Job.
        manifest: Value,
    },
    /// It is there, and the API server refuses to show it.
    Unreadable {
        /// Which.
        path: HookPath,
        /// Why.
        why: String,
    },
    /// It is gone, or is no candidate any more.
    Absent {
        /// Which.
        path: HookPath,
    },
    /// The listing is complete.
    Complete,
}

type Metadata = PartialObjectMeta<Job>;

/// Watches for ever. Ends only when the stream is dropped.
#[must_use]
pub fn discover(
    cluster: Cluster,
    scope: &Scope,
    domains: AnnotationDomains,
    settings: &Settings,
) -> BoxStream<'static, Discovered> {
    let apis: Vec<Api<Metadata>> = match scope {
        Scope::Cluster => vec![Api::all(cluster.client())],
        Scope::Namespaces(names) => {
            names.iter().map(|name| Api::namespaced(cluster.client(), name.as_str())).collect()
        }
    };
    let scopes = apis.len();
    let events = stream::select_all(
        apis.into_iter().enumerate().map(|(scope, api)| scope_events(scope, api, settings.watch_timeout)),
    );
    let state = State { cluster, domains, scopes: vec![Listing::default(); scopes], known: BTreeMap::new() };
    if scopes == 0 {
        return stream::iter([Discovered::Begin, Discovered::Complete]).chain(stream::pending()).boxed();
    }
    let rest = stream::unfold((events, state), |(mut events, mut state)| async move {
        let (scope, event) = events.next().await?;
        let out = state.take(scope, event).await;
        Some((stream::iter(out), (events, state)))
    });
    stream::iter([Discovered::Begin]).chain(rest.flatten()).boxed()
}

/// One scope's watch, opened again for ever.
fn scope_events(
    scope: usize,
    api: Api<Metadata>,
    timeout: Duration,
) -> BoxStream<'static, (usize, Event<Metadata>)> {
    let config = watcher::Config::default().timeout(u32::try_from(timeout.as_secs()).unwrap_or(240));
    let events = watcher(api, config).boxed();
    stream::unfold((events, pauses_boxed()), move |(mut events, mut wait)| async move {
        loop {
            match events.next().await? {
                Ok(event) => return Some(((scope, event), (events, pauses_boxed()))),
                Err(error) => {
                    tracing::warn!(error = %with_causes(&error), "the watch of the templates broke; it is opened again");
                    tokio::time::sleep(wait.next().unwrap_or(Duration::from_secs(5))).await;
                }
            }
        }
    })
    .boxed()
}

fn pauses_boxed() -> Box<dyn Iterator<Item = Duration> + Send> {
    Box::new(pauses())
}

/// A listing of one scope.
#[derive(Clone, Debug, Default)]
struct Listing {
    done_once: bool,
    named: BTreeSet<HookPath>,
}

/// What would make a second GET worth it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    uid: Option<String>,
    generation: Option<i64>,
    contract: BTreeMap<String, String>,
}

struct State {
    cluster: Cluster,
    domains: AnnotationDomains,
    scopes: Vec<Listing>,
    known: BTreeMap<HookPath, (usize, Version)>,
}

impl State {
    async fn take(&mut self, scope: usize, event: Event<Metadata>) -> Vec<Discovered> {
        match event {
            Event::Init => {
                self.scopes[scope].named.clear();
                Vec::new()
            }
            Event::InitApply(job) => {
                let path = path_of(&job.metadata).filter(|_| self.is_candidate(&job.metadata));
                self.scopes[scope].named.extend(path);
                self.applied(scope, &job.metadata).await
            }
            Event::InitDone => self.listed(scope),
            Event::Apply(job) => self.applied(scope, &job.metadata).await,
            Event::Delete(job) => path_of(&job.metadata).map_or_else(Vec::new, |path| self.gone(path)),
        }
    }

    fn is_candidate(&self, metadata: &ObjectMeta) -> bool {
        is_template(metadata.labels.as_ref(), metadata.annotations.as_ref(), &self.domains)
    }

    fn contract(&self, metadata: &ObjectMeta) -> BTreeMap<String, String> {
        let all = metadata.annotations.iter().flatten();
        all.filter(|(key, _)| self.domains.contract_key(key).is_some())
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    async fn applied(&mut self, scope: usize, metadata: &ObjectMeta) -> Vec<Discovered> {
        let Some(path) = path_of(metadata) else { return Vec::new() };
        if !self.is_candidate(metadata) {
            return self.gone(path);
        }
        let version = Version {
            uid: metadata.uid.clone(),
            generation: metadata.generation,
            contract: self.contract(metadata),
        };
        if self.known.get(&path).is_some_and(|(_, known)| *known == version) {
            return Vec::new();
        }
        match self.read(&path).await {
            Ok(Some(manifest)) => {
                self.known.insert(path.clone(), (scope, version));
                vec![Discovered::Present { path, manifest }]
            }
            // The watch will say that it is gone.
            Ok(None) => Vec::new(),
            Err(error) => {
                self.known.insert(path.clone(), (scope, version));
                let why = error.server_message().map_or_else(|| error.to_string(), ToOwned::to_owned);
                vec![Discovered::Unreadable { path, why }]
            }
        }
    }

    /// Asks until there is an answer: a template that is left out of a listing would count as absent.
    async fn read(&self, path: &HookPath) -> Result<Option<Value>, RunError> {
        loop {
            match self.read_once(path).await {
                Err(error) if error.is_transient() => {
                    tracing::warn!(%path, error = %with_causes(&error), "cannot read a template; it is read again");
                }
                answer => return answer,
            }
        }
    }

    async fn read_once(&self, path: &HookPath) -> Result<Option<Value>, RunError> {
        read_template(&self.cluster, path).await
    }

    fn gone(&mut self, path: HookPath) -> Vec<Discovered> {
        match self.known.remove(&path) {
            Some(_) => vec![Discovered::Absent { path }],
            None => Vec::new(),
        }
    }

    /// A scope's listing has ended. The first listing of the last scope completes the whole; later ones (after
    /// 410 Gone) only name what went away meanwhile.
    fn listed(&mut self, scope: usize) -> Vec<Discovered> {
        let named = std::mem::take(&mut self.scopes[scope].named);
        let lost: Vec<HookPath> = self
            .known
            .iter()
            .filter(|(path, (of, _))| *of == scope && !named.contains(*path))
            .map(|(path, _)| path.clone())
            .collect();
        let first = !self.scopes[scope].done_once;
        self.scopes[scope].done_once = true;
        let mut out: Vec<Discovered> = lost.into_iter().flat_map(|path| self.gone(path)).collect();
        if first && self.scopes.iter().all(|listing| listing.done_once) {
            out.push(Discovered::Complete);
        }
        out
    }
}

/// Reads one Job as stored (a typed one has already lost the fields that it does not know). `None`: it is not there.
pub async fn read_template(cluster: &Cluster, path: &HookPath) -> Result<Option<Value>, RunError> {
    let jobs: Api<DynamicObject> =
        Api::namespaced_with(cluster.client(), path.namespace.as_str(), &ApiResource::erase::<Job>(&()));
    let what = format!("read template {path}");
    let job = cluster.until_answered(&what, || jobs.get_opt(path.name.as_str())).await?;
    Ok(job.and_then(|mut job| {
        job.metadata.managed_fields = None;
        serde_json::to_value(job).ok()
    }))
}

/// An attempt's own Job carries our label and is never a template.
pub(crate) fn is_template(
    labels: Option<&BTreeMap<String, String>>,
    annotations: Option<&BTreeMap<String, String>>,
    domains: &AnnotationDomains,
) -> bool {
    !labels.is_some_and(|labels| labels.contains_key(LABEL_ATTEMPT))
        && annotations.is_some_and(|annotations| is_candidate(annotations, domains))
}

fn path_of(metadata: &ObjectMeta) -> Option<HookPath> {
    Some(HookPath {
        namespace: metadata.namespace.as_deref()?.parse().ok()?,
        name: metadata.name.as_deref()?.parse().ok()?,
    })
}
