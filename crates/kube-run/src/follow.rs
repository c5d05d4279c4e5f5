//! One attempt from its creation to its proven end: a state machine that listens to the shared watch.
//!
//! It tells facts in the order in which they are seen, asks for what they call for (a Pod that can never start is
//! deleted), and holds back the end until the log is complete. It keeps nothing that a restart would miss: everything
//! is read from the objects again.

use crate::{
    Cluster, Ending, Settings, Verdict, View, Wait, WaitKind, apply, classify,
    classify::later,
    events::explain,
    log_pump::{LogPlan, LogPump},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tenantry_model::{AttemptId, Fact, Namespace, with_causes};
use tokio::{sync::watch, task::JoinHandle, time::Instant};
use uuid::Uuid;

/// Takes what is seen of an attempt. Calls about one attempt are made one after another (facts) and one after another
/// (log); the end of the log comes before the end as a fact, unless the log cannot be had in time.
#[async_trait]
pub trait Observer: Send + Sync + 'static {
    /// A fact, when it is seen.
    async fn fact(&self, attempt: &AttemptId, fact: Fact);
    /// Log bytes that begin at `offset`.
    async fn log(&self, attempt: &AttemptId, offset: u64, bytes: Bytes);
    /// The log ends at `offset`.
    async fn log_end(&self, attempt: &AttemptId, offset: u64);
}

/// Everything one follower needs.
pub(crate) struct Follower {
    pub cluster: Cluster,
    pub settings: Settings,
    pub namespace: Namespace,
    pub attempt: AttemptId,
    pub nonce: Uuid,
    pub log_from: u64,
    pub views: watch::Receiver<View>,
    /// Since when the API server has not answered.
    pub silent: watch::Receiver<Option<Timestamp>>,
    pub observer: Arc<dyn Observer>,
}

/// What a follower remembers from one look to the next.
#[derive(Default)]
struct Memory {
    told: Option<Fact>,
    wait: Option<Wait>,
    nodes: BTreeMap<String, crate::NodeSeen>,
    /// What is to be ended has not been explained since.
    unexplained: Option<Timestamp>,
    /// After a request that failed, or events that said nothing: not before.
    retry_at: Option<Timestamp>,
}

impl Follower {
    /// Runs until the attempt has ended and that was told.
    pub(crate) async fn run(mut self) {
        let mut memory = Memory::default();
        let mut log: Option<RunningLog> = None;
        loop {
            let mut view = self.views.borrow_and_update().only(self.nonce);
            view.nodes.clone_from(&memory.nodes);
            let container = view.identity().map(|identity| identity.container).unwrap_or_default();
            let now = Timestamp::now();
            let verdict = classify(&view, &container, memory.wait.as_ref(), &self.settings, now);
            memory.wait.clone_from(&verdict.wait);

            self.feed_log(&mut log, &verdict);
            if verdict.is_end() {
                self.end(log, verdict).await;
                return;
            }
            let (fact, mut look_again) = self.believed(verdict.fact.clone(), now);
            self.tell(&mut memory, fact).await;
            look_again = earliest(look_again, verdict.look_again);
            if memory.retry_at.is_none_or(|at| at <= now) {
                let again = self.act(&view, &verdict, &mut memory).await;
                memory.retry_at = again.and_then(|pause| Timestamp::now().checked_add(pause).ok());
            }
            look_again = earliest(look_again, memory.retry_at);
            if let Some(node) = &verdict.silent_node
                && self.look_at_node(&mut memory, node).await
            {
                continue;
            }
            if !self.wait(look_again).await {
                return;
            }
        }
    }

    /// What was seen last, as long as the API server answers; afterwards nothing is known (invariant 2). Also when to
    /// judge that again.
    fn believed(&mut self, seen: Option<Fact>, now: Timestamp) -> (Option<Fact>, Option<Timestamp>) {
        let Some(since) = *self.silent.borrow_and_update() else { return (seen, None) };
        let tolerance = SignedDuration::try_from(self.settings.api_server_tolerance).unwrap_or_default();
        match since.checked_add(tolerance) {
            Ok(until) if now < until => (seen, Some(until)),
            _ => (
                Some(Fact::Unknown { why: format!("the API server has not answered since {since:.0}") }),
                None,
            ),
        }
    }

    /// `false`: the watch is closed, the process ends.
    async fn wait(&mut self, until: Option<Timestamp>) -> bool {
        let mut silent = self.silent.clone();
        tokio::select! {
            open = self.wait_for_views(until) => open,
            changed = silent.changed() => changed.is_ok(),
        }
    }

    async fn wait_for_views(&mut self, until: Option<Timestamp>) -> bool {
        match until {
            None => self.views.changed().await.is_ok(),
            Some(until) => {
                let pause = until.duration_since(Timestamp::now()).max(SignedDuration::ZERO);
                let pause = Duration::try_from(pause).unwrap_or_default() + Duration::from_millis(20);
                match tokio::time::timeout(pause, self.views.changed()).await {
                    Ok(changed) => changed.is_ok(),
                    Err(_) => true,
                }
            }
        }
    }

    async fn tell(&self, memory: &mut Memory, fact: Option<Fact>) {
        if let Some(fact) = fact
            && memory.told.as_ref() != Some(&fact)
        {
            memory.told = Some(fact.clone());
            self.observer.fact(&self.attempt, fact).await;
        }
    }

    /// `true`: the node was found to be out of service, which changes the verdict.
    async fn look_at_node(&self, memory: &mut Memory, name: &str) -> bool {
        match apply::node(&self.cluster, name).await {
            Some(node) => memory.nodes.insert(name.to_owned(), node) != Some(node) && node.out_of_service,
            None => false,
        }
    }

    /// Does what the verdict asks for. Answers after which pause to try what is left of it.
    async fn act(&self, view: &View, verdict: &Verdict, memory: &mut Memory) -> Option<SignedDuration> {
        let mut again = None;
        if let Some((ending, message)) = &verdict.end {
            match self.words(view, verdict, *ending, message, memory).await {
                None => again = Some(EXPLAIN_AFTER),
                Some(words) => {
                    let ended = end_objects(&self.cluster, &self.namespace, view, *ending, &words).await;
                    if let Err(error) = ended {
                        tracing::warn!(attempt = %self.attempt, error = %with_causes(&error), "cannot end the attempt; asked again");
                        again = Some(RETRY_AFTER);
                    }
                }
            }
        } else {
            memory.unexplained = None;
        }
        for name in &verdict.delete_pods {
            let pod = view.pods.values().find(|seen| seen.pod.metadata.name.as_deref() == Some(name));
            let Some(pod) = pod else { continue };
            if let Err(error) = apply::delete::<Pod>(&self.cluster, &self.namespace, &pod.pod.metadata).await
            {
                tracing::warn!(attempt = %self.attempt, error = %with_causes(&error), "cannot delete a Pod of a deleted Job; asked again");
                again = Some(RETRY_AFTER);
            }
        }
        again
    }

    /// Why it is ended. Statuses do not say why volumes or Pods do not come; events do, where we may read them. `None`:
    /// none does yet, and it is too early to end an attempt without a reason.
    async fn words(
        &self,
        view: &View,
        verdict: &Verdict,
        ending: Ending,
        message: &str,
        memory: &mut Memory,
    ) -> Option<String> {
        let is_mute = verdict
            .wait
            .as_ref()
            .is_some_and(|wait| matches!(wait.kind, WaitKind::Preparing | WaitKind::NoPods));
        let decided = view.main().is_some_and(|metadata| Ending::read(metadata).is_some());
        let of = view
            .pods
            .values()
            .next()
            .and_then(|seen| seen.pod.metadata.uid.as_deref())
            .or_else(|| view.job.as_ref().and_then(|seen| seen.job.metadata.uid.as_deref()));
        let Some(uid) = of.filter(|_| !decided && (is_mute || ending == Ending::CannotStart)) else {
            return Some(message.to_owned());
        };
        match explain(&self.cluster, &self.namespace, uid).await {
            Ok(said) if said.clear => Some(format!("{message}; {}", said.words)),
            Ok(said) => {
                let now = Timestamp::now();
                let since = *memory.unexplained.get_or_insert(now);
                if is_mute && now < later(since, self.settings.unexplained_tolerance) {
                    return None;
                }
                Some(
                    [message, &said.words]
                        .into_iter()
                        .filter(|s| !s.is_empty())
                        .collect::<Vec<_>>()
                        .join("; "),
                )
            }
            Err(error) => {
                tracing::debug!(error = %with_causes(&error), "cannot read events");
                Some(message.to_owned())
            }
        }
    }

    fn feed_log(&self, log: &mut Option<RunningLog>, verdict: &Verdict) {
        let plan = LogPlan { sources: verdict.logs.clone(), over: verdict.is_end() };
        if let Some(running) = log {
            running.plan.send_if_modified(|old| {
                let changed = *old != plan;
                if changed {
                    old.clone_from(&plan);
                }
                changed
            });
        } else if !plan.sources.is_empty() || plan.over {
            let (sender, receiver) = watch::channel(plan);
            let pump = LogPump {
                cluster: self.cluster.clone(),
                deadline: self.settings.log_deadline,
                namespace: self.namespace.clone(),
                attempt: self.attempt.clone(),
                from: self.log_from,
                plan: receiver,
                observer: self.observer.clone(),
            };
            *log = Some(RunningLog { plan: sender, task: AbortOnDrop(tokio::spawn(pump.run())) });
        }
    }

    async fn end(&self, log: Option<RunningLog>, verdict: Verdict) {
        if let Some(mut log) = log {
            // The pump keeps its own, shorter deadline and says what is missing; this one is for a stuck observer.
            let deadline = Instant::now() + self.settings.log_deadline + Duration::from_secs(10);
            if tokio::time::timeout_at(deadline, (&mut log.task.0).map(drop)).await.is_err() {
                tracing::warn!(attempt = %self.attempt, "the log's end did not come in time");
            }
        }
        if let Some(fact) = verdict.fact {
            self.observer.fact(&self.attempt, fact).await;
        }
    }
}

/// After an answer that did not come.
const RETRY_AFTER: SignedDuration = SignedDuration::from_secs(5);
/// Between two looks for an event that says why.
const EXPLAIN_AFTER: SignedDuration = SignedDuration::from_secs(2);

struct RunningLog {
    plan: watch::Sender<LogPlan>,
    task: AbortOnDrop,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}

/// Marks why, then deletes: in this order, so that a crash between the two leaves an object that says what is to be
/// done with it.
pub(crate) async fn end_objects(
    cluster: &Cluster,
    namespace: &Namespace,
    view: &View,
    ending: Ending,
    message: &str,
) -> Result<(), crate::RunError> {
    if let Some(seen) = view.job.as_ref().filter(|seen| !seen.gone) {
        return end_one::<Job>(cluster, namespace, &seen.job.metadata, ending, message).await;
    }
    if let Some(seen) = view.own_pod().filter(|seen| !seen.gone) {
        return end_one::<Pod>(cluster, namespace, &seen.pod.metadata, ending, message).await;
    }
    Ok(())
}

async fn end_one<K: apply::Kind>(
    cluster: &Cluster,
    namespace: &Namespace,
    metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    ending: Ending,
    message: &str,
) -> Result<(), crate::RunError> {
    if Ending::read(metadata).is_none()
        && !apply::mark_ending::<K>(cluster, namespace, metadata, ending, message).await?
    {
        return Ok(());
    }
    if metadata.deletion_timestamp.is_none() {
        apply::delete::<K>(cluster, namespace, metadata).await?;
    }
    Ok(())
}
