//! The door: start, find, kill, release attempts of one cluster.
//!
//! Every call may be repeated, also by another life of the process: the second one changes nothing. It must never start
//! an attempt because an earlier one is missing.

use crate::{
    Cluster, CreateError, Ending, Observer, RunError, Settings, View, apply,
    follow::{Follower, end_objects},
    namespace::NamespaceWatch,
    watches::Watches,
};
use k8s_openapi::{
    Metadata,
    api::{batch::v1::Job, core::v1::Pod},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tenantry_hook::{AttemptObjects, Workload, attempt_identity, attempt_name};
use tenantry_model::{AttemptId, FailureReason, KillCause, Namespace, TemplateHash};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// An attempt that may exist in this cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Which.
    pub attempt: AttemptId,
    /// An object of the same name with another nonce is not this attempt.
    pub nonce: Uuid,
    /// The log is wanted from this byte on.
    pub log_from: u64,
    /// A create was tried (for a start: before this one), perhaps unanswered, perhaps by an earlier life of this process.
    pub start_tried: bool,
}

impl Known {
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.attempt.step.namespace
    }
    pub(crate) fn name(&self) -> String {
        attempt_name(&self.attempt)
    }
}

/// What a start came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The object was made now.
    New,
    /// It was there from an earlier, unanswered try.
    Found,
}

/// Whether an attempt is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is; facts follow.
    Here,
    /// It is not, and (for a kill) nothing of it can still appear.
    Absent,
}

/// Runs attempts in one cluster. Cheap to clone; ends its watches and followers when the last clone is dropped.
#[derive(Clone)]
pub struct Runner {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) cluster: Cluster,
    pub(crate) settings: Settings,
    pub(crate) watches: Mutex<Watches>,
    followers: Mutex<HashMap<AttemptId, JoinHandle<()>>>,
    /// The last create of an attempt that nobody answered: it may still land.
    unanswered: Mutex<HashMap<AttemptId, Instant>>,
    born: Instant,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for (_, task) in lock(&self.followers).drain() {
            task.abort();
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Runner {
    /// Begins; nothing is sent before the first call. Needs a tokio runtime.
    #[must_use]
    pub fn new(cluster: Cluster, settings: Settings) -> Self {
        let inner = Arc::new(Inner {
            cluster,
            settings,
            watches: Mutex::default(),
            followers: Mutex::default(),
            unanswered: Mutex::default(),
            born: Instant::now(),
        });
        tokio::spawn(crate::cleanup::sweep_for_ever(Arc::downgrade(&inner)));
        Self { inner }
    }

    /// The cluster it runs attempts in.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.inner.cluster
    }

    /// Attempts may come into this namespace: its watch is opened before the first one needs it, which saves that one a listing,
    /// if not too many are open; and what an earlier life left there will be cleaned up.
    pub fn warm(&self, namespace: &Namespace) {
        let mut watches = lock(&self.inner.watches);
        if watches.count() < self.inner.settings.idle_watches {
            drop(watches.get(namespace, || self.inner.open(namespace)));
        } else {
            watches.know(namespace);
        }
    }

    /// How many namespaces are watched now.
    #[must_use]
    pub fn watched(&self) -> usize {
        lock(&self.inner.watches).count()
    }

    /// Creates the attempt's objects, or finds them, and follows the attempt from then on: facts and log go to
    /// `observer` until it has ended. The `ConfigMap` comes first: a Pod that has to wait for it would wait a minute.
    pub async fn start(
        &self,
        known: &Known,
        objects: &AttemptObjects,
        observer: Arc<dyn Observer>,
    ) -> Result<Created, CreateError> {
        let identity = match &objects.workload {
            Workload::Pod(pod) => attempt_identity(pod.metadata()),
            Workload::Job(job) => attempt_identity(job.metadata()),
        };
        let hash = identity.map_or_else(|| TemplateHash(String::new()), |identity| identity.template_hash);
        let watch = self.inner.namespace(known.namespace());
        match self.create(known, objects, &hash).await {
            Ok(made) => {
                lock(&self.inner.unanswered).remove(&known.attempt);
                self.follow(known, watch, observer);
                Ok(match made {
                    apply::Made::New => Created::New,
                    apply::Made::Found => Created::Found,
                })
            }
            Err(CreateError::Unanswered(error)) => {
                lock(&self.inner.unanswered).insert(known.attempt.clone(), Instant::now());
                // It may have landed: then the watch sees it, whatever the caller does next.
                self.follow(known, watch, observer);
                Err(CreateError::Unanswered(error))
            }
            Err(CreateError::Refused(outcome)) => {
                // A name collision is settled by what stands there. Any other refusal is the answer to *this* create:
                // an earlier unanswered one may still land.
                let collision = outcome.reason == Some(FailureReason::NameCollision);
                if let Some(retry_in) = self.unsettled(&known.attempt).filter(|_| !collision) {
                    return Err(CreateError::Unanswered(RunError::NotSettled { retry_in }));
                }
                self.unfollow(&known.attempt);
                Err(CreateError::Refused(outcome))
            }
        }
    }

    async fn create(
        &self,
        known: &Known,
        objects: &AttemptObjects,
        hash: &TemplateHash,
    ) -> Result<apply::Made, CreateError> {
        let cluster = &self.inner.cluster;
        let namespace = known.namespace();
        if let Some(config_map) = &objects.config_map {
            apply::create(cluster, namespace, config_map, known.nonce, hash, known.start_tried).await?;
        }
        let made = match &objects.workload {
            Workload::Pod(pod) => {
                apply::create(cluster, namespace, &**pod, known.nonce, hash, known.start_tried).await
            }
            Workload::Job(job) => {
                apply::create(cluster, namespace, &**job, known.nonce, hash, known.start_tried).await
            }
        };
        Ok(made?)
    }

    /// Looks for an attempt of an earlier life and follows it. One that has ended is told again.
    pub async fn find(&self, known: &Known, observer: Arc<dyn Observer>) -> Result<Settled, RunError> {
        if self.is_followed(&known.attempt) {
            return Ok(Settled::Here);
        }
        let watch = self.inner.namespace(known.namespace());
        let here = self.look(known).await?.is_some();
        if here {
            self.follow(known, watch, observer);
        }
        Ok(if here { Settled::Here } else { Settled::Absent })
    }

    /// Looks for an attempt that is not to be started (any more), and follows it if it is there. Absent: nothing of it can
    /// still appear.
    pub async fn settle(&self, known: &Known, observer: Arc<dyn Observer>) -> Result<Settled, RunError> {
        let watch = self.inner.namespace(known.namespace());
        if self.look(known).await?.is_some() {
            self.follow(known, watch, observer);
            return Ok(Settled::Here);
        }
        if let Some(retry_in) = self.unsettled_life(&known.attempt).filter(|_| known.start_tried) {
            return Err(RunError::NotSettled { retry_in });
        }
        self.unfollow(&known.attempt);
        Ok(Settled::Absent)
    }

    /// As [`Runner::find`], but one that is followed is followed anew: its log from `log_from` on and its facts are told
    /// again, for an observer that could not keep them.
    pub async fn find_again(&self, known: &Known, observer: Arc<dyn Observer>) -> Result<Settled, RunError> {
        if let Some(task) = lock(&self.inner.followers).remove(&known.attempt) {
            task.abort();
        }
        self.find(known, observer).await
    }

    /// Ends it: marks why, deletes with the author's grace; the end comes as a fact. Never forces: what the kubelet
    /// has not confirmed is not over.
    pub async fn kill(&self, known: &Known, cause: KillCause) -> Result<Settled, RunError> {
        match self.look(known).await? {
            Some(view) => {
                let ending = Ending::Kill(cause);
                end_objects(
                    &self.inner.cluster,
                    known.namespace(),
                    &view,
                    ending,
                    &format!("ended by tenantry ({})", ending.as_str()),
                )
                .await?;
                Ok(Settled::Here)
            }
            None if !known.start_tried => Ok(Settled::Absent),
            None => {
                if let Some(retry_in) = self.unsettled_life(&known.attempt) {
                    return Err(RunError::NotSettled { retry_in });
                }
                self.unfollow(&known.attempt);
                Ok(Settled::Absent)
            }
        }
    }

    /// Waits until the namespace's watch is complete and looks; what the watch does not show is asked for, because a
    /// watch may lag. `None`: it is not there, or what is there is somebody else's.
    pub(crate) async fn look(&self, known: &Known) -> Result<Option<View>, RunError> {
        let name = known.name();
        let watch = self.inner.namespace(known.namespace());
        let deadline = self.inner.settings.answer_deadline;
        tokio::time::timeout(deadline, watch.listed()).await.map_err(|_| RunError::Timeout {
            what: format!("list the attempts of namespace {}", known.namespace()),
            after: deadline,
        })?;
        if let Some(view) = watch.view(&name).map(|view| view.only(known.nonce))
            && view.main().is_some()
        {
            return Ok(Some(view));
        }
        let cluster = &self.inner.cluster;
        let namespace = known.namespace();
        let mut view = View::default();
        let what = format!("look for attempt {namespace}/{name}");
        let pods = cluster.namespaced::<Pod>(namespace);
        if let Some(pod) = cluster.until_answered(&what, || pods.get_opt(&name)).await? {
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            view.pods.insert(uid, crate::PodSeen::next(None, pod, false));
        }
        let jobs = cluster.namespaced::<Job>(namespace);
        if let Some(job) = cluster.until_answered(&what, || jobs.get_opt(&name)).await? {
            view.job = Some(crate::JobSeen { job: Arc::new(job), gone: false });
        }
        Ok(Some(view.only(known.nonce)).filter(|view| view.main().is_some()))
    }

    fn follow(&self, known: &Known, watch: Arc<NamespaceWatch>, observer: Arc<dyn Observer>) {
        let mut followers = lock(&self.inner.followers);
        if followers.get(&known.attempt).is_some_and(|task| !task.is_finished()) {
            return;
        }
        let follower = Follower {
            cluster: self.inner.cluster.clone(),
            settings: self.inner.settings.clone(),
            namespace: known.namespace().clone(),
            attempt: known.attempt.clone(),
            nonce: known.nonce,
            log_from: known.log_from,
            views: watch.subscribe(&known.name()),
            silent: watch.silent(),
            observer,
        };
        let run = async move {
            follower.run().await;
            // One that is held is not let go of.
            drop(watch);
        };
        followers.insert(known.attempt.clone(), tokio::spawn(run));
    }

    pub(crate) fn is_followed(&self, attempt: &AttemptId) -> bool {
        lock(&self.inner.followers).get(attempt).is_some_and(|task| !task.is_finished())
    }

    pub(crate) fn unfollow(&self, attempt: &AttemptId) {
        if let Some(task) = lock(&self.inner.followers).remove(attempt) {
            task.abort();
        }
        lock(&self.inner.unanswered).remove(attempt);
    }

    /// How long an unanswered create of this life may still land.
    fn unsettled(&self, attempt: &AttemptId) -> Option<Duration> {
        let asked = lock(&self.inner.unanswered).get(attempt).copied()?;
        self.inner.settings.create_settles_after.checked_sub(asked.elapsed()).filter(|left| !left.is_zero())
    }

    /// The same, when an earlier life may have asked up to its last moment.
    fn unsettled_life(&self, attempt: &AttemptId) -> Option<Duration> {
        let since_birth = self.inner.settings.create_settles_after.checked_sub(self.inner.born.elapsed());
        since_birth.into_iter().chain(self.unsettled(attempt)).max().filter(|left| !left.is_zero())
    }
}

impl Inner {
    /// The shared watch of a namespace; opened at the first use.
    pub(crate) fn namespace(&self, namespace: &Namespace) -> Arc<NamespaceWatch> {
        lock(&self.watches).get(namespace, || self.open(namespace))
    }

    pub(crate) fn open(&self, namespace: &Namespace) -> NamespaceWatch {
        NamespaceWatch::open(&self.cluster, namespace, &self.settings)
    }
}
