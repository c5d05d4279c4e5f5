//! What a Workflow's first step says and gets: the hooks of the region, then the steps to run.

use super::{bridge, ended_key, missing_key, rounds_of};
use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::wait::Waiter;
use crate::work::Work;
use crate::{Manager, ReportedHook};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tenantry_api_types::bridge::{OrderAnswer, OrderedStep, WorkflowRef};
use tenantry_failpoints::Point;
use tenantry_model::{
    AgentSessionId, Environment, HookPath, HookRef, Operation, OperationId, OperationState, RegionName, Step,
    StepState,
};
use tenantry_store::{StagedHooks, WorkflowRow};

/// Between two looks of a poll: a commit wakes every one of them.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

impl Manager {
    /// Takes in the hooks that discovery has found. The last page tells what is absent, and the operation is planned.
    pub async fn bridge_hooks(
        &self,
        from: &WorkflowRef,
        session: AgentSessionId,
        (begin, end): (bool, bool),
        present: &[ReportedHook],
    ) -> Result<()> {
        let who = bridge(&from.region);
        repeating(|| async {
            let mut work = self.begin(&who).await?;
            let (operation, mut row) = work.workflow(from).await?;
            for report in present {
                work.present(&from.region, report).await?;
            }
            let begun =
                if begin { Some(StagedHooks { session, named: BTreeSet::new() }) } else { row.staged.take() };
            let mut staged = begun
                .filter(|staged| staged.session == session)
                .ok_or_else(|| ManagerError::InventoryRestart(from.region.to_string()))?;
            staged.named.extend(present.iter().map(|report| report.path.clone()));
            row.name = Some(from.name.clone());
            if end {
                work.leave_out(&operation, &from.region, &staged.named).await?;
                work.discovered(&operation, &mut row).await?;
            } else {
                row.staged = Some(staged);
            }
            work.tx.put_workflow(&row).await?;
            work.commit(Point::WorkflowHooks).await
        })
        .await
    }

    /// The steps that a Workflow is to run; waits until they are known.
    pub async fn bridge_order(&self, from: &WorkflowRef, wait: Duration) -> Result<OrderAnswer> {
        let mut waiter = Waiter::new(&self.store, wait);
        loop {
            waiter.listen();
            let answer = self.look_for_order(from).await?;
            if !matches!(answer, OrderAnswer::Waiting { .. }) || !waiter.wait().await {
                return Ok(answer);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn look_for_order(&self, from: &WorkflowRef) -> Result<OrderAnswer> {
        let unknown = || ManagerError::not_found("operation", from.operation);
        let operation = self.store.read().await?.operation(from.operation).await?.ok_or_else(unknown)?;
        match operation.state {
            OperationState::Pending | OperationState::Planning => {
                let note = operation.note.unwrap_or_else(|| "the operation is being planned".to_owned());
                Ok(OrderAnswer::Waiting { note })
            }
            state if state.is_final() => Ok(OrderAnswer::Over {
                succeeded: state == OperationState::Succeeded,
                message: operation.problem.unwrap_or_else(|| format!("the operation is over: {state:?}")),
            }),
            _ => self.order(from).await,
        }
    }

    /// Notes what the Workflow runs: anything else that comes up needs a further one.
    async fn order(&self, from: &WorkflowRef) -> Result<OrderAnswer> {
        let who = bridge(&from.region);
        repeating(|| async {
            let mut work = self.begin_one(&who).await?;
            work.lock_of(from.operation).await?;
            let (_, mut row) = work.workflow(from).await?;
            let steps = ordered(&work.tx.steps(from.operation).await?, &from.region);
            let before = row.ordered.len();
            row.ordered.extend(steps.iter().map(|step| step.hook.clone()));
            if row.ordered.len() > before {
                work.tx.put_workflow(&row).await?;
                work.commit(Point::WorkflowOrder).await?;
            }
            Ok(OrderAnswer::Ready { steps })
        })
        .await
    }
}

/// Nothing of the step is left to be done.
pub(super) fn is_over(step: &Step) -> bool {
    step.is_settled() || step.state == StepState::Cancelled
}

/// The region's steps that are not over, with the edges between them: those over steps of other regions, or over steps that
/// are over, are kept by the commands that do not come before their time.
fn ordered(steps: &[Step], region: &RegionName) -> Vec<OrderedStep> {
    let open: BTreeMap<&HookRef, &Step> = steps
        .iter()
        .filter(|step| step.hook.region == *region && !is_over(step))
        .map(|step| (&step.hook, step))
        .collect();
    open.iter()
        .map(|(hook, step)| OrderedStep {
            hook: hook.path(),
            after: step.after.iter().filter(|after| open.contains_key(after)).map(HookRef::path).collect(),
        })
        .collect()
}

impl Work<'_> {
    /// What takes part in this operation, as far as the rows know, and was not found.
    async fn leave_out(
        &mut self,
        operation: &Operation,
        region: &RegionName,
        named: &BTreeSet<HookPath>,
    ) -> Result<()> {
        for row in self.tx.hooks(region).await? {
            // Of what cannot be read nobody knows which operations it is for: every discovery names it.
            let concerned = row.current.as_ref().is_none_or(|hook| hook.operations.contains(&operation.name));
            if concerned && !named.contains(&row.hook.path()) {
                self.absent(&row.hook).await?;
            }
        }
        Ok(())
    }

    async fn discovered(&mut self, operation: &Operation, row: &mut WorkflowRow) -> Result<()> {
        row.discovered_at.get_or_insert(self.now);
        row.deliver_at = None;
        row.problem = None;
        self.settle_attention(&missing_key(row)).await?;
        if row.round > 1 {
            self.settle_attention(&ended_key(row.operation, &row.region)).await?;
        }
        if operation.state == OperationState::Planning {
            self.tx.put_timer(operation.id, Some(self.now)).await?;
        }
        Ok(())
    }

    /// The regions of Argo whose hooks this operation has to wait for. Asks for their Workflows.
    pub(crate) async fn undiscovered(
        &mut self,
        operation: OperationId,
        environment: &Environment,
    ) -> Result<Vec<RegionName>> {
        let manager = self.manager;
        let mut waits = Vec::new();
        for region in manager.regions_of(environment).into_iter().filter(|region| manager.is_argo(region)) {
            let rounds = rounds_of(&mut *self.tx, operation, &region).await?;
            if rounds.is_empty() {
                let row = WorkflowRow::new(operation, region.clone(), 1, self.now);
                self.tx.put_workflow(&row).await?;
            }
            if rounds.iter().all(|row| row.discovered_at.is_none()) {
                waits.push(region);
            }
        }
        Ok(waits)
    }
}
