//! SIGTERM with a manager. Alone in its file: the signal goes to the whole program.
#![allow(clippy::unwrap_used)] // a test may

mod server;

use serde_json::{Value, json};
use server::world::World;
use std::process::Command;
use tenantry_api_types::bridge::{StepLeaseAnswer, WorkflowEnd, WorkflowEndRequest};
use tenantry_bridge::cli::DETACHED;

/// A poll that brings SIGTERM.
fn told_to_go(call: &str) -> (u16, Value) {
    if call == "commands:lease" {
        let id = std::process::id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let nothing =
            StepLeaseAnswer { commands: Vec::new(), open: Vec::new(), note: String::new(), end: None };
        return (200, serde_json::to_value(nothing).unwrap());
    }
    (200, json!({}))
}

#[tokio::test]
async fn a_workflow_that_is_shut_down_is_told_and_a_pod_that_is_evicted_is_not() {
    for (workflow, ends) in [("argo/runs", vec![]), ("argo/ended", vec![WorkflowEnd::Shutdown])] {
        let world = World::new(workflow.trim_start_matches("argo/"), |asked| told_to_go(asked.call())).await;
        assert_eq!(world.bridge(&[&format!("--workflow={workflow}")]).await, DETACHED);
        assert_eq!(world.read("reason"), "detached");
        let told: Vec<WorkflowEndRequest> = world.manager.bodies("workflows:end");
        assert_eq!(told.iter().map(|told| told.end).collect::<Vec<_>>(), ends, "{workflow}");
        assert!(told.iter().all(|told| told.workflow.name == workflow && told.workflow.round == 2));
    }
}
