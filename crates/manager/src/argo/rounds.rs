//! Further Workflows: for what is to be done although no bridge will take it. Looked for again and again from the rows, so
//! that neither a crash nor the way by which it came about matters.

use super::rounds_of;
use crate::error::Result;
use crate::repeat::repeating;
use crate::{Manager, Principal};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_failpoints::Point;
use tenantry_model::{HookRef, OperationId, OperationState, Page, RegionName};
use tenantry_store::{BridgeRow, WorkflowRow};

/// Commands of a region that are looked at in a turn; what lies behind them comes when they are done.
const LOOK: u32 = 1000;

impl Manager {
    /// Asks for a Workflow wherever one is needed.
    pub async fn check_workflows(&self) -> Result<()> {
        self.check_workflows_as(&Principal::system()).await
    }

    pub(crate) async fn check_workflows_as(&self, who: &Principal) -> Result<()> {
        for region in &self.config.argo_regions {
            for (operation, hooks) in self.waiting_for_bridges(region).await? {
                self.check_rounds(who, operation, region, &hooks).await?;
            }
        }
        Ok(())
    }

    /// The steps of the region with a command that nobody has, or an attempt that is not over, by operation.
    async fn waiting_for_bridges(
        &self,
        region: &RegionName,
    ) -> Result<BTreeMap<OperationId, BTreeSet<HookRef>>> {
        let mut found: BTreeMap<OperationId, BTreeSet<HookRef>> = BTreeMap::new();
        let now = self.now();
        for command in self.store.read().await?.commands(region, LOOK).await? {
            if command.lease.as_ref().is_none_or(|lease| lease.until <= now) {
                found.entry(command.attempt.operation).or_default().insert(command.attempt.step);
            }
        }
        let mut page = Page { after: None, limit: LOOK };
        loop {
            let mut read = self.store.read().await?;
            let part = read.operations_running_in(region, &page).await?;
            for operation in part.items {
                // Of an ended Workflow nobody follows what runs: looked at more closely below.
                let rounds = rounds_of(&mut *read, operation, region).await?;
                if rounds.last().is_some_and(|row| row.ended.is_some()) {
                    found.entry(operation).or_default();
                }
            }
            match part.next {
                Some(next) => page.after = Some(next),
                None => return Ok(found),
            }
        }
    }

    async fn check_rounds(
        &self,
        who: &Principal,
        operation: OperationId,
        region: &RegionName,
        hooks: &BTreeSet<HookRef>,
    ) -> Result<()> {
        if !self.needs_round(operation, region, hooks).await? {
            return Ok(());
        }
        repeating(|| async {
            let mut work = self.begin_one(who).await?;
            work.lock_of(operation).await?;
            let rounds = rounds_of(&mut *work.tx, operation, region).await?;
            // Under the lock: another manager may have seen the same.
            let newest = rounds.last().map_or(0, |row| row.round);
            if rounds.last().is_some_and(|row| row.discovered_at.is_none() && row.ended.is_none()) {
                return Ok(());
            }
            work.tx.put_workflow(&WorkflowRow::new(operation, region.clone(), newest + 1, work.now)).await?;
            work.commit(Point::WorkflowRound).await
        })
        .await
    }

    async fn needs_round(
        &self,
        operation: OperationId,
        region: &RegionName,
        hooks: &BTreeSet<HookRef>,
    ) -> Result<bool> {
        let mut read = self.store.read().await?;
        let Some(row) = read.operation(operation).await? else { return Ok(false) };
        let rounds = rounds_of(&mut *read, operation, region).await?;
        let Some(newest) = rounds.last() else { return Ok(false) };
        if newest.ended.is_some() {
            // A person lets it go on. A cancel is one: what it ends needs somebody who ends it.
            return Ok(!matches!(row.state, OperationState::Paused));
        }
        if newest.discovered_at.is_none() {
            return Ok(false);
        }
        let bridges: BTreeMap<HookRef, BridgeRow> =
            read.bridges(operation).await?.into_iter().map(|row| (row.hook.clone(), row)).collect();
        Ok(hooks.iter().any(|hook| !has_bridge(hook, newest, bridges.get(hook))))
    }
}

/// Whether a bridge of the newest Workflow takes, or will take, what is to be done for the step.
fn has_bridge(hook: &HookRef, newest: &WorkflowRow, bridge: Option<&BridgeRow>) -> bool {
    match bridge.filter(|bridge| bridge.round == newest.round) {
        Some(bridge) => bridge.left_at.is_none(),
        // Before the order was asked for nobody knows; afterwards, a level that has not begun yet.
        None => newest.ordered.is_empty() || newest.ordered.contains(&hook.path()),
    }
}
