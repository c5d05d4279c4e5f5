//! Letting go of what is over: release after the outcome is committed, clean-up by policy, sweep, drain.
//!
//! A release is written on the object before anything is removed, so that any later life of the process can finish it.
//! It must never remove an attempt that is not proven to be over.

use crate::{
    Known, RunError, Runner, Settings, Settled, View, Wait, apply, classify,
    runner::{Inner, lock},
    watches::Watched,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{ConfigMap, Pod},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::api::ListParams;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Weak, time::Duration};
use tenantry_hook::{FINALIZER, LABEL_ATTEMPT};
use tenantry_model::{Fact, Namespace, with_causes};

/// Annotation: the outcome is committed; how long the objects are kept after their end, in seconds: succeeded, failed.
const ANNOTATION_RELEASED: &str = "tenantry.io/released";
/// A `ConfigMap` without its attempt is swept after this time: its Pod may be about to be created.
const ORPHAN_AGE: SignedDuration = SignedDuration::from_secs(3600);
/// How often `ConfigMap`s without their attempt are looked for, and namespaces that are not watched looked through.
const ORPHAN_INTERVAL: Duration = Duration::from_mins(30);

/// What a drain did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Objects whose finalizer was removed.
    pub released: usize,
    /// Of these, attempts that are not over: they run on, and nobody will read their end.
    pub still_running: usize,
}

impl Runner {
    /// The outcome is committed: the object is let go of, and removed when the policy says so. An attempt that is not
    /// over (declared lost) is released when it is. Absent is fine.
    pub async fn release(&self, known: &Known) -> Result<(), RunError> {
        let Some(view) = self.look(known).await? else {
            self.unfollow(&known.attempt);
            return self.inner.remove_config_map(known.namespace(), &known.name()).await;
        };
        let now = Timestamp::now();
        self.inner.release(known.namespace(), &view, now).await?;
        if verdict(&view, &self.inner.settings, now).is_end() {
            self.unfollow(&known.attempt);
        }
        if let Some(watch) = lock(&self.inner.watches).if_open(known.namespace()) {
            watch.forget_gone();
        }
        Ok(())
    }

    /// Lets go of the attempt and deletes it with its author's grace, whatever it does: nobody will read its end, or its
    /// end was read. Absent is fine.
    pub async fn remove(&self, known: &Known) -> Result<(), RunError> {
        let Some(view) = self.look(known).await? else {
            return self.inner.remove_config_map(known.namespace(), &known.name()).await;
        };
        self.inner.remove_finalizers(known.namespace(), &view, None).await?;
        self.inner.remove_objects(known.namespace(), &view).await
    }

    /// Before uninstalling: lets go of every attempt's objects in these namespaces, whatever they do.
    pub async fn drain(&self, namespaces: &[Namespace]) -> Result<Drained, RunError> {
        let mut drained = Drained::default();
        for namespace in namespaces {
            let watch = self.inner.namespace(namespace);
            let deadline = self.inner.settings.answer_deadline;
            tokio::time::timeout(deadline, watch.listed()).await.map_err(|_| RunError::Timeout {
                what: format!("list the attempts of namespace {namespace}"),
                after: deadline,
            })?;
            for view in watch.all().into_values().filter(|view| !view.is_gone()) {
                let before = drained.released;
                drained.released += self.inner.remove_finalizers(namespace, &view, None).await?;
                if drained.released > before
                    && !verdict(&view, &self.inner.settings, Timestamp::now()).is_end()
                {
                    drained.still_running += 1;
                }
            }
        }
        Ok(drained)
    }

    /// Whether anything of the attempt is in the cluster.
    pub async fn is_there(&self, known: &Known) -> Result<Settled, RunError> {
        Ok(if self.look(known).await?.is_some() { Settled::Here } else { Settled::Absent })
    }
}

pub(crate) fn verdict(view: &View, settings: &Settings, now: Timestamp) -> classify::Verdict {
    let container = view.identity().map(|identity| identity.container).unwrap_or_default();
    classify::classify(view, &container, Some(&Wait::OVER), settings, now)
}

impl Inner {
    /// Marks, lets go, removes what is due. In this order: whatever a crash leaves undone, the sweep finds by the mark.
    async fn release(&self, namespace: &Namespace, view: &View, now: Timestamp) -> Result<(), RunError> {
        let Some(main) = view.main() else { return Ok(()) };
        let verdict = verdict(view, &self.settings, now);
        let Some(Fact::Ended { ended_at, outcome, .. }) = verdict.fact else {
            if released(main).is_none() {
                let mark = json!({"metadata": {"uid": main.uid, "annotations": self.mark()}});
                match &view.job {
                    Some(seen) => {
                        apply::patch::<Job>(self.cluster(), namespace, &seen.job.metadata, &mark, "release")
                            .await?
                    }
                    None => apply::patch::<Pod>(self.cluster(), namespace, main, &mark, "release").await?,
                };
            }
            return Ok(());
        };
        let (succeeded, failed) =
            released(main).unwrap_or((self.settings.keep_succeeded, self.settings.keep_failed));
        let keep = if outcome.is_success() { succeeded } else { failed };
        let due = classify::later(ended_at, keep) <= now;
        self.remove_finalizers(namespace, view, Some(self.mark())).await?;
        if due {
            self.remove_objects(namespace, view).await?;
        }
        Ok(())
    }

    fn cluster(&self) -> &crate::Cluster {
        &self.cluster
    }

    fn mark(&self) -> BTreeMap<String, String> {
        let kept =
            format!("{},{}", self.settings.keep_succeeded.as_secs(), self.settings.keep_failed.as_secs());
        BTreeMap::from([(ANNOTATION_RELEASED.to_owned(), kept)])
    }

    /// Removes our finalizer from everything of the attempt that has it. Returns how many had.
    async fn remove_finalizers(
        &self,
        namespace: &Namespace,
        view: &View,
        mark: Option<BTreeMap<String, String>>,
    ) -> Result<usize, RunError> {
        let mut removed = 0;
        for seen in view.pods.values().filter(|seen| !seen.gone) {
            removed += self.let_go::<Pod>(namespace, &seen.pod.metadata, mark.as_ref()).await?;
        }
        if let Some(seen) = view.job.as_ref().filter(|seen| !seen.gone) {
            removed += self.let_go::<Job>(namespace, &seen.job.metadata, mark.as_ref()).await?;
        }
        Ok(removed)
    }

    async fn let_go<K: apply::Kind>(
        &self,
        namespace: &Namespace,
        metadata: &ObjectMeta,
        mark: Option<&BTreeMap<String, String>>,
    ) -> Result<usize, RunError> {
        let Some(mut change) = without_finalizer(metadata) else { return Ok(0) };
        if let Some(mark) = mark {
            change["metadata"]["annotations"] = json!(mark);
        }
        if apply::patch::<K>(&self.cluster, namespace, metadata, &change, "release").await? {
            return Ok(1);
        }
        // Gone, or somebody else changed it meanwhile (another finalizer, which the change would have lost): look again.
        let api = self.cluster.namespaced::<K>(namespace);
        let name = metadata.name.as_deref().unwrap_or_default();
        let what = format!("look for {} {namespace}/{name}", K::KIND);
        let found = self.cluster.until_answered(&what, || api.get_metadata_opt(name)).await?;
        let Some(found) = found.filter(|found| found.metadata.uid == metadata.uid) else { return Ok(0) };
        match without_finalizer(&found.metadata) {
            Some(change) => {
                let done =
                    apply::patch::<K>(&self.cluster, namespace, &found.metadata, &change, "release").await?;
                if done { Ok(1) } else { Err(RunError::NotSettled { retry_in: Duration::from_secs(1) }) }
            }
            None => Ok(0),
        }
    }

    async fn remove_objects(&self, namespace: &Namespace, view: &View) -> Result<(), RunError> {
        if let Some(seen) = view.job.as_ref().filter(|seen| !seen.gone) {
            apply::delete::<Job>(&self.cluster, namespace, &seen.job.metadata).await?;
        }
        // With the finalizer gone, what was deleted before has vanished with it.
        let left = |seen: &&crate::PodSeen| !seen.gone && seen.pod.metadata.deletion_timestamp.is_none();
        if view.job.is_none() {
            for seen in view.pods.values().filter(left) {
                apply::delete::<Pod>(&self.cluster, namespace, &seen.pod.metadata).await?;
            }
        }
        let name = view.main().and_then(|metadata| metadata.name.clone()).unwrap_or_default();
        if uses_config_map(view, &name) {
            self.remove_config_map(namespace, &name).await?;
        }
        Ok(())
    }

    async fn remove_config_map(&self, namespace: &Namespace, name: &str) -> Result<(), RunError> {
        let api = self.cluster.namespaced::<ConfigMap>(namespace);
        let what = format!("look for ConfigMap {namespace}/{name}");
        let found = self.cluster.until_answered(&what, || api.get_metadata_opt(name)).await?;
        let ours = |metadata: &ObjectMeta| {
            metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(LABEL_ATTEMPT))
        };
        if let Some(found) = found.filter(|found| ours(&found.metadata)) {
            apply::delete::<ConfigMap>(&self.cluster, namespace, &found.metadata).await?;
        }
        Ok(())
    }

    /// One round: released objects past their time, and, in namespaces whose turn it is, `ConfigMap`s whose attempt is gone.
    /// Then what nobody needs is watched no more.
    async fn sweep(&self) {
        let turn = lock(&self.watches).turn();
        for namespace in turn {
            drop(self.namespace(&namespace));
        }
        let all = lock(&self.watches).all();
        for Watched { namespace, watch, is_due } in all {
            let now = Timestamp::now();
            for view in watch.all().into_values().filter(|view| !view.is_gone()) {
                if view.main().and_then(released).is_none() {
                    continue;
                }
                if let Err(error) = self.release(&namespace, &view, now).await {
                    tracing::warn!(%namespace, error = %with_causes(&error), "cannot clean up a released attempt; tried again");
                }
            }
            // Before everything is listed an attempt that is there may not be seen.
            if is_due && watch.is_listed() {
                if let Err(error) = self.sweep_config_maps(&namespace, &watch.all(), now).await {
                    tracing::warn!(%namespace, error = %with_causes(&error), "cannot sweep ConfigMaps; tried again later");
                }
                lock(&self.watches).looked(&namespace, ORPHAN_INTERVAL);
            }
        }
        lock(&self.watches).let_go(self.settings.idle_watches);
    }

    async fn sweep_config_maps(
        &self,
        namespace: &Namespace,
        views: &BTreeMap<String, View>,
        now: Timestamp,
    ) -> Result<(), RunError> {
        let api = self.cluster.namespaced::<ConfigMap>(namespace);
        let params = ListParams::default().labels(&self.settings.attempts);
        let list = self.cluster.once("list ConfigMaps of attempts", api.list_metadata(&params)).await?;
        for found in list.items {
            let old = found
                .metadata
                .creation_timestamp
                .as_ref()
                .is_some_and(|created| now.duration_since(created.0) > ORPHAN_AGE);
            let name = found.metadata.name.as_deref().unwrap_or_default();
            if old && views.get(name).is_none_or(View::is_gone) {
                apply::delete::<ConfigMap>(&self.cluster, namespace, &found.metadata).await?;
            }
        }
        Ok(())
    }
}

/// Sweeps until the runner is dropped.
pub(crate) async fn sweep_for_ever(inner: Weak<Inner>) {
    loop {
        let Some(interval) = inner.upgrade().map(|inner| inner.settings.sweep_interval) else { return };
        tokio::time::sleep(interval).await;
        let Some(inner) = inner.upgrade() else { return };
        inner.sweep().await;
    }
}

pub(crate) fn released(metadata: &ObjectMeta) -> Option<(Duration, Duration)> {
    let (succeeded, failed) = metadata.annotations.as_ref()?.get(ANNOTATION_RELEASED)?.split_once(',')?;
    Some((Duration::from_secs(succeeded.parse().ok()?), Duration::from_secs(failed.parse().ok()?)))
}

/// The change that removes our finalizer and no other; `None` when it is not there. Beside others, the version must
/// still be the one seen: a merge patch replaces the whole list.
fn without_finalizer(metadata: &ObjectMeta) -> Option<Value> {
    let all = metadata.finalizers.as_deref().unwrap_or_default();
    let others: Vec<_> = all.iter().filter(|finalizer| *finalizer != FINALIZER).collect();
    if others.len() == all.len() {
        return None;
    }
    Some(if others.is_empty() {
        json!({"metadata": {"uid": metadata.uid, "finalizers": null}})
    } else {
        json!({"metadata": {
            "uid": metadata.uid, "resourceVersion": metadata.resource_version, "finalizers": others
        }})
    })
}

fn uses_config_map(view: &View, name: &str) -> bool {
    let pods = view.pods.values().filter_map(|seen| seen.pod.spec.as_ref());
    let templates = view.job.iter().filter_map(|seen| seen.job.spec.as_ref()?.template.spec.as_ref());
    pods.chain(templates)
        .flat_map(|spec| spec.volumes.as_deref().unwrap_or_default())
        .any(|volume| volume.config_map.as_ref().is_some_and(|source| source.name == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(finalizers: &[&str]) -> ObjectMeta {
        ObjectMeta {
            uid: Some("u".to_owned()),
            resource_version: Some("7".to_owned()),
            finalizers: Some(finalizers.iter().map(|f| (*f).to_owned()).collect()),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn only_our_own_finalizer_is_removed() {
        assert_eq!(without_finalizer(&metadata(&["foregroundDeletion"])), None);
        let change = without_finalizer(&metadata(&[FINALIZER])).unwrap();
        assert_eq!(change["metadata"]["finalizers"], Value::Null);
        assert_eq!(change["metadata"].get("resourceVersion"), None);
        let change = without_finalizer(&metadata(&["foregroundDeletion", FINALIZER])).unwrap();
        assert_eq!(change["metadata"]["finalizers"], json!(["foregroundDeletion"]));
        assert_eq!(change["metadata"]["resourceVersion"], "7", "another's finalizer must not be lost");
    }

    #[test]
    fn a_release_that_was_written_on_an_object_is_read_back() {
        let mut object = metadata(&[]);
        object.annotations = Some(BTreeMap::from([(ANNOTATION_RELEASED.to_owned(), "0,3600".to_owned())]));
        assert_eq!(released(&object), Some((Duration::ZERO, Duration::from_hours(1))));
        object.annotations = Some(BTreeMap::from([(ANNOTATION_RELEASED.to_owned(), "soon".to_owned())]));
        assert_eq!(released(&object), None);
    }
}
