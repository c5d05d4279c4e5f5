//! Makes the Workflow with the exact graph.
//!
//! It must never change one that is there: it may be running.

use crate::BridgeError;
use kube::{api::PostParams, core::Request};
use serde::Deserialize;
use serde_json::Value;
use tenantry_kube_run::{Cluster, RunError};
use tenantry_model::Namespace;

/// What is needed of the answer.
#[derive(Deserialize)]
struct Made {}

/// Creates the Workflow. One of its name is the one that an earlier life of this step made.
pub(crate) async fn create(
    cluster: &Cluster,
    namespace: &Namespace,
    name: &str,
    workflow: &Value,
) -> Result<(), BridgeError> {
    let bytes = serde_json::to_vec(workflow).map_err(|error| BridgeError::Usage(error.to_string()))?;
    let request = Request::new(format!("/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows"))
        .create(&PostParams::default(), bytes);
    let asked = match request {
        Ok(request) => cluster.client().request::<Made>(request).await,
        Err(error) => Err(kube::Error::BuildRequest(error)),
    };
    match asked {
        Ok(Made {}) => eprintln!("tenantry-bridge: made the Workflow {namespace}/{name}"),
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
            eprintln!("tenantry-bridge: the Workflow {namespace}/{name} is there already");
        }
        Err(error) => {
            let what = format!("make the Workflow {namespace}/{name}");
            return Err(RunError::Api { what, source: Box::new(error) }.into());
        }
    }
    Ok(())
}
