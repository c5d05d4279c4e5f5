//! The events that ask for Workflows: delivered until discovery has spoken.
//!
//! An event source that has taken one may still lose it, so it is sent again: the Workflow's name, which is the
//! operation's id and round, makes the second one nothing. Every manager does this: what one has claimed, the others pass
//! over, and what a dead one had claimed is due again.

use super::{missing, rounds_of, with_commands};
use crate::error::{ManagerError, Result};
use crate::reconcile::Pause;
use crate::repeat::repeating;
use crate::wait::Waiter;
use crate::{Manager, Principal};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tenantry_events::{CloudEvent, Sink, Undelivered};
use tenantry_failpoints::Point;
use tenantry_model::{Environment, Operation, RegionName};
use tenantry_store::WorkflowRow;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Where events for a region's Argo go.
pub type ArgoSinks = BTreeMap<RegionName, Arc<dyn Sink>>;

/// What the shipped Sensor listens to.
const REQUESTED: &str = "io.tenantry.operation.requested.v1";
/// Events that are taken at a time.
const BATCH: u32 = 50;
/// First and longest pause before an event is sent again.
const AGAIN: (SignedDuration, SignedDuration) = (SignedDuration::from_secs(5), SignedDuration::from_mins(5));
/// The first pause when it was taken: discovery needs a Pod.
const AGAIN_TAKEN: SignedDuration = SignedDuration::from_mins(2);
/// After so many deliveries without a word of the Workflow a person is told.
const TELL_AFTER: u32 = 3;
/// Longest sleep: what another manager has committed is noticed then.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

impl Manager {
    /// Delivers what is due until `shutdown`; each region's by themselves, so that an event source that does not answer
    /// keeps nobody else waiting.
    pub async fn deliver_workflows(&self, sinks: ArgoSinks, shutdown: CancellationToken) {
        let loops = sinks.iter().map(|(region, sink)| self.deliver_always(region, &**sink));
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = futures::future::join_all(loops) => {}
        }
    }

    async fn deliver_always(&self, region: &RegionName, sink: &dyn Sink) {
        let mut pause = Pause::new();
        loop {
            let mut waiter = Waiter::new(&self.store, LONGEST_SLEEP);
            waiter.listen();
            match self.deliver_in(region, sink).await {
                Ok(sleep) => {
                    pause = Pause::new();
                    let _ = tokio::time::timeout(sleep, waiter.wait()).await;
                }
                Err(error) => pause.after("workflows", &error).await,
            }
        }
    }

    /// Delivers what is due and says how long nothing will be.
    pub async fn deliver_due(&self, sinks: &ArgoSinks) -> Result<Duration> {
        let each = sinks.iter().map(|(region, sink)| self.deliver_in(region, &**sink));
        let sleeps = futures::future::try_join_all(each).await?;
        Ok(sleeps.into_iter().min().unwrap_or(LONGEST_SLEEP))
    }

    async fn deliver_in(&self, region: &RegionName, sink: &dyn Sink) -> Result<Duration> {
        loop {
            let due = self.store.read().await?.due_workflows(region, self.now(), BATCH).await?;
            if due.is_empty() {
                break;
            }
            let each = due.iter().map(|row| self.deliver_one(sink, row));
            futures::future::try_join_all(each).await?;
        }
        let next = self.store.read().await?.next_workflow(region).await?;
        let sleep = next.map_or(LONGEST_SLEEP, |at| {
            Duration::try_from(at.duration_since(self.now())).unwrap_or(Duration::ZERO)
        });
        Ok(sleep.clamp(Duration::from_millis(10), LONGEST_SLEEP))
    }

    async fn deliver_one(&self, sink: &dyn Sink, due: &WorkflowRow) -> Result<()> {
        let Some((row, event)) = self.claim_workflow(due).await? else { return Ok(()) };
        let delivered = sink.deliver(&event).await;
        self.note_delivery(&row, delivered).await
    }

    /// Sets the next time before anything is sent; what is to be sent. `None`: somebody else has it, or it is not needed any
    /// more.
    async fn claim_workflow(&self, due: &WorkflowRow) -> Result<Option<(WorkflowRow, CloudEvent)>> {
        let who = Principal::system();
        repeating(|| async {
            let mut work = self.begin_one(&who).await?;
            work.lock_of(due.operation).await?;
            let mut rounds = rounds_of(&mut *work.tx, due.operation, &due.region).await?;
            let Some(at) = rounds.iter().position(|row| row.round == due.round) else { return Ok(None) };
            let mut row = rounds.swap_remove(at);
            if row.deliver_at.is_none_or(|at| at > work.now) {
                return Ok(None);
            }
            let unknown = || ManagerError::not_found("operation", due.operation);
            let operation = work.tx.operation(due.operation).await?.ok_or_else(unknown)?;
            let needed = row.ended.is_none()
                && (!operation.state.is_final()
                    || !with_commands(&mut *work.tx, due.operation, &due.region).await?.is_empty());
            // One that has spoken before is asked for once; whoever found it silent does so again.
            let until_it_speaks = needed && row.discovered_at.is_none();
            row.tries += u32::from(until_it_speaks);
            row.deliver_at = until_it_speaks.then(|| again(&row, work.now));
            work.tx.put_workflow(&row).await?;
            let mut asks = None;
            if needed {
                let environment = work.environment_at(operation.generation).await?;
                let source = self.own_event_source(&mut *work.tx).await?;
                asks = Some(event(&row, &operation, &environment, &source));
            }
            work.commit(Point::WorkflowClaim).await?;
            Ok(asks.map(|event| (row, event)))
        })
        .await
    }

    async fn note_delivery(
        &self,
        sent: &WorkflowRow,
        delivered: std::result::Result<(), Undelivered>,
    ) -> Result<()> {
        let who = Principal::system();
        repeating(|| async {
            let mut work = self.begin_one(&who).await?;
            work.lock_of(sent.operation).await?;
            let rounds = rounds_of(&mut *work.tx, sent.operation, &sent.region).await?;
            let Some(mut row) = rounds.into_iter().find(|row| row.round == sent.round) else { return Ok(()) };
            // Discovery may have been faster than this answer.
            if row.discovered_at.is_some() {
                return Ok(());
            }
            match &delivered {
                Ok(()) => {
                    row.accepted_at.get_or_insert(work.now);
                    row.problem = None;
                    row.deliver_at = row.deliver_at.map(|_| again(&row, work.now));
                }
                Err(error) => {
                    let (region, round, tries) = (row.region.as_str(), row.round, row.tries);
                    warn!(operation = %row.operation, region, round, tries, %error, "the event for a Workflow was not taken; it is sent again");
                    row.problem = Some(error.message.clone());
                }
            }
            work.tx.put_workflow(&row).await?;
            let operation = work.tx.operation(row.operation).await?;
            // It may be over since: then nobody waits for its Workflow.
            let waits = operation.filter(|operation| !operation.state.is_final());
            if let Some(operation) = waits.filter(|_| row.tries >= TELL_AFTER) {
                work.raise_for(Some((operation.environment, operation.id)), &missing(&row)).await?;
            }
            work.commit(Point::WorkflowDeliver).await
        })
        .await
    }
}

/// When the event is sent again if nobody speaks.
fn again(row: &WorkflowRow, now: Timestamp) -> Timestamp {
    let first = if row.accepted_at.is_some() { AGAIN_TAKEN } else { AGAIN.0 };
    let pause = (first * 2_i32.saturating_pow(row.tries.saturating_sub(1).min(10))).min(AGAIN.1);
    now.checked_add(pause).unwrap_or(Timestamp::MAX)
}

/// Without settings: hooks get them from the manager with their attempt, and nobody else on the way needs them.
fn event(row: &WorkflowRow, operation: &Operation, environment: &Environment, source: &str) -> CloudEvent {
    let mut data = json!({
        "operation": operation.name,
        "operationId": operation.id,
        "round": row.round,
        "region": row.region,
        "environment": {
            "apiVersion": "tenantry.io/v1",
            "kind": "TenantEnvironment",
            "metadata": {
                "id": environment.id,
                "name": environment.name,
                "tenant": environment.tenant,
                "region": environment.region,
                "labels": environment.labels,
                "generation": environment.generation,
            },
        },
    });
    if let Some(priority) = operation.definition.priority {
        data["priority"] = json!(priority);
    }
    let id = format!("{}/{}/{}", operation.id, row.region, row.round);
    let mut event = CloudEvent::new(id, source, REQUESTED, row.requested_at, data);
    event.subject = Some(format!("{}/{}", environment.tenant, environment.name));
    event
}
