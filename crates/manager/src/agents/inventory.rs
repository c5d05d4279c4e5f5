//! The hooks that a region has: whole in pages, then changes. What a region stops naming is absent, not forgotten.

use super::{InventoryPart, ReportedHook, agent, current};
use crate::error::{ManagerError, Result, problems};
use crate::repeat::repeating;
use crate::retention::believed;
use crate::work::Work;
use crate::{Manager, Principal, outbox};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_engine::{Raised, keys};
use tenantry_failpoints::Point;
use tenantry_model::{
    AgentSessionId, AttentionKind, HookPath, HookRef, OperationState, Page, RegionName, Scope, TemplateHash,
};
use tenantry_store::{HookRow, OperationFilter};

/// A whole inventory that is on its way: what its pages have named so far. A row, so that the pages may reach
/// different managers.
#[derive(Debug, Serialize, Deserialize)]
struct Staged {
    session: AgentSessionId,
    named: BTreeSet<HookPath>,
}

/// From so many hooks on, all of their region are read at once.
const TOGETHER: usize = 20;

/// The report says what the row says.
pub(crate) fn is_known(row: &HookRow, report: &ReportedHook) -> bool {
    row.current == report.hook
        && row.problems == report.problems
        && row.absent_since.is_none()
        && row.retired.is_none()
}

/// What a report did.
struct Taken {
    /// A hook is another one than before.
    changed: bool,
    /// Further pages of the same inventory will follow.
    more_to_come: bool,
}

/// What may wait for a person about a hook.
fn keys_about(hook: &HookRef) -> [String; 2] {
    [keys::hook_quarantined(hook), keys::hook_left_out(hook)]
}

impl Manager {
    /// Takes in hooks. Answers with the versions whose templates the agent must keep.
    pub async fn agent_inventory(
        &self,
        region: &RegionName,
        session: AgentSessionId,
        part: InventoryPart,
    ) -> Result<Vec<TemplateHash>> {
        let who = agent(region, None);
        let more_to_come = repeating(|| self.take_part(&who, region, session, &part)).await?;
        // Only the last page of several needs the answer, for which every unfinished operation is read.
        if more_to_come { Ok(Vec::new()) } else { self.keep_list(region).await }
    }

    /// One page; tells whether further ones of the same inventory will follow.
    async fn take_part(
        &self,
        who: &Principal,
        region: &RegionName,
        session: AgentSessionId,
        part: &InventoryPart,
    ) -> Result<bool> {
        let mut work = self.begin(who).await?;
        let mut row = work.region(region).await?;
        current(&row, session)?;
        let taken = work.take_in(region, session, part).await?;
        if part.end && !row.inventory_complete {
            row.inventory_complete = true;
            row.last_seen_at = Some(work.now);
            work.tx.put_region(&row).await?;
            work.common_event(outbox::REGION_CHANGED, outbox::region(&row)).await?;
        }
        if taken.changed || part.end {
            work.wake_planning(region).await?;
        }
        work.commit(Point::InventoryTake).await?;
        Ok(taken.more_to_come)
    }

    /// The versions whose templates the agent must keep: the last good one of each hook, those of unfinished
    /// operations, and those that a replay may run.
    async fn keep_list(&self, region: &RegionName) -> Result<Vec<TemplateHash>> {
        let mut read = self.store.read().await?;
        let now = believed(&mut *read, self.now()).await?.ok();
        let oldest = now.and_then(|now| now.checked_sub(self.config.replayable).ok());
        let oldest = oldest.unwrap_or(jiff::Timestamp::MIN);
        let mut keep: BTreeSet<TemplateHash> = read.needed_templates(region).await?.into_iter().collect();
        for row in read.hooks(region).await? {
            keep.extend(row.last_good.map(|hook| hook.hash));
            keep.extend(row.planned.into_iter().filter(|(_, at)| *at > oldest).map(|(hash, _)| hash));
        }
        Ok(keep.into_iter().collect())
    }
}

impl Work<'_> {
    /// Operations that wait for this region's hooks look again as soon as this unit is committed. Their timers are
    /// rows, so that none is forgotten, and the caller does not wait for thousands of plans.
    pub(crate) async fn wake_planning(&mut self, region: &RegionName) -> Result<()> {
        let mut filter =
            OperationFilter { state: Some(OperationState::Planning), ..OperationFilter::default() };
        if !self.manager.config.further_regions.contains(region) {
            filter.scopes = Some(vec![Scope::Region(region.clone())]);
        }
        let mut page = Page { after: None, limit: 500 };
        loop {
            let part = self.tx.operations(&filter, &page).await?;
            for operation in part.items {
                self.tx.put_timer(operation.id, Some(self.now)).await?;
            }
            match part.next {
                Some(next) => page.after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn take_in(
        &mut self,
        region: &RegionName,
        session: AgentSessionId,
        part: &InventoryPart,
    ) -> Result<Taken> {
        let mut changed = self.all_present(region, &part.present).await?;
        for path in &part.absent {
            changed |= self.absent(&HookRef::new(region.clone(), path.clone())).await?;
        }
        let key = format!("inventory/{region}");
        let staged = match self.tx.setting(&key).await? {
            _ if part.begin => Some(Staged { session, named: BTreeSet::new() }),
            Some(value) => serde_json::from_value::<Option<Staged>>(value).ok().flatten(),
            None => None,
        };
        let Some(mut staged) = staged.filter(|staged| staged.session == session) else {
            // Without a staged inventory this is a report of changes; a last page alone proves nothing absent.
            return if part.end {
                Err(ManagerError::InventoryRestart(region.to_string()))
            } else {
                Ok(Taken { changed, more_to_come: false })
            };
        };
        staged.named.extend(part.present.iter().map(|report| report.path.clone()));
        if !part.end {
            self.put_staged(&key, Some(&staged)).await?;
            return Ok(Taken { changed, more_to_come: true });
        }
        for row in self.tx.hooks(region).await? {
            if !staged.named.contains(&row.hook.path()) {
                changed |= self.absent(&row.hook).await?;
            }
        }
        self.put_staged(&key, None).await?;
        Ok(Taken { changed, more_to_come: false })
    }

    async fn put_staged(&mut self, key: &str, staged: Option<&Staged>) -> Result<()> {
        let value =
            serde_json::to_value(staged).map_err(|error| ManagerError::Internal(error.to_string()))?;
        Ok(self.tx.put_setting(key, &value).await?)
    }

    /// A page of hooks. What is known of them, and what is open about them, is read together: a store on another machine answers
    /// a thousand questions in the time of a thousand ways.
    async fn all_present(&mut self, region: &RegionName, reports: &[ReportedHook]) -> Result<bool> {
        let mut changed = false;
        if reports.len() < TOGETHER {
            for report in reports {
                changed |= self.present(region, report).await?;
            }
            return Ok(changed);
        }
        let rows = self.tx.hooks(region).await?;
        let mut known: BTreeMap<HookRef, HookRow> =
            rows.into_iter().map(|row| (row.hook.clone(), row)).collect();
        let hook = |report: &ReportedHook| HookRef::new(region.clone(), report.path.clone());
        let about: Vec<String> = reports.iter().flat_map(|report| keys_about(&hook(report))).collect();
        let open: BTreeSet<String> = self.tx.open_keys(&about).await?.into_iter().collect();
        for report in reports {
            let before = known.remove(&hook(report));
            changed |= self.take_hook(hook(report), before, report, &open).await?;
        }
        Ok(changed)
    }

    pub(crate) async fn present(&mut self, region: &RegionName, report: &ReportedHook) -> Result<bool> {
        let hook = HookRef::new(region.clone(), report.path.clone());
        let before = self.tx.hook(&hook).await?;
        let open = self.tx.open_keys(&keys_about(&hook)).await?.into_iter().collect();
        self.take_hook(hook, before, report, &open).await
    }

    /// `open`: the keys about it that wait for a person.
    async fn take_hook(
        &mut self,
        hook: HookRef,
        before: Option<HookRow>,
        report: &ReportedHook,
        open: &BTreeSet<String>,
    ) -> Result<bool> {
        if before.as_ref().is_some_and(|row| is_known(row, report)) {
            return Ok(false);
        }
        let same_version = before.as_ref().is_some_and(|row| row.current == report.hook);
        let seen_at = before.as_ref().filter(|_| same_version).map_or(self.now, |row| row.seen_at);
        let row = HookRow {
            hook: hook.clone(),
            current: report.hook.clone(),
            problems: report.problems.clone(),
            last_good: before.as_ref().and_then(|row| row.last_good.clone()),
            planned: before.map(|row| row.planned).unwrap_or_default(),
            absent_since: None,
            retired: None,
            seen_at,
        };
        self.tx.put_hook(&row).await?;
        self.common_event(outbox::HOOK_CHANGED, outbox::hook(&row)).await?;
        self.judge(&row, open).await?;
        Ok(true)
    }

    pub(crate) async fn absent(&mut self, hook: &HookRef) -> Result<bool> {
        let Some(mut row) = self.tx.hook(hook).await?.filter(|row| row.absent_since.is_none()) else {
            return Ok(false);
        };
        row.absent_since = Some(self.now);
        self.tx.put_hook(&row).await?;
        self.common_event(outbox::HOOK_CHANGED, outbox::hook(&row)).await?;
        // What was wrong with it is not there any more.
        self.settle_attention(&keys::hook_quarantined(hook)).await?;
        self.settle_attention(&keys::hook_left_out(hook)).await?;
        Ok(true)
    }

    /// A version that cannot be read waits for its team, whether or not an operation comes along.
    async fn judge(&mut self, row: &HookRow, open: &BTreeSet<String>) -> Result<()> {
        let (hook, (quarantined, left_out)) =
            (&row.hook, (keys::hook_quarantined(&row.hook), keys::hook_left_out(&row.hook)));
        if row.current.is_some() {
            for key in [quarantined, left_out].iter().filter(|key| open.contains(*key)) {
                self.settle_attention(key).await?;
            }
            return Ok(());
        }
        let (kind, key, other, effect) = if self.manager.is_argo(&hook.region) {
            let effect = "operations that it takes part in are refused";
            (AttentionKind::HookQuarantined, quarantined, left_out, effect)
        } else if row.last_good.is_some() {
            (AttentionKind::HookQuarantined, quarantined, left_out, "its last good version runs")
        } else {
            (AttentionKind::HookLeftOut, left_out, quarantined, "it has no good version and is left out")
        };
        self.settle_attention(&other).await?;
        let raised = Raised {
            kind,
            key,
            step: Some(hook.clone()),
            region: Some(hook.region.clone()),
            message: format!("hook {hook} cannot be read, {effect}: {}", problems(&row.problems)),
            remedy: row.problems.first().map_or_else(
                || format!("tenantry hook explain {} --environment … --operation …", hook.path()),
                |p| p.remedy.clone(),
            ),
        };
        self.raise_for(None, &raised).await
    }
}
