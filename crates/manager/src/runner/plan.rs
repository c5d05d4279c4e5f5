//! From planning to running: gathers what a plan is made from, and records what it found about hooks.

use super::limits::Limits;
use crate::error::{ManagerError, Result};
use crate::holds::holds_for_plan;
use crate::retention::believed;
use crate::work::Work;
use crate::{Manager, outbox};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_engine::{Event, Plan, PlanInput, PlanPolicy, PlanRefusal, Raised, RegisteredHook, keys};
use tenantry_model::{
    AppliedHook, AttentionKind, Environment, Hold, HookRef, Operation, OperationDefinition, OperationId,
    OperationName, Region, RegionName, StepState, TemplateHash,
};
use tenantry_store::{HookRow, Read};

/// How exact it is known when a version was last planned.
const PLANNED_GRAIN: SignedDuration = SignedDuration::from_hours(1);

/// Everything a plan is made from, as it is in the store now.
pub(crate) struct PlanBasis {
    pub(crate) hooks: Vec<RegisteredHook>,
    /// The versions of each hook that were planned lately, and when.
    planned: BTreeMap<HookRef, BTreeMap<TemplateHash, Timestamp>>,
    pub(crate) applied: Vec<AppliedHook>,
    pub(crate) holds: Vec<Hold>,
    pub(crate) policy: PlanPolicy,
    limits: Limits,
    /// Regions whose hooks take part but are not known for certain now: no agent, or no complete inventory.
    pub(crate) unready: Vec<Unready>,
}

/// A region that plans have to wait for.
pub(crate) struct Unready {
    pub(crate) name: RegionName,
    pub(crate) why: &'static str,
    /// A person has to bring its agent back.
    pub(crate) silent: bool,
}

impl Manager {
    /// Only hooks that can change the plan of this operation are read, and those of `also`: an installation may have thousands.
    pub(crate) async fn plan_basis(
        &self,
        read: &mut (dyn Read + '_),
        environment: &Environment,
        operation: &OperationName,
        also: BTreeSet<HookRef>,
        now: Timestamp,
    ) -> Result<PlanBasis> {
        let unready = self.unready_regions(read, environment, now).await?;
        let regions = self.regions_of(environment);
        let mut rows = Vec::new();
        for name in &regions {
            rows.extend(read.hooks_for(name, operation).await?);
        }
        let applied = read.applied(environment.id).await?;
        // Of these only whether they are there counts: what a version waits for, and what ran before.
        let mut named = also;
        named.extend(rows.iter().flat_map(|row| waited_for(row, operation)));
        named.extend(applied.iter().filter(|row| row.expected).map(|row| row.hook.clone()));
        let known: BTreeSet<&HookRef> = rows.iter().map(|row| &row.hook).collect();
        named.retain(|hook| regions.contains(&hook.region) && !known.contains(hook));
        if !named.is_empty() {
            rows.extend(read.hooks_among(&named).await?);
        }
        let (mut hooks, mut planned) = (Vec::new(), BTreeMap::new());
        for row in rows {
            planned.insert(row.hook.clone(), row.planned.clone());
            hooks.push(registered(row));
        }
        let holds = holds_for_plan(read, now).await?;
        let policy = PlanPolicy {
            absent_grace: self.config.absent_grace,
            cross_namespace_after: self.config.cross_namespace_after,
            further_regions: self.config.further_regions.clone(),
            strict_regions: self.config.argo_regions.clone(),
        };
        let limits = Limits { steps: self.config.max_steps, handed_bytes: self.config.max_handed_bytes };
        Ok(PlanBasis { hooks, planned, applied, holds, policy, limits, unready })
    }

    pub(crate) fn regions_of(&self, environment: &Environment) -> BTreeSet<RegionName> {
        let mut names = self.config.further_regions.clone();
        names.insert(environment.region.clone());
        names
    }

    pub(crate) async fn unready_regions(
        &self,
        read: &mut (dyn Read + '_),
        environment: &Environment,
        now: Timestamp,
    ) -> Result<Vec<Unready>> {
        let mut unready = Vec::new();
        for name in self.regions_of(environment) {
            let region = read.region(&name).await?;
            unready.extend(self.unready(&name, region.as_ref(), now));
        }
        Ok(unready)
    }

    fn unready(&self, name: &RegionName, region: Option<&Region>, now: Timestamp) -> Option<Unready> {
        let missing = |why, silent| Some(Unready { name: name.clone(), why, silent });
        match region {
            // Whether its hooks are known is asked for each operation.
            Some(_) if self.is_argo(name) => None,
            None => missing("there is no such region", true),
            Some(region) if region.session.is_none() => missing("it has no agent", true),
            Some(region) if !self.alive_at(region, now) => missing("its agent is silent", true),
            Some(region) if !region.inventory_complete => {
                missing("its agent has not reported all hooks yet", false)
            }
            Some(_) => None,
        }
    }
}

impl PlanBasis {
    /// Whether the region is known to have this version of the hook.
    pub(crate) fn has(&self, hook: &HookRef, hash: &TemplateHash) -> bool {
        let row = self.hooks.iter().find(|row| row.hook == *hook);
        if self.policy.strict_regions.contains(&hook.region) {
            // Nobody keeps templates there: it has what is in the cluster.
            let present = row.filter(|row| row.absent_since.is_none());
            return present.and_then(|row| row.current.as_ref()).is_some_and(|version| version.hash == *hash);
        }
        let known = row.into_iter().flat_map(|row| row.current.iter().chain(&row.last_good));
        known.into_iter().any(|version| version.hash == *hash)
            || self.planned.get(hook).is_some_and(|versions| versions.contains_key(hash))
    }

    pub(crate) fn plan(
        &self,
        operation: OperationId,
        environment: &Environment,
        definition: &OperationDefinition,
        now: Timestamp,
    ) -> std::result::Result<Plan, PlanRefusal> {
        tenantry_engine::plan(&PlanInput {
            operation,
            environment,
            definition,
            hooks: &self.hooks,
            applied: &self.applied,
            holds: &self.holds,
            policy: &self.policy,
            now,
        })
        .and_then(|plan| self.within_limits(plan, environment))
    }

    /// The plan, unless it is larger than what is carried out.
    pub(crate) fn within_limits(
        &self,
        plan: Plan,
        environment: &Environment,
    ) -> std::result::Result<Plan, PlanRefusal> {
        self.limits.check(&plan, environment)?;
        Ok(plan)
    }
}

/// What the versions of a hook wait for.
fn waited_for<'a>(row: &'a HookRow, operation: &'a OperationName) -> impl Iterator<Item = HookRef> + 'a {
    let versions = row.current.iter().chain(&row.last_good);
    let targets = versions.flat_map(|version| version.after_for(operation));
    targets.map(|target| HookRef::new(row.hook.region.clone(), target.hook.clone()))
}

fn registered(row: HookRow) -> RegisteredHook {
    RegisteredHook {
        hook: row.hook,
        current: row.current,
        problems: row.problems,
        last_good: row.last_good,
        absent_since: row.absent_since,
        retired: row.retired.is_some(),
    }
}

/// The key of the attention about a region without a living agent.
pub(crate) fn region_silent_key(region: &RegionName) -> String {
    format!("region-silent/{region}")
}

pub(crate) fn region_silent(region: &RegionName, message: String) -> Raised {
    Raised {
        kind: AttentionKind::RegionSilent,
        key: region_silent_key(region),
        step: None,
        region: Some(region.clone()),
        message,
        remedy: format!(
            "start the agent of region {region}; for a new one: tenantry region join-token {region}"
        ),
    }
}

impl Work<'_> {
    /// Plans an operation that is in planning. Tells whether it ended by that.
    pub(super) async fn plan(&mut self, operation: &Operation) -> Result<bool> {
        let environment = self.environment_at(operation.generation).await?;
        let manager = self.manager;
        let mut unready = manager.unready_regions(&mut *self.tx, &environment, self.now).await?;
        let undiscovered = self.undiscovered(operation.id, &environment).await?;
        let why = "its Workflow has not told the hooks yet";
        unready.extend(undiscovered.into_iter().map(|name| Unready { name, why, silent: false }));
        if !unready.is_empty() {
            self.wait_for_regions(operation, &unready).await?;
            return Ok(false);
        }
        let basis = self.basis_of(operation, &environment).await?;
        let event = match self.make_plan(operation, &environment, &basis).await? {
            Ok(plan) => {
                self.record(&plan).await?;
                self.note_versions(&plan, &basis).await?;
                Event::Planned(plan)
            }
            Err(refusal) => Event::PlanRefused(refusal),
        };
        let moved = self.apply_each(operation.id, vec![event]).await?;
        match moved.rejected.into_iter().flatten().next() {
            Some(rejected) => Err(ManagerError::Rejected(rejected)),
            None => Ok(moved.ended),
        }
    }

    /// What the plan of an operation is made from: of a replay, with the hooks of its original.
    pub(crate) async fn basis_of(
        &mut self,
        operation: &Operation,
        environment: &Environment,
    ) -> Result<PlanBasis> {
        let also = match &operation.replay {
            Some(replay) => self.tx.steps(replay.of).await?.into_iter().map(|step| step.hook).collect(),
            None => BTreeSet::new(),
        };
        let name = &operation.definition.name;
        self.manager.plan_basis(&mut *self.tx, environment, name, also, self.now).await
    }

    /// It stays in planning and says why; the region's agent wakes it, and a timer looks again in any case.
    async fn wait_for_regions(&mut self, operation: &Operation, unready: &[Unready]) -> Result<()> {
        let reasons: Vec<String> =
            unready.iter().map(|region| format!("region {}: {}", region.name, region.why)).collect();
        let note = format!("waits for {}", reasons.join("; "));
        if operation.note.as_ref() != Some(&note) {
            let mut operation = operation.clone();
            operation.note = Some(note);
            operation.revision += 1;
            self.tx.put_operation(&operation).await?;
            let data = outbox::operation(&operation);
            self.event(outbox::OPERATION_CHANGED, Some(operation.id), data).await?;
        }
        for region in unready.iter().filter(|region| region.silent) {
            let message = format!("region {} has no living agent: its operations wait", region.name);
            self.raise_for(None, &region_silent(&region.name, message)).await?;
        }
        let again = self.now.checked_add(self.manager.config.planning_retry).unwrap_or(Timestamp::MAX);
        let late = operation.deadline_at.filter(|_| !operation.late);
        self.tx.put_timer(operation.id, Some(late.map_or(again, |late| late.min(again)))).await?;
        Ok(())
    }

    /// Remembers which versions were planned: their region keeps them, so that a replay can run them. Once an hour
    /// for each version, not with every plan.
    async fn note_versions(&mut self, plan: &Plan, basis: &PlanBasis) -> Result<()> {
        let fresh = self.now.checked_sub(PLANNED_GRAIN).unwrap_or(Timestamp::MIN);
        for step in plan.steps.values().filter(|step| step.state == StepState::Blocked) {
            let noted = basis.planned.get(&step.hook).and_then(|versions| versions.get(&step.template_hash));
            if noted.is_some_and(|at| *at > fresh) {
                continue;
            }
            let now = believed(&mut *self.tx, self.now).await?.ok();
            let oldest = now.and_then(|now| now.checked_sub(self.manager.config.replayable).ok());
            // Another environment is planned beside this one, and notes versions of the same hooks.
            if let Some(mut row) = self.tx.lock_hook(&step.hook).await? {
                // Who was waited for has just noted it: a thousand nights may begin at the same minute.
                if row.planned.get(&step.template_hash).is_some_and(|at| *at > fresh) {
                    continue;
                }
                row.planned.retain(|_, at| oldest.is_none_or(|oldest| *at > oldest));
                row.planned.insert(step.template_hash.clone(), self.now);
                self.tx.put_hook(&row).await?;
            }
        }
        Ok(())
    }

    /// Remembers versions that are good now, and settles what was raised about hooks that are in force.
    async fn record(&mut self, plan: &Plan) -> Result<()> {
        for (hook, version) in &plan.good {
            if let Some(mut row) = self.tx.lock_hook(hook).await? {
                row.last_good = Some(version.clone());
                self.tx.put_hook(&row).await?;
            }
        }
        let bad: BTreeSet<_> = plan.quarantined.iter().map(|entry| &entry.hook).collect();
        let mut over: Vec<String> = Vec::new();
        for hook in plan.steps.keys().filter(|hook| !bad.contains(hook)) {
            over.extend([keys::hook_quarantined(hook), keys::hook_left_out(hook)]);
        }
        for entry in &plan.quarantined {
            over.push(if entry.last_good_in_force {
                keys::hook_left_out(&entry.hook)
            } else {
                keys::hook_quarantined(&entry.hook)
            });
        }
        // Hardly ever is one of them open, and the plans of all environments are about the same hooks: to settle each
        // would keep them waiting for each other until their commits.
        for key in self.tx.open_keys(&over).await? {
            self.settle_attention(&key).await?;
        }
        Ok(())
    }
}
