//! What a Workflow's first step says and gets: the hooks of the region, then the steps to run.

use super::{bridge, ended_key, missing_key, no_such, rounds_of, silent_key, with_commands};
use crate::agents::is_known;
use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::wait::Waiter;
use crate::work::Work;
use crate::{Manager, ReportedHook};
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tenantry_api_types::bridge::{OrderAnswer, OrderedStep, WorkflowRef};
use tenantry_failpoints::Point;
use tenantry_model::{
    AgentSessionId, Environment, HookPath, HookRef, Operation, OperationId, OperationState, RegionName, Step,
    StepState,
};
use tenantry_store::{HookRow, StagedHooks, WorkflowRow};

/// Between two looks of a poll: a commit wakes every one of them.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// While an operation is planned, its discovery looks again so often.
const LIST_AGAIN: SignedDuration = SignedDuration::from_secs(30);

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
            // Nearly always all of them are known: then nobody else has to wait for this page.
            let changes = self.would_change(from, session, (begin, end), present).await?;
            let mut work = if changes { self.begin(&who).await? } else { self.begin_one(&who).await? };
            work.lock_of(from.operation).await?;
            let (operation, mut row) = work.workflow(from).await?;
            // The answer to the last page was lost.
            if row.listed == Some(session) {
                return Ok(());
            }
            let staged = row.staged.take().filter(|staged| staged.session == session);
            // The first page may come twice too, and late: what came after it stays.
            let staged = staged.or_else(|| begin.then(|| StagedHooks { session, named: BTreeSet::new() }));
            let mut staged = staged.ok_or_else(|| ManagerError::InventoryRestart(from.region.to_string()))?;
            if changes {
                for report in present {
                    work.present(&from.region, report).await?;
                }
            }
            staged.named.extend(present.iter().map(|report| report.path.clone()));
            row.name = Some(from.name.clone());
            if end {
                row.listed = Some(session);
                row.listed_at = Some(work.now);
                if changes {
                    work.leave_out(&operation, &from.region, &staged.named).await?;
                }
                work.discovered(&operation, &mut row).await?;
            } else {
                row.staged = Some(staged);
            }
            work.tx.put_workflow(&row).await?;
            work.commit(Point::WorkflowHooks).await
        })
        .await
    }

    /// Whether this page says of some hook what the rows do not say.
    async fn would_change(
        &self,
        from: &WorkflowRef,
        session: AgentSessionId,
        (begin, end): (bool, bool),
        present: &[ReportedHook],
    ) -> Result<bool> {
        let mut read = self.store.read().await?;
        let reported =
            present.iter().map(|report| HookRef::new(from.region.clone(), report.path.clone())).collect();
        let hooks: BTreeMap<HookPath, HookRow> =
            read.hooks_among(&reported).await?.into_iter().map(|row| (row.hook.path(), row)).collect();
        if present.iter().any(|report| !hooks.get(&report.path).is_some_and(|row| is_known(row, report))) {
            return Ok(true);
        }
        if !end {
            return Ok(false);
        }
        let Some(operation) = read.operation(from.operation).await? else { return Ok(false) };
        let rounds = rounds_of(&mut *read, from.operation, &from.region).await?;
        let row = rounds.into_iter().find(|row| row.round == from.round);
        let staged = row.and_then(|row| row.staged).filter(|staged| staged.session == session && !begin);
        let mut named = staged.map(|staged| staged.named).unwrap_or_default();
        named.extend(present.iter().map(|report| report.path.clone()));
        let hooks = read.hooks_for(&from.region, &operation.name).await?;
        Ok(hooks.iter().any(|row| row.absent_since.is_none() && is_left_out(row, &operation, &named)))
    }

    /// The steps that a Workflow is to run; waits until they are known.
    pub async fn bridge_order(&self, from: &WorkflowRef, wait: Duration) -> Result<OrderAnswer> {
        let mut waiter = Waiter::new(&self.store, wait);
        loop {
            waiter.listen();
            let answer = self.look_for_order(from).await?;
            if !matches!(answer, OrderAnswer::Waiting { list_again: false, .. }) || !waiter.wait().await {
                return Ok(answer);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn look_for_order(&self, from: &WorkflowRef) -> Result<OrderAnswer> {
        let unknown = || ManagerError::not_found("operation", from.operation);
        let mut read = self.store.read().await?;
        let operation = read.operation(from.operation).await?.ok_or_else(unknown)?;
        let rounds = rounds_of(&mut *read, from.operation, &from.region).await?;
        let asked = rounds.into_iter().find(|row| row.round == from.round);
        let row = asked.ok_or_else(|| no_such(from))?;
        match operation.state {
            OperationState::Pending | OperationState::Planning => {
                let note = operation.note.unwrap_or_else(|| "the operation is being planned".to_owned());
                // A hook that Argo CD was just replacing, or that a team has mended since, is known when it is told again.
                let list_again = row.listed_at.is_some_and(|at| self.now().duration_since(at) >= LIST_AGAIN);
                Ok(OrderAnswer::Waiting { note, list_again })
            }
            state if state.is_final() => {
                // What is to be let go of needs a bridge also when nothing is to be run.
                if !with_commands(&mut *read, from.operation, &from.region).await?.is_empty() {
                    drop(read);
                    return self.order(from).await;
                }
                Ok(OrderAnswer::Over {
                    succeeded: state == OperationState::Succeeded,
                    message: match (operation.problem, operation.note) {
                        (Some(problem), Some(note)) => format!("{note} ({problem})"),
                        (Some(why), None) => why,
                        (None, _) => format!("the operation is over: {state:?}"),
                    },
                })
            }
            _ => {
                drop(read);
                self.order(from).await
            }
        }
    }

    /// Notes what the Workflow runs: anything else that comes up needs a further one.
    async fn order(&self, from: &WorkflowRef) -> Result<OrderAnswer> {
        let who = bridge(&from.region);
        repeating(|| async {
            let mut work = self.begin_one(&who).await?;
            work.lock_of(from.operation).await?;
            let (operation, mut row) = work.workflow(from).await?;
            let left = with_commands(&mut *work.tx, from.operation, &from.region).await?;
            let steps = ordered(&work.tx.steps(from.operation).await?, &from.region, &operation, &left);
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
/// are over, are kept by the commands that do not come before their time. And those that are over and have left something to be
/// let go of, since the bridge that they had is gone: without one of their own every further Workflow would be one too few.
fn ordered(
    steps: &[Step],
    region: &RegionName,
    operation: &Operation,
    left: &BTreeSet<HookRef>,
) -> Vec<OrderedStep> {
    let is_open = |step: &Step| left.contains(&step.hook) || !(operation.state.is_final() || is_over(step));
    let open: BTreeMap<&HookRef, &Step> = steps
        .iter()
        .filter(|step| step.hook.region == *region && is_open(step))
        .map(|step| (&step.hook, step))
        .collect();
    let runs = |after: &HookRef| open.get(after).is_some_and(|step| !is_over(step));
    open.iter()
        .map(|(hook, step)| OrderedStep {
            hook: hook.path(),
            after: step.after.iter().filter(|after| runs(after)).map(HookRef::path).collect(),
        })
        .collect()
}

/// What takes part in the operation, as far as the row knows, and was not named.
fn is_left_out(row: &HookRow, operation: &Operation, named: &BTreeSet<HookPath>) -> bool {
    // Of what cannot be read nobody knows which operations it is for: every discovery names it.
    let concerned = row.current.as_ref().is_none_or(|hook| hook.operations.contains(&operation.name));
    concerned && !named.contains(&row.hook.path())
}

impl Work<'_> {
    /// What takes part in this operation, as far as the rows know, and was not found.
    async fn leave_out(
        &mut self,
        operation: &Operation,
        region: &RegionName,
        named: &BTreeSet<HookPath>,
    ) -> Result<()> {
        for row in self.tx.hooks_for(region, &operation.name).await? {
            if is_left_out(&row, operation, named) {
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
            self.settle_attention(&silent_key(row.operation, &row.region)).await?;
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
