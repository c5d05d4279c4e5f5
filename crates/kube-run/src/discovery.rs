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
    hash::{DefaultHasher, Hash, Hasher},
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

/// Jobs of a page of a listing: one page is held, with all that its field managers say.
const PAGE: u32 = 250;
/// Templates of a listing that are read at the same time; so many are held.
const AT_ONCE: usize = 16;

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
    let config =
        watcher::Config::default().page_size(PAGE).timeout(u32::try_from(timeout.as_secs()).unwrap_or(240));
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
    /// Named, and not read yet.
    unread: Vec<(HookPath, Version)>,
}

/// What would make a second GET worth it (uid, generation, the contract's annotations), as one number: of ten thousand
/// templates no more is held.
type Version = u64;

/// What a Job's metadata asks for.
enum Look {
    /// It is a template, and new or changed.
    Read(HookPath, Version),
    /// It is no template.
    Gone(HookPath),
    /// It is known.
    Nothing,
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
                self.scopes[scope].unread.clear();
                Vec::new()
            }
            Event::InitApply(job) => {
                let path = path_of(&job.metadata).filter(|_| self.is_candidate(&job.metadata));
                self.scopes[scope].named.extend(path);
                match self.look(&job.metadata) {
                    Look::Read(path, version) => self.scopes[scope].unread.push((path, version)),
                    Look::Gone(path) => return self.gone(path),
                    Look::Nothing => {}
                }
                if self.scopes[scope].unread.len() < AT_ONCE {
                    Vec::new()
                } else {
                    self.read_listed(scope).await
                }
            }
            Event::InitDone => {
                let mut out = self.read_listed(scope).await;
                out.extend(self.listed(scope));
                out
            }
            Event::Apply(job) => self.applied(scope, &job.metadata).await,
            Event::Delete(job) => path_of(&job.metadata).map_or_else(Vec::new, |path| self.gone(path)),
        }
    }

    fn is_candidate(&self, metadata: &ObjectMeta) -> bool {
        is_template(metadata.labels.as_ref(), metadata.annotations.as_ref(), &self.domains)
    }

    fn version(&self, metadata: &ObjectMeta) -> Version {
        let mut hasher = DefaultHasher::new();
        (&metadata.uid, metadata.generation).hash(&mut hasher);
        let all = metadata.annotations.iter().flatten();
        all.filter(|(key, _)| self.domains.contract_key(key).is_some()).for_each(|one| one.hash(&mut hasher));
        hasher.finish()
    }

    async fn applied(&mut self, scope: usize, metadata: &ObjectMeta) -> Vec<Discovered> {
        match self.look(metadata) {
            Look::Read(path, version) => self.read_all(scope, vec![(path, version)]).await,
            Look::Gone(path) => self.gone(path),
            Look::Nothing => Vec::new(),
        }
    }

    /// What its metadata says about a Job.
    fn look(&self, metadata: &ObjectMeta) -> Look {
        let Some(path) = path_of(metadata) else { return Look::Nothing };
        if !self.is_candidate(metadata) {
            return Look::Gone(path);
        }
        let version = self.version(metadata);
        if self.known.get(&path).is_some_and(|(_, known)| *known == version) {
            return Look::Nothing;
        }
        Look::Read(path, version)
    }

    async fn read_listed(&mut self, scope: usize) -> Vec<Discovered> {
        let unread = std::mem::take(&mut self.scopes[scope].unread);
        self.read_all(scope, unread).await
    }

    async fn read_all(&mut self, scope: usize, unread: Vec<(HookPath, Version)>) -> Vec<Discovered> {
        let state = &*self;
        let answers: Vec<_> = stream::iter(unread)
            .map(|(path, version)| async move {
                let answer = state.read(&path).await;
                (path, version, answer)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let mut out = Vec::new();
        for (path, version, answer) in answers {
            match answer {
                Ok(Some(manifest)) => {
                    self.known.insert(path.clone(), (scope, version));
                    out.push(Discovered::Present { path, manifest });
                }
                // The watch will say that it is gone.
                Ok(None) => {}
                Err(error) => {
                    self.known.insert(path.clone(), (scope, version));
                    let why = error.server_message().map_or_else(|| error.to_string(), ToOwned::to_owned);
                    out.push(Discovered::Unreadable { path, why });
                }
            }
        }
        out
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
