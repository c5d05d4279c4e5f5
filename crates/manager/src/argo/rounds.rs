//! Further Workflows: for what is to be done although no bridge will take it. Looked for again and again from the rows, so
//! that neither a crash nor the way by which it came about matters.

use super::rounds_of;
use crate::error::Result;
use crate::repeat::repeating;
use crate::{Manager, Principal};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_failpoints::Point;
use tenantry_model::{HookRef, Operation, OperationId, OperationState, Page, RegionName};
use tenantry_store::{BridgeRow, WorkflowRow};

/// Operations that run in a region are looked at in pages.
const LOOK: u32 = 1000;
/// After a Workflow that was ended, nobody being asked, the next comes at once; after several in a row with such pauses, since
/// whatever ends them is likely to do so again.
const AGAIN: (SignedDuration, SignedDuration) = (SignedDuration::from_mins(1), SignedDuration::from_hours(1));

/// The next round after these, to be asked for now, or after a pause if the newest ones were ended without anybody's decision.
pub(super) fn next_round(
    rounds: &[WorkflowRow],
    operation: &Operation,
    region: &RegionName,
    now: Timestamp,
) -> WorkflowRow {
    let newest = rounds.last().map_or(0, |row| row.round);
    let mut row = WorkflowRow::new(operation.id, region.clone(), newest + 1, now);
    let in_a_row = rounds.iter().rev().take_while(|row| row.ended.is_some()).count();
    // A running operation was paused, and a person has let it go on.
    let decided = operation.state == OperationState::Running;
    if let Some(doublings) = in_a_row.checked_sub(2).filter(|_| !decided) {
        let doublings = u32::try_from(doublings.min(10)).unwrap_or(10);
        let pause = (AGAIN.0 * 2_i32.saturating_pow(doublings)).min(AGAIN.1);
        row.deliver_at = now.checked_add(pause).ok();
    }
    row
}

impl Manager {
    /// Asks for a Workflow wherever one is needed, and notices those that say nothing.
    pub async fn check_workflows(&self) -> Result<()> {
        self.check_workflows_as(&Principal::system()).await
    }

    pub(crate) async fn check_workflows_as(&self, who: &Principal) -> Result<()> {
        let mut all = Vec::new();
        for region in &self.config.argo_regions {
            let waiting = self.waiting_for_bridges(region).await?;
            for (operation, hooks) in &waiting {
                self.check_rounds(who, *operation, region, hooks).await?;
            }
            all.push((region, waiting));
        }
        // After looks that the store has answered: while it was away nobody could be heard.
        if let Some(from) = self.silence_is_due() {
            for (region, waiting) in all {
                self.check_silence(who, region, &waiting, from).await?;
            }
        }
        Ok(())
    }

    /// The operations with something to be done or running in the region; the steps with a command that nobody has.
    async fn waiting_for_bridges(
        &self,
        region: &RegionName,
    ) -> Result<BTreeMap<OperationId, BTreeSet<HookRef>>> {
        let mut found: BTreeMap<OperationId, BTreeSet<HookRef>> = BTreeMap::new();
        for (_, attempt) in self.store.read().await?.free_commands(region, self.now()).await? {
            found.entry(attempt.operation).or_default().insert(attempt.step);
        }
        let mut page = Page { after: None, limit: LOOK };
        loop {
            let part = self.store.read().await?.operations_running_in(region, &page).await?;
            for operation in part.items {
                found.entry(operation).or_default();
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
            let asked_for = rounds.last().filter(|row| row.discovered_at.is_none() && row.ended.is_none());
            let row = match (asked_for, work.tx.operation(operation).await?) {
                // Its operation has ended before it came, and has left something to be carried out.
                (Some(row), _) if row.deliver_at.is_none() => {
                    WorkflowRow { deliver_at: Some(work.now), ..row.clone() }
                }
                (None, Some(operation)) => next_round(&rounds, &operation, region, work.now),
                _ => return Ok(()),
            };
            work.tx.put_workflow(&row).await?;
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
        // It was planned while an agent had the region.
        let Some(newest) = rounds.last() else { return Ok(true) };
        if newest.ended.is_some() {
            // A person lets it go on. A cancel is one: what it ends needs somebody who ends it. After the end somebody has
            // to let go of what ran.
            return Ok(match row.state {
                OperationState::Paused => false,
                state if state.is_final() => !hooks.is_empty(),
                _ => true,
            });
        }
        if newest.discovered_at.is_none() {
            return Ok(newest.deliver_at.is_none() && !hooks.is_empty());
        }
        if hooks.is_empty() {
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
