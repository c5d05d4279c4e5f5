//! Regions of Argo: there is no agent. The manager asks for Workflows by events ([`deliver`]); a Workflow's discovery tells
//! the hooks and gets the order ([`discovery`]); each of its bridges leases the commands of one step ([`bridges`]); what no
//! bridge will take any more brings a further Workflow ([`rounds`]); one of which nobody speaks any more is noticed
//! ([`silent`](mod@silent)).
//!
//! The engine knows nothing of it: to it a region of Argo is a region. A crash leaves rows from which the next look goes on.

mod bridges;
mod deliver;
mod discovery;
mod rounds;
mod silent;

pub use bridges::{StepLease, StepPoll};
pub use deliver::ArgoSinks;
pub(crate) use silent::Watch;

use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::work::{Note, Work};
use crate::{Manager, Principal, outbox};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use tenantry_api_types::bridge::WorkflowRef;
use tenantry_engine::Raised;
use tenantry_failpoints::Point;
use tenantry_model::{
    Actor, ActorKind, AttentionKind, Executor, HookRef, Operation, OperationId, OperationState, Region,
    RegionName, Role, Scope,
};
use tenantry_store::{Read, WorkflowEnded, WorkflowRow};

/// A region's bridges as a caller.
fn bridge(region: &RegionName) -> Principal {
    Principal {
        actor: Actor { kind: ActorKind::Agent, name: region.to_string() },
        role: Role::Viewer,
        scopes: vec![Scope::Region(region.clone())],
        ..Principal::system()
    }
}

impl Manager {
    /// Whether the region is one of Argo.
    #[must_use]
    pub fn is_argo(&self, region: &RegionName) -> bool {
        self.config.argo_regions.contains(region)
    }

    /// Notes which regions the configuration gives to Argo, and makes those that are new; before anything else runs.
    pub async fn declare_argo_regions(&self) -> Result<()> {
        let who = Principal::system();
        for name in &self.config.argo_regions {
            repeating(|| async {
                let mut work = self.begin(&who).await?;
                let before = work.tx.region(name).await?;
                if before.as_ref().is_some_and(|row| row.executor == Some(Executor::Argo)) {
                    return Ok(());
                }
                let row = Region {
                    name: name.clone(),
                    executor: Some(Executor::Argo),
                    agent_version: None,
                    session: None,
                    last_seen_at: None,
                    inventory_complete: false,
                    created_at: before.as_ref().map_or(work.now, |row| row.created_at),
                };
                work.tx.put_region(&row).await?;
                let after = outbox::region(&row);
                work.common_event(outbox::REGION_CHANGED, after.clone()).await?;
                let before = before.as_ref().map_or(Value::Null, outbox::region);
                let target = format!("regions/{name}");
                work.audit(Note { action: "region.argo", target, reason: None, before, after }).await?;
                work.commit(Point::RegionArgo).await
            })
            .await?;
        }
        Ok(())
    }
}

/// The Workflows of an operation in one region, by round.
async fn rounds_of(
    read: &mut (dyn Read + '_),
    operation: OperationId,
    region: &RegionName,
) -> Result<Vec<WorkflowRow>> {
    let mut rows = read.workflows(operation).await?;
    rows.retain(|row| row.region == *region);
    Ok(rows)
}

/// The steps of the operation of which something is still to be carried out in the region. After its end these are releases: until
/// they are carried out, the finalizer keeps what is left of its attempts.
async fn with_commands(
    read: &mut (dyn Read + '_),
    operation: OperationId,
    region: &RegionName,
) -> Result<BTreeSet<HookRef>> {
    let mut found = BTreeSet::new();
    for step in read.steps(operation).await? {
        if step.hook.region == *region && !read.step_commands(operation, &step.hook).await?.is_empty() {
            found.insert(step.hook);
        }
    }
    Ok(found)
}

/// Nobody has asked for this Workflow here.
fn no_such(named: &WorkflowRef) -> ManagerError {
    let WorkflowRef { operation, round, .. } = named;
    ManagerError::not_found("workflow", format!("of operation {operation}, round {round}"))
}

impl Work<'_> {
    /// The operation is over: nobody is asked for its Workflows any more, and nothing about them waits for a person.
    pub(crate) async fn workflows_ended(&mut self, operation: OperationId) -> Result<()> {
        if self.manager.config.argo_regions.is_empty() {
            return Ok(());
        }
        for mut row in self.tx.workflows(operation).await? {
            self.settle_attention(&missing_key(&row)).await?;
            self.settle_attention(&ended_key(operation, &row.region)).await?;
            self.settle_attention(&silent_key(operation, &row.region)).await?;
            if row.deliver_at.take().is_some() {
                self.tx.put_workflow(&row).await?;
            }
        }
        Ok(())
    }

    /// The row of a Workflow that somebody speaks for, and its operation.
    async fn workflow(&mut self, named: &WorkflowRef) -> Result<(Operation, WorkflowRow)> {
        let unknown = || no_such(named);
        let rows = rounds_of(&mut *self.tx, named.operation, &named.region).await?;
        let row = rows.into_iter().find(|row| row.round == named.round).ok_or_else(unknown)?;
        let operation = self.tx.operation(named.operation).await?.ok_or_else(unknown)?;
        Ok((operation, row))
    }
}

/// The key of the attention about a Workflow that does not come.
fn missing_key(row: &WorkflowRow) -> String {
    format!("workflow-missing/{}/{}", row.operation, row.region)
}

fn missing(row: &WorkflowRow) -> Raised {
    let (region, operation) = (&row.region, row.operation);
    let why = row.problem.as_ref().map_or_else(
        || "its event was taken, and no discovery has spoken".to_owned(),
        |problem| format!("its event is not taken: {problem}"),
    );
    Raised {
        kind: AttentionKind::WorkflowMissing,
        key: missing_key(row),
        step: None,
        region: Some(region.clone()),
        message: format!("operation {operation} waits for its Workflow (round {}) in region {region}: {why}", row.round),
        remedy: "look at the event source, the Sensor's dead letters and the Workflow (docs/argo.md, \"In the night\"); the event \
                 is sent again by itself"
            .to_owned(),
    }
}

/// The key of the attention about a Workflow that somebody ended.
fn ended_key(operation: OperationId, region: &RegionName) -> String {
    format!("workflow-ended/{operation}/{region}")
}

/// A Workflow was ended before its operation, which is in this state now.
fn ended(row: &WorkflowRow, ended: &WorkflowEnded, operation: &Operation) -> Raised {
    let (region, id) = (&row.region, row.operation);
    let name = row.name.as_deref().unwrap_or("its Workflow");
    let (is, remedy) = match operation.state {
        OperationState::Paused => (
            "is paused",
            format!("tenantry op resume {id} (or: tenantry op cancel {id} --reason …)"),
        ),
        OperationState::Cancelling => (
            "is being cancelled, and a further Workflow ends what runs",
            "wait for it; if nobody ended the Workflow on purpose, look at it (docs/argo.md, \"In the night\")".to_owned(),
        ),
        _ => (
            "is planned by a further Workflow, which is asked for",
            format!(
                "mend what ended it (docs/argo.md, \"In the night\"); the further one comes by itself (or: tenantry op cancel {id} \
                 --reason …)"
            ),
        ),
    };
    let why = if ended.why.is_empty() { ended.how.clone() } else { format!("{}: {}", ended.how, ended.why) };
    Raised {
        kind: AttentionKind::WorkflowEnded,
        key: ended_key(id, region),
        step: None,
        region: Some(region.clone()),
        message: format!("operation {id} {is}: {name} in region {region} was ended before it ({why})"),
        remedy,
    }
}

/// The key of the attention about a Workflow of which nobody speaks.
fn silent_key(operation: OperationId, region: &RegionName) -> String {
    format!("workflow-silent/{operation}/{region}")
}

fn silent(row: &WorkflowRow, steps: &BTreeSet<HookRef>, since: Timestamp, operation: &Operation) -> Raised {
    let (region, id) = (&row.region, row.operation);
    let name = row.name.as_deref().unwrap_or("its Workflow");
    let mut named = steps.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if steps.len() > 5 {
        let _ = write!(named, " and {} more", steps.len() - 5);
    }
    let pause = if operation.state == OperationState::Paused {
        String::new()
    } else {
        format!("tenantry op pause {id} --reason …, then ")
    };
    Raised {
        kind: AttentionKind::WorkflowMissing,
        key: silent_key(id, region),
        step: None,
        region: Some(region.clone()),
        message: format!(
            "operation {id}: no bridge of {name} in region {region} has spoken since {since} for {named}; the Workflow was asked for \
             again, which makes it anew if it is gone"
        ),
        remedy: format!(
            "look at its Pods (docs/argo.md, \"In the night\"). If the Workflow is over: {pause}tenantry op resume {id}; what is left \
             goes on in a further one"
        ),
    }
}
