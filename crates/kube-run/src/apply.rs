//! Single requests about one attempt's objects: create, mark, delete, look.
//!
//! Each can be repeated after an unknown answer and then does nothing more. It must never decide whether to do them.

use crate::{
    Cluster, CreateError, Ending, NodeSeen, RunError,
    classify::{ANNOTATION_ENDING, ANNOTATION_ENDING_MESSAGE, cut},
};
use k8s_openapi::{
    NamespaceResourceScope, api::core::v1::Node, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use serde_json::json;
use std::{collections::BTreeMap, fmt::Debug};
use tenantry_hook::attempt_identity;
use tenantry_model::{FailureReason, Namespace, Outcome, TemplateHash, with_causes};
use uuid::Uuid;

/// A kind of object in a namespace.
pub(crate) trait Kind:
    kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + k8s_openapi::Resource<Scope = NamespaceResourceScope>
    + k8s_openapi::Metadata<Ty = ObjectMeta>
    + serde::Serialize
    + serde::de::DeserializeOwned
    + Clone
    + Debug
    + Send
    + Sync
    + 'static
{
}
impl Kind for k8s_openapi::api::core::v1::Pod {}
impl Kind for k8s_openapi::api::core::v1::ConfigMap {}
impl Kind for k8s_openapi::api::batch::v1::Job {}

/// What one create came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// It was made now.
    New,
    /// It was there, and it is ours.
    Found,
}

/// Why one create came to nothing.
pub(crate) enum NotMade {
    /// The server's final word.
    Refused(Outcome),
    /// Nobody knows.
    Unanswered(RunError),
}

impl From<NotMade> for CreateError {
    fn from(not: NotMade) -> Self {
        match not {
            NotMade::Refused(outcome) => Self::Refused(Box::new(outcome)),
            NotMade::Unanswered(error) => Self::Unanswered(error),
        }
    }
}

/// Creates the object under its own name. After an unanswered create the same create is repeated: it either makes the
/// object or finds it. `earlier_try`: one was made before, and may have made it.
pub(crate) async fn create<K: Kind>(
    cluster: &Cluster,
    namespace: &Namespace,
    object: &K,
    nonce: Uuid,
    hash: &TemplateHash,
    earlier_try: bool,
) -> Result<Made, NotMade> {
    let api = cluster.namespaced::<K>(namespace);
    let name = object.metadata().name.clone().unwrap_or_default();
    let kind = K::KIND;
    let what = format!("create {kind} {namespace}/{name}");
    let params = PostParams::default();
    let Err(error) = cluster.until_answered(&what, || api.create(&params, object)).await else {
        return Ok(Made::New);
    };
    let taken = error.code() == Some(409);
    if !taken && (error.is_transient() || error.code().is_none_or(|code| code == 401)) {
        return Err(NotMade::Unanswered(error));
    }
    let found = cluster
        .until_answered(&format!("look for {kind} {namespace}/{name}"), || api.get_metadata_opt(&name))
        .await;
    let found = match found {
        // No rights at all in this namespace: what this agent may not make and never tried to make before is not there.
        Err(look) if look.code() == Some(403) && error.code() == Some(403) && !earlier_try => None,
        found => found.map_err(NotMade::Unanswered)?,
    };
    match (found, taken) {
        (Some(found), _) => match attempt_identity(&found.metadata) {
            Some(identity) if identity.nonce == nonce && identity.template_hash == *hash => Ok(Made::Found),
            _ => Err(NotMade::Refused(refused(
                FailureReason::NameCollision,
                &format!("{kind} {namespace}/{name} exists and was not made for this attempt"),
            ))),
        },
        // It was there a moment ago, or another change of the server's books was in the way (quota): once more.
        (None, true) => Err(NotMade::Unanswered(error)),
        (None, false) => {
            let said = error.server_message().map_or_else(|| error.to_string(), ToOwned::to_owned);
            Err(NotMade::Refused(refused(FailureReason::Rejected, &format!("cannot {what}: {said}"))))
        }
    }
}

pub(crate) fn refused(reason: FailureReason, message: &str) -> Outcome {
    Outcome { reason: Some(reason), exit_code: None, message: cut(message), outputs: BTreeMap::new() }
}

/// Writes on the object why we end it. `false`: that object is gone.
pub(crate) async fn mark_ending<K: Kind>(
    cluster: &Cluster,
    namespace: &Namespace,
    metadata: &ObjectMeta,
    ending: Ending,
    message: &str,
) -> Result<bool, RunError> {
    let annotations = BTreeMap::from([
        (ANNOTATION_ENDING.to_owned(), ending.as_str().to_owned()),
        (ANNOTATION_ENDING_MESSAGE.to_owned(), cut(message)),
    ]);
    let change = json!({"metadata": {"uid": metadata.uid, "annotations": annotations}});
    patch::<K>(cluster, namespace, metadata, &change, "mark the end of").await
}

/// Merge patch of exactly this object (by uid, which the change names). `false`: it is gone, or another is there now.
pub(crate) async fn patch<K: Kind>(
    cluster: &Cluster,
    namespace: &Namespace,
    metadata: &ObjectMeta,
    change: &serde_json::Value,
    verb: &str,
) -> Result<bool, RunError> {
    let api = cluster.namespaced::<K>(namespace);
    let name = metadata.name.as_deref().unwrap_or_default();
    let what = format!("{verb} {} {namespace}/{name}", K::KIND);
    let (params, change) = (PatchParams::default(), Patch::Merge(change));
    let answer = cluster.until_answered(&what, || api.patch_metadata(name, &params, &change)).await;
    there(answer)
}

/// Deletes exactly this object, with the grace that its author gave. A Job's Pods go with it, before it.
/// `false`: it was gone.
pub(crate) async fn delete<K: Kind>(
    cluster: &Cluster,
    namespace: &Namespace,
    metadata: &ObjectMeta,
) -> Result<bool, RunError> {
    let api = cluster.namespaced::<K>(namespace);
    let name = metadata.name.as_deref().unwrap_or_default();
    let what = format!("delete {} {namespace}/{name}", K::KIND);
    let params = DeleteParams {
        // Background would wait for the Job to vanish, which our finalizer forbids: its Pods would run on.
        propagation_policy: (K::KIND == "Job").then_some(PropagationPolicy::Foreground),
        preconditions: Some(Preconditions { uid: metadata.uid.clone(), resource_version: None }),
        ..DeleteParams::default()
    };
    there(cluster.until_answered(&what, || api.delete(name, &params)).await)
}

fn there<T>(answer: Result<T, RunError>) -> Result<bool, RunError> {
    match answer {
        Ok(_) => Ok(true),
        // 409: the uid is another's.
        Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Looks at a node. `None`: it is gone, or we may not look (then only its kubelet can tell).
pub(crate) async fn node(cluster: &Cluster, name: &str) -> Option<NodeSeen> {
    match cluster.once(&format!("look at node {name}"), cluster.all::<Node>().get_opt(name)).await {
        Ok(node) => node.as_ref().map(NodeSeen::of),
        Err(error) => {
            tracing::debug!(error = %with_causes(&error), "cannot look at the node");
            None
        }
    }
}
