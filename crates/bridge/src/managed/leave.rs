//! Leaving because somebody asks for it, and telling the manager when that was the Workflow's end.
//!
//! It must never end an attempt: with a manager the manager decides what an ended Workflow means.

use super::{Manager, ManagerError};
use crate::{BridgeError, run::Owner};
use std::time::Duration;
use tenantry_api_types::bridge::{WorkflowEnd, WorkflowEndAnswer, WorkflowEndRequest};
use tenantry_model::with_causes;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

/// A Pod has 30 s from SIGTERM on, and the look at the Workflow took up to five of them.
const FAREWELL: Duration = Duration::from_secs(15);

/// From now on SIGTERM does not end the program by itself.
pub(super) fn terms() -> Result<Signal, BridgeError> {
    signal(SignalKind::terminate()).map_err(|source| BridgeError::File {
        verb: "listen to",
        path: "SIGTERM".into(),
        source,
    })
}

/// Waits until there is a reason to leave: the Workflow's end, or (`None`) that of this Pod alone.
pub(super) async fn asked(terms: &mut Signal, owner: &Owner) -> Option<WorkflowEnd> {
    tokio::select! {
        _ = terms.recv() => owner.is_shutting_down().await,
        end = owner.until_over() => Some(end),
    }
}

/// Tells how the Workflow ended; gives up when there is no time left, since others of its steps tell it too.
pub(super) async fn tell(manager: &Manager, end: WorkflowEnd) {
    tell_why(manager, end, String::new()).await;
}

/// Tells that the program cannot do its part: Argo calls the Workflow failed then, and nobody would carry on with what the
/// manager still wants of it.
pub(super) async fn give_up(manager: &Manager, error: &BridgeError) {
    let in_vain = match error {
        // It is told already, or nothing is wanted any more, or the program comes again.
        BridgeError::WorkflowOver(_) | BridgeError::OperationOver(_) | BridgeError::Asked
        // Nobody would listen.
        | BridgeError::Manager(
            ManagerError::Refused { status: 401 | 403 | 426, .. }
            | ManagerError::Protocol { .. }
            | ManagerError::Config { .. },
        ) => true,
        error => error.may_pass(),
    };
    if !in_vain {
        tell_why(manager, WorkflowEnd::GaveUp, with_causes(error)).await;
    }
}

async fn tell_why(manager: &Manager, end: WorkflowEnd, why: String) {
    let workflow = &manager.workflow;
    let request = |_| WorkflowEndRequest { workflow: workflow.clone(), end, why: why.clone() };
    let told = manager.ask::<_, WorkflowEndAnswer>("workflows:end", Duration::ZERO, request);
    match timeout(FAREWELL, told).await {
        Ok(Ok(WorkflowEndAnswer {})) => {}
        Ok(Err(error)) => crate::tell(&error.into()),
        Err(_) => eprintln!("tenantry-bridge: the manager could not be told that the Workflow ends"),
    }
}
