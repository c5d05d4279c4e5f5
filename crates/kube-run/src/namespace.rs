//! One shared watch of the attempts' Pods and Jobs in one namespace; every attempt listens to its own name.
//!
//! A hundred attempts cost one watch, not a hundred, and no polling. Per namespace, because that is where the agent's
//! rights are (invariant 9). It must never judge what it sees.

use crate::{
    Cluster, JobSeen, PodSeen, Settings, View,
    client::is_ready,
    view::{job_of, trim},
};
use backon::{BackoffBuilder, ExponentialBuilder};
use futures::{StreamExt, pin_mut};
use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::runtime::watcher::{self, Event, watcher};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tenantry_model::{Namespace, with_causes};
use tokio::{sync::watch, task::AbortHandle};

/// The watch of one namespace. Ends when it is dropped.
pub(crate) struct NamespaceWatch {
    store: Arc<Store>,
    tasks: [AbortHandle; 2],
}

#[derive(Default)]
struct Store {
    views: Mutex<HashMap<String, watch::Sender<View>>>,
    pods_listed: watch::Sender<bool>,
    jobs_listed: watch::Sender<bool>,
    /// The API server's words, while we may not watch.
    forbidden: watch::Sender<Option<String>>,
    /// Since when the API server has not answered; what is in `views` may be old.
    silent: watch::Sender<Option<Timestamp>>,
}

impl NamespaceWatch {
    pub(crate) fn open(cluster: &Cluster, namespace: &Namespace, settings: &Settings) -> Self {
        let store = Arc::new(Store::default());
        let pods = tokio::spawn(watch_kind::<Pod>(
            cluster.namespaced(namespace),
            store.clone(),
            namespace.clone(),
            settings.clone(),
        ));
        let jobs = tokio::spawn(watch_kind::<Job>(
            cluster.namespaced(namespace),
            store.clone(),
            namespace.clone(),
            settings.clone(),
        ));
        Self { store, tasks: [pods.abort_handle(), jobs.abort_handle()] }
    }

    /// Waits until everything there is has been listed once.
    pub(crate) async fn listed(&self) {
        for listed in [&self.store.pods_listed, &self.store.jobs_listed] {
            // The sender lives in the store that `self` holds: it cannot close.
            drop(listed.subscribe().wait_for(|listed| *listed).await);
        }
    }

    /// Everything there is has been listed once.
    pub(crate) fn is_listed(&self) -> bool {
        *self.store.pods_listed.borrow() && *self.store.jobs_listed.borrow()
    }

    /// We may not watch here, as far as is known.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.store.forbidden.borrow().is_some()
    }

    /// Nothing of any attempt is here.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_listed() && self.store.views().values().all(|view| view.borrow().is_gone())
    }

    /// Waits until we may not watch here: the API server's words.
    pub(crate) async fn forbidden(&self) -> String {
        let mut forbidden = self.store.forbidden.subscribe();
        let words = forbidden.wait_for(Option::is_some).await;
        // The sender lives in the store that `self` holds: it cannot close.
        words.ok().and_then(|words| words.clone()).unwrap_or_default()
    }

    /// Listens to one attempt's name.
    pub(crate) fn subscribe(&self, name: &str) -> watch::Receiver<View> {
        self.store.views().entry(name.to_owned()).or_default().subscribe()
    }

    /// Listens to whether the API server answers: since when it does not.
    pub(crate) fn silent(&self) -> watch::Receiver<Option<Timestamp>> {
        self.store.silent.subscribe()
    }

    /// What is seen under one attempt's name.
    pub(crate) fn view(&self, name: &str) -> Option<View> {
        self.store.views().get(name).map(|view| view.borrow().clone())
    }

    /// Everything that is seen.
    pub(crate) fn all(&self) -> BTreeMap<String, View> {
        self.store.views().iter().map(|(name, view)| (name.clone(), view.borrow().clone())).collect()
    }

    /// Nobody listens any more: lets go of what is gone.
    pub(crate) fn forget_gone(&self) {
        self.store.views().retain(|_, view| view.receiver_count() > 0 || !view.borrow().is_gone());
    }
}

impl Drop for NamespaceWatch {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Store {
    fn views(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<View>>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put<K: Watched>(&self, mut object: K, gone: bool) -> Option<String> {
        trim(object.meta_mut());
        let uid = object.meta().uid.clone()?;
        let name = object.attempt_name()?;
        let mut views = self.views();
        let entry = views.entry(name.clone()).or_default();
        entry.send_modify(|view| K::put(view, &uid, object, gone));
        if gone && entry.receiver_count() == 0 && entry.borrow().is_gone() {
            views.remove(&name);
        }
        Some(uid)
    }

    /// A listing has ended: what it did not name is gone.
    fn retain<K: Watched>(&self, uids: &BTreeSet<String>) {
        let mut views = self.views();
        for view in views.values() {
            view.send_if_modified(|view| K::mark_gone(view, uids));
        }
        views.retain(|_, view| view.receiver_count() > 0 || !view.borrow().is_gone());
    }
}

/// A kind of object that attempts are made of.
trait Watched:
    kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static
{
    fn attempt_name(&self) -> Option<String>;
    fn put(view: &mut View, uid: &str, object: Self, gone: bool);
    /// Marks what is not in `uids`; `true` when that changed anything.
    fn mark_gone(view: &mut View, uids: &BTreeSet<String>) -> bool;
    fn listed(store: &Store) -> &watch::Sender<bool>;
}

impl Watched for Pod {
    fn attempt_name(&self) -> Option<String> {
        job_of(&self.metadata).map(ToOwned::to_owned).or_else(|| self.metadata.name.clone())
    }
    fn put(view: &mut View, uid: &str, object: Self, gone: bool) {
        let next = PodSeen::next(view.pods.get(uid), object, gone);
        view.pods.insert(uid.to_owned(), next);
    }
    fn mark_gone(view: &mut View, uids: &BTreeSet<String>) -> bool {
        let missing = view.pods.iter_mut().filter(|(uid, seen)| !seen.gone && !uids.contains(*uid));
        missing.map(|(_, seen)| seen.gone = true).count() > 0
    }
    fn listed(store: &Store) -> &watch::Sender<bool> {
        &store.pods_listed
    }
}

impl Watched for Job {
    fn attempt_name(&self) -> Option<String> {
        self.metadata.name.clone()
    }
    fn put(view: &mut View, _uid: &str, object: Self, gone: bool) {
        view.job = Some(JobSeen { job: Arc::new(object), gone });
    }
    fn mark_gone(view: &mut View, uids: &BTreeSet<String>) -> bool {
        match &mut view.job {
            Some(seen) if !seen.gone && seen.job.metadata.uid.as_ref().is_none_or(|u| !uids.contains(u)) => {
                seen.gone = true;
                true
            }
            _ => false,
        }
    }
    fn listed(store: &Store) -> &watch::Sender<bool> {
        &store.jobs_listed
    }
}

/// Watches for ever: reconnects after errors with growing pauses, lists again after 410 Gone (the watcher does).
async fn watch_kind<K: Watched>(
    api: kube::Api<K>,
    store: Arc<Store>,
    namespace: Namespace,
    settings: Settings,
) {
    let config = watcher::Config::default()
        .labels(&settings.attempts)
        .timeout(u32::try_from(settings.watch_timeout.as_secs()).unwrap_or(240));
    let client = api.clone().into_client();
    let events = watcher(api, config);
    pin_mut!(events);
    let mut seen = BTreeSet::new();
    let mut pauses = pauses();
    let mut was_forbidden = false;
    let mut was_ready: Option<Instant> = None;
    let mut was_listed = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                pauses = self::pauses();
                store.forbidden.send_if_modified(|words| words.take().is_some());
                match event {
                    Event::Apply(object) => drop(store.put(object, false)),
                    Event::Delete(object) => drop(store.put(object, true)),
                    Event::Init => seen.clear(),
                    Event::InitApply(object) => seen.extend(store.put(object, false)),
                    Event::InitDone => {
                        store.retain::<K>(&seen);
                        if std::mem::replace(&mut was_listed, true) {
                            let (kind, objects) = (K::kind(&()), seen.len());
                            tracing::info!(%namespace, %kind, objects, "the attempts were listed again");
                        }
                        K::listed(&store).send_replace(true);
                    }
                }
            }
            Err(error) => {
                let kind = K::kind(&());
                let words = forbidden_words(&error);
                // An API server that has just started refuses everybody: one that was ready before it did is believed.
                let too_early = words.is_some() && was_ready.is_none_or(|at| at.elapsed() > LATELY);
                was_ready = is_ready(&client).await.then(Instant::now);
                let words = words.filter(|_| !too_early);
                let forbidden = words.is_some();
                store.forbidden.send_replace(words);
                // A team may not have let us in yet, and may never: said once.
                if too_early || forbidden && was_forbidden {
                    tracing::debug!(%namespace, %kind, error = %with_causes(&error), "the attempts may not be watched yet");
                } else {
                    tracing::warn!(%namespace, %kind, error = %with_causes(&error), "the watch of the attempts broke; it is opened again");
                }
                was_forbidden = forbidden;
                if !answers(&client).await {
                    store.silent.send_if_modified(|since| {
                        since.is_none() && since.replace(Timestamp::now()).is_none()
                    });
                }
                let pause = if forbidden { None } else { pauses.next() };
                tokio::time::sleep(pause.unwrap_or(WITHOUT_RIGHTS)).await;
                // A watch that was opened again may say nothing for minutes: the answer itself is the sign.
                if store.silent.borrow().is_some() && answers(&client).await {
                    store.silent.send_if_modified(|since| since.take().is_some());
                }
            }
        }
    }
}

/// Whether the API server answers at all, whatever it says.
async fn answers(client: &kube::Client) -> bool {
    match tokio::time::timeout(ANSWER_TIME, client.apiserver_version()).await {
        Ok(Ok(_) | Err(kube::Error::Api(_))) => true,
        Ok(Err(_)) | Err(_) => false,
    }
}

const ANSWER_TIME: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// An API server that was ready at a refusal in this time has not just started. Longer than the pause without rights.
const LATELY: Duration = Duration::from_mins(1);
/// A missing right comes by hand, not by itself.
const WITHOUT_RIGHTS: Duration = Duration::from_secs(30);

fn forbidden_words(error: &watcher::Error) -> Option<String> {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(source) | WatchStartFailed(source) | WatchFailed(source) => match source {
            kube::Error::Api(status) if status.code == 403 => Some(status.message.clone()),
            _ => None,
        },
        WatchError(status) => (status.code == 403).then(|| status.message.clone()),
        watcher::Error::NoResourceVersion => None,
    }
}

/// Between tries to open a watch again. Short at the end too: a restarted API server should not be waited for.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .with_jitter()
        .build()
}
