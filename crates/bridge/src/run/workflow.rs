//! The Workflow that the bridge is a step of: whether it is over.
//!
//! Argo sends SIGTERM when it shuts a Workflow down, and so does every eviction; the Workflow itself tells which it was.
//! A watch would send every bridge each change of every other step, so its metadata is looked at now and then, and
//! `spec.shutdown`, which is in no metadata, when SIGTERM comes. It must never change a Workflow.

use crate::{BridgeError, Named};
use kube::{Client, core::Request};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt, time::Duration};
use tenantry_kube_run::{Cluster, RunError};
use tenantry_model::with_causes;

/// Between two looks at the metadata.
const LOOK: Duration = Duration::from_secs(30);
/// For one answer when SIGTERM has come: there is little time left.
const ANSWER: Duration = Duration::from_secs(5);
/// Argo's label of a Workflow that has ended.
const COMPLETED: &str = "workflows.argoproj.io/completed";

/// The Workflow, if there is one.
pub(crate) struct Owner {
    client: Client,
    workflow: Option<Named>,
}

/// What is needed of a Workflow: the rest, which may be a megabyte of nodes, is passed over while it is read.
#[derive(Deserialize)]
struct Seen {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    deletion_timestamp: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Spec {
    shutdown: Option<String>,
}

impl Seen {
    fn is_over(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
            || self.metadata.labels.get(COMPLETED).is_some_and(|completed| completed == "true")
            || self.spec.shutdown.as_deref().is_some_and(|how| !how.is_empty())
    }
}

#[derive(Clone, Copy)]
enum Part {
    Metadata,
    Whole,
}

impl Owner {
    pub(crate) fn new(cluster: &Cluster, workflow: Option<Named>) -> Self {
        Self { client: cluster.client(), workflow }
    }

    /// It is gone, going or ended. An error: that is not known.
    pub(crate) async fn is_over(&self) -> Result<bool, BridgeError> {
        self.look(Part::Metadata).await
    }

    /// After SIGTERM: it is gone, going, ended or shut down. What is not known is no reason to end anything.
    pub(crate) async fn is_shutting_down(&self) -> bool {
        match tokio::time::timeout(ANSWER, self.look(Part::Whole)).await {
            Ok(Ok(over)) => over,
            Ok(Err(error)) => {
                eprintln!("tenantry-bridge: {}; the attempt is left running", with_causes(&error));
                false
            }
            Err(_) => {
                eprintln!(
                    "tenantry-bridge: no answer about the Workflow {self}; the attempt is left running"
                );
                false
            }
        }
    }

    /// Waits until it is gone, going or ended; for ever without one.
    pub(crate) async fn until_over(&self) {
        if self.workflow.is_none() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(LOOK).await;
            match self.is_over().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(error = %with_causes(&error), "cannot look at the Workflow");
                }
            }
        }
    }

    async fn look(&self, part: Part) -> Result<bool, BridgeError> {
        let Some(Named { namespace, name }) = &self.workflow else { return Ok(false) };
        let request = Request::new(format!("/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows"));
        let request = match part {
            Part::Metadata => request.get_metadata(name, &kube::api::GetParams::default()),
            Part::Whole => request.get(name, &kube::api::GetParams::default()),
        };
        let asked = match request {
            Ok(request) => self.client.request::<Seen>(request).await,
            Err(error) => Err(kube::Error::BuildRequest(error)),
        };
        match asked {
            Ok(seen) => Ok(seen.is_over()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(true),
            Err(error) => {
                let what = format!("look at the Workflow {self}");
                Err(RunError::Api { what, source: Box::new(error) }.into())
            }
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.workflow {
            Some(Named { namespace, name }) => write!(f, "{namespace}/{name}"),
            None => f.write_str("(none)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_workflow_is_over_when_it_is_deleted_ended_or_shut_down() {
        let is_over = |workflow| serde_json::from_value::<Seen>(workflow).unwrap().is_over();
        assert!(!is_over(json!({"metadata": {}, "spec": {"templates": []}, "status": {"phase": "Running"}})));
        assert!(!is_over(json!({"metadata": {"labels": {COMPLETED: "false"}}})));
        assert!(is_over(json!({"metadata": {"labels": {COMPLETED: "true"}}})));
        assert!(is_over(json!({"metadata": {"deletionTimestamp": "2026-11-21T12:00:00Z"}})));
        assert!(is_over(json!({"metadata": {}, "spec": {"shutdown": "Terminate"}})));
        assert!(!is_over(json!({"metadata": {}, "spec": {"shutdown": ""}})));
    }
}
