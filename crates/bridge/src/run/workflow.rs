//! The Workflow that the bridge is a step of: whether it is over.
//!
//! Argo sends SIGTERM when it shuts a Workflow down, and so does every eviction; the Workflow itself tells which it was.
//! A watch would send every bridge each change of every other step, so its metadata is looked at now and then, and
//! `spec.shutdown`, which is in no metadata, when SIGTERM comes. It must never change a Workflow.

use crate::{BridgeError, Named};
use kube::{api::GetParams, core::Request};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt, time::Duration};
use tenantry_api_types::bridge::WorkflowEnd;
use tenantry_kube_run::Cluster;
use tenantry_model::with_causes;

/// Between two looks at the metadata.
const LOOK: Duration = Duration::from_secs(30);
/// For one answer when SIGTERM has come: there is little time left.
const ANSWER: Duration = Duration::from_secs(5);
/// Argo's label of a Workflow that has ended.
const COMPLETED: &str = "workflows.argoproj.io/completed";

/// The Workflow, if there is one.
pub(crate) struct Owner {
    cluster: Cluster,
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
    fn end(&self) -> Option<WorkflowEnd> {
        if self.metadata.deletion_timestamp.is_some() {
            return Some(WorkflowEnd::Deleted);
        }
        if self.spec.shutdown.as_deref().is_some_and(|how| !how.is_empty()) {
            return Some(WorkflowEnd::Shutdown);
        }
        let completed = self.metadata.labels.get(COMPLETED).is_some_and(|completed| completed == "true");
        completed.then_some(WorkflowEnd::Over)
    }
}

#[derive(Clone, Copy)]
enum Part {
    Metadata,
    Whole,
}

impl Owner {
    pub(crate) fn new(cluster: &Cluster, workflow: Option<Named>) -> Self {
        Self { cluster: cluster.clone(), workflow }
    }

    /// It is gone, going or ended. An error: that is not known.
    pub(crate) async fn ended(&self) -> Result<Option<WorkflowEnd>, BridgeError> {
        self.look(Part::Metadata).await
    }

    /// After SIGTERM: it is gone, going, ended or shut down. What is not known is no reason to end anything.
    pub(crate) async fn is_shutting_down(&self) -> Option<WorkflowEnd> {
        match tokio::time::timeout(ANSWER, self.look(Part::Whole)).await {
            Ok(Ok(end)) => end,
            Ok(Err(error)) => {
                eprintln!("tenantry-bridge: {}; the attempt is left running", with_causes(&error));
                None
            }
            Err(_) => {
                eprintln!(
                    "tenantry-bridge: no answer about the Workflow {self}; the attempt is left running"
                );
                None
            }
        }
    }

    /// Waits until it is gone, going or ended; for ever without one.
    pub(crate) async fn until_over(&self) -> WorkflowEnd {
        if self.workflow.is_none() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(LOOK).await;
            match self.ended().await {
                Ok(Some(end)) => return end,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(error = %with_causes(&error), "cannot look at the Workflow");
                }
            }
        }
    }

    async fn look(&self, part: Part) -> Result<Option<WorkflowEnd>, BridgeError> {
        let Some(Named { namespace, name }) = &self.workflow else { return Ok(None) };
        let workflows = Request::new(format!("/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows"));
        let client = self.cluster.client();
        let ask = || async {
            let request = match part {
                Part::Metadata => workflows.get_metadata(name, &GetParams::default()),
                Part::Whole => workflows.get(name, &GetParams::default()),
            };
            client.request::<Seen>(request.map_err(kube::Error::BuildRequest)?).await
        };
        match self.cluster.until_answered(&format!("look at the Workflow {self}"), ask).await {
            Ok(seen) => Ok(seen.end()),
            Err(error) if error.code() == Some(404) => Ok(Some(WorkflowEnd::Deleted)),
            Err(error) => Err(error.into()),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.workflow {
            Some(named) => named.fmt(f),
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
        let end = |workflow| serde_json::from_value::<Seen>(workflow).unwrap().end();
        assert_eq!(
            end(json!({"metadata": {}, "spec": {"templates": []}, "status": {"phase": "Running"}})),
            None
        );
        assert_eq!(end(json!({"metadata": {"labels": {COMPLETED: "false"}}})), None);
        assert_eq!(end(json!({"metadata": {"labels": {COMPLETED: "true"}}})), Some(WorkflowEnd::Over));
        let deleted = json!({"metadata": {"deletionTimestamp": "2026-11-21T12:00:00Z"}});
        assert_eq!(end(deleted), Some(WorkflowEnd::Deleted));
        let shut_down = json!({
            "metadata": {"labels": {COMPLETED: "true"}}, "spec": {"shutdown": "Terminate"}
        });
        assert_eq!(end(shut_down), Some(WorkflowEnd::Shutdown), "that is why it is over");
        assert_eq!(end(json!({"metadata": {}, "spec": {"shutdown": ""}})), None);
    }
}
