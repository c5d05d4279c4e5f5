//! What was last seen of one attempt's objects.
//!
//! Kept small (what no decision needs is dropped on arrival), and kept after an object is gone: the last thing it said
//! may be the proof of its end. It must never decide anything.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Node, Pod},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::{collections::BTreeMap, sync::Arc};
use tenantry_hook::{AttemptIdentity, attempt_identity};
use uuid::Uuid;

/// Annotation values above this are dropped on arrival: they are the hook's files.
const KEPT_ANNOTATION_BYTES: usize = 2048;

/// Everything seen under one attempt's name.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The Job, if the attempt is one.
    pub job: Option<JobSeen>,
    /// By uid: the attempt's Pod, or the Job's Pods.
    pub pods: BTreeMap<String, PodSeen>,
    /// Nodes that were looked at because a Pod on them is silent.
    pub nodes: BTreeMap<String, NodeSeen>,
}

/// A Pod as last seen.
#[derive(Clone, Debug)]
pub struct PodSeen {
    /// Its last contents.
    pub pod: Arc<Pod>,
    /// The API server no longer has it.
    pub gone: bool,
    /// When its deletion was asked for, if that was seen while the object still said it.
    pub asked: Option<Timestamp>,
}

impl PodSeen {
    /// The next state of the same Pod. When the kubelet is done it sets the grace to 0 and leaves `deletionTimestamp`
    /// where it was, at the end of the former grace: from then on the object no longer says when it was asked for.
    #[must_use]
    pub fn next(before: Option<&Self>, pod: Pod, gone: bool) -> Self {
        let asked = before.and_then(|before| before.asked).or_else(|| {
            let deletion = pod.metadata.deletion_timestamp.as_ref()?.0;
            let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
            let was_over = before.is_some_and(|before| {
                let phase = before.pod.status.as_ref().and_then(|status| status.phase.as_deref());
                before.pod.metadata.deletion_timestamp.is_none()
                    && matches!(phase, Some("Succeeded" | "Failed"))
            });
            if grace > 0 || was_over {
                return deletion.checked_sub(SignedDuration::from_secs(grace)).ok();
            }
            None
        });
        Self { pod: Arc::new(pod), gone, asked }
    }
}

/// A Job as last seen.
#[derive(Clone, Debug)]
pub struct JobSeen {
    /// Its last contents.
    pub job: Arc<Job>,
    /// The API server no longer has it.
    pub gone: bool,
}

/// A node as last seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeSeen {
    /// It has the taint `node.kubernetes.io/out-of-service`: a person vouches that nothing runs on it.
    pub out_of_service: bool,
}

impl NodeSeen {
    pub(crate) fn of(node: &Node) -> Self {
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
        Self { out_of_service: taints.iter().any(|t| t.key == "node.kubernetes.io/out-of-service") }
    }
}

impl View {
    /// What the object that carries the attempt's name says of itself: of the Job, or of the Pod without a Job.
    #[must_use]
    pub fn identity(&self) -> Option<AttemptIdentity> {
        self.main().and_then(attempt_identity)
    }

    /// Metadata of the object that carries the attempt's name.
    #[must_use]
    pub fn main(&self) -> Option<&ObjectMeta> {
        match &self.job {
            Some(seen) => Some(&seen.job.metadata),
            None => self.own_pod().map(|seen| &seen.pod.metadata),
        }
    }

    /// The attempt's own Pod (not a Job's). Of several of the same name, the one that is still there.
    #[must_use]
    pub fn own_pod(&self) -> Option<&PodSeen> {
        let own = || self.pods.values().filter(|seen| job_of(&seen.pod.metadata).is_none());
        own().find(|seen| !seen.gone).or_else(|| own().next())
    }

    /// The object of the attempt's name is this attempt's.
    #[must_use]
    pub fn is_of(&self, nonce: Uuid) -> bool {
        self.identity().is_some_and(|identity| identity.nonce == nonce)
    }

    /// Nothing of it is left in the cluster.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.job.as_ref().is_none_or(|seen| seen.gone) && self.pods.values().all(|seen| seen.gone)
    }

    /// Leaves only what belongs to the attempt with this nonce: an object that somebody else made under the same name
    /// must never be taken for it.
    #[must_use]
    pub fn only(&self, nonce: Uuid) -> Self {
        let job = self.job.clone().filter(|seen| nonce_of(&seen.job.metadata) == Some(nonce));
        let job_uid = job.as_ref().and_then(|seen| seen.job.metadata.uid.clone());
        let pods = self
            .pods
            .iter()
            .filter(|(_, seen)| match owner_uid(&seen.pod.metadata) {
                Some(owner) => job_uid.as_deref() == Some(owner),
                None => nonce_of(&seen.pod.metadata) == Some(nonce),
            })
            .map(|(uid, seen)| (uid.clone(), seen.clone()))
            .collect();
        Self { job, pods, nodes: self.nodes.clone() }
    }
}

fn nonce_of(metadata: &ObjectMeta) -> Option<Uuid> {
    attempt_identity(metadata).map(|identity| identity.nonce)
}

/// The name of the Job that controls this Pod.
pub(crate) fn job_of(metadata: &ObjectMeta) -> Option<&str> {
    controller(metadata).map(|owner| owner.name.as_str())
}

fn owner_uid(metadata: &ObjectMeta) -> Option<&str> {
    controller(metadata).map(|owner| owner.uid.as_str())
}

fn controller(
    metadata: &ObjectMeta,
) -> Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference> {
    metadata
        .owner_references
        .as_deref()
        .unwrap_or_default()
        .iter()
        .find(|owner| owner.controller == Some(true) && owner.kind == "Job")
}

/// Drops what no decision needs.
pub(crate) fn trim(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|_, value| value.len() <= KEPT_ANNOTATION_BYTES);
    }
}
