//! The manager's rows: runs, orders to regions, attention; every transition is checked when it is committed.

use crate::checks::Check;
use crate::region::Order;
use crate::script::{MINUTE, SECOND, Script, at, person};
use crate::story;
use crate::world::{Ev, World};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_engine::{
    Action, Admission, AppliedChange, Change, Event, Moment, Plan, PlanInput, PlanPolicy, PlanRefusal,
    RegisteredHook, Rejected, ReplayInput, Rules, Run, Transition, VersionsOf, admit, apply, hold_matches,
    plan, replay, startable,
};
use tenantry_model::{
    Attempt, AttemptId, AttemptState, AttentionKind, ConflictPolicy, Environment, Hold, HookRef, Observation,
    Operation, OperationId, OperationState, RegionName, ReplayVersions,
};
use uuid::Uuid;

/// A hold or a pause of an hour is long.
const RULES: Rules = Rules { held_too_long: SignedDuration::from_hours(1) };

pub struct Manager {
    /// The rows.
    pub runs: BTreeMap<OperationId, Run>,
    /// What each of two managers remembers of them; it may be old.
    views: [BTreeMap<OperationId, Run>; 2],
    /// Holds by predicate that nobody lifted.
    pub holds: Vec<Hold>,
    hooks: Vec<RegisteredHook>,
    seed: u128,
    next_tick: BTreeMap<OperationId, Timestamp>,
    /// Orders that are not acknowledged, with the time until which they are leased.
    orders: BTreeMap<(AttemptId, u8), (Order, i64)>,
    pub started: BTreeSet<AttemptId>,
    released: BTreeSet<AttemptId>,
    taken_in: BTreeSet<(AttemptId, u64)>,
    /// The first attempt after the last rerun, by step: older ones do not count as automatic.
    pub asked_for: BTreeMap<(OperationId, HookRef), u32>,
    pub attention: BTreeMap<String, (AttentionKind, OperationId)>,
    /// How often what happened: a world in which nothing goes wrong proves nothing.
    pub tally: BTreeMap<String, u32>,
    /// Each transition in full, and in short.
    pub log: Option<Vec<(String, String)>>,
    /// What a new operation displaces is being cancelled one by one.
    pub arriving: bool,
}

impl Manager {
    pub fn new(script: &Script, keep_log: bool) -> Self {
        Self {
            runs: BTreeMap::new(),
            views: [BTreeMap::new(), BTreeMap::new()],
            holds: Vec::new(),
            hooks: script.registered(),
            seed: 0,
            next_tick: BTreeMap::new(),
            orders: BTreeMap::new(),
            started: BTreeSet::new(),
            released: BTreeSet::new(),
            taken_in: BTreeSet::new(),
            asked_for: BTreeMap::new(),
            attention: BTreeMap::new(),
            tally: BTreeMap::new(),
            log: keep_log.then(Vec::new),
            arriving: false,
        }
    }

    pub fn attempt(&self, id: &AttemptId) -> Option<&Attempt> {
        self.runs.get(&id.operation)?.attempts().get(&(id.step.clone(), id.number))
    }

    pub fn unfinished(&self, beside: &Operation) -> Vec<Operation> {
        let operations = self.runs.values().map(Run::operation);
        let others =
            operations.filter(|other| other.environment == beside.environment && other.id != beside.id);
        others.filter(|other| !other.state.is_final()).cloned().collect()
    }

    pub fn count(&mut self, what: impl Into<String>) {
        *self.tally.entry(what.into()).or_default() += 1;
    }

    pub fn is_released(&self, id: &AttemptId) -> bool {
        self.released.contains(id)
    }
}

impl World {
    pub fn arrive(&mut self, mut operation: Operation) {
        operation.created_at = at(self.now);
        let replaces = operation.definition.on_conflict == ConflictPolicy::Replace;
        let name = operation.name.clone();
        let (id, unfinished) = (operation.id, self.manager.unfinished(&operation));
        let admission = admit(&operation, &unfinished);
        self.manager.count(match admission {
            Admission::Start => "admission: start",
            Admission::Wait => "admission: wait",
            Admission::WaitAndCancel(_) => "admission: wait and cancel",
            Admission::Refuse(_) => "admission: refuse",
        });
        match admission {
            Admission::Refuse(_) => return,
            Admission::Start | Admission::Wait => {
                self.manager.runs.insert(id, Run::new(operation, [], [], RULES));
            }
            Admission::WaitAndCancel(others) => {
                self.manager.runs.insert(id, Run::new(operation, [], [], RULES));
                self.manager.arriving = true;
                for other in others {
                    if replaces {
                        self.manager.count("replace");
                        let other = self.manager.runs[&other].operation();
                        let waits = other.state == OperationState::Pending && other.name == name;
                        let what = format!("{} was {:?}", other.id, other.state);
                        self.verdict.hold(Check::ReplaceSparesRunning, waits, || what);
                    }
                    let cancel = Event::Cancel { by: person(), reason: "suspend gets in".to_owned() };
                    let _ = self.commit(other, &cancel);
                }
                self.manager.arriving = false;
            }
        }
        self.let_in(id);
    }

    /// Starts what may start in the environment of an operation.
    fn let_in(&mut self, id: OperationId) {
        let operation = self.manager.runs[&id].operation().clone();
        let mut unfinished = self.manager.unfinished(&operation);
        unfinished.push(operation);
        unfinished.retain(|operation| !operation.state.is_final());
        for starting in startable(&unfinished) {
            self.check_overtaking(starting);
            let _ = self.commit(starting, &Event::Admitted { generation: 1 });
            let delay = self.rng.i64(0..SECOND);
            self.later(delay, Ev::Plan(starting));
        }
        self.check_locks(id);
    }

    pub fn plan(&mut self, id: OperationId) {
        let run = &self.manager.runs[&id];
        if run.operation().state != OperationState::Planning {
            return;
        }
        let environment =
            self.script.environments.iter().find(|e| e.id == run.operation().environment).unwrap();
        // Now and then Argo CD is just replacing a template.
        let mut hooks = self.manager.hooks.clone();
        if self.faults.lose > 0 && self.rng.u32(0..10) == 0 {
            hooks[0].absent_since = Some(at(self.now));
        }
        self.rng.shuffle(&mut hooks);
        let two: RegionName = "two".parse().unwrap();
        let policy = PlanPolicy {
            absent_grace: SignedDuration::from_mins(2),
            cross_namespace_after: true,
            further_regions: [two].into(),
            strict_regions: [].into(),
        };
        let environment = environment.clone();
        let event = match self.make_plan(id, &environment, &hooks, &policy) {
            Ok(plan) => {
                self.note_plan(id, &environment, &plan);
                Event::Planned(plan)
            }
            Err(refusal) => Event::PlanRefused(refusal),
        };
        let _ = self.commit(id, &event);
    }

    fn make_plan(
        &self,
        id: OperationId,
        environment: &Environment,
        hooks: &[RegisteredHook],
        policy: &PlanPolicy,
    ) -> Result<Plan, PlanRefusal> {
        let operation = self.manager.runs[&id].operation();
        let (holds, now) = (&*self.manager.holds, at(self.now));
        let input = PlanInput {
            operation: id,
            environment,
            definition: &operation.definition,
            hooks,
            applied: &[],
            holds,
            policy,
            now,
        };
        let Some(wanted) = &operation.replay else { return plan(&input) };
        let versions = match wanted.versions {
            ReplayVersions::Frozen => VersionsOf::Original(hooks),
            ReplayVersions::Current => VersionsOf::Plan(plan(&input)?, input.hooks),
        };
        let original = &self.manager.runs[&wanted.of];
        replay(ReplayInput { operation: id, original, from: &wanted.from, versions, environment, holds, now })
    }

    /// The witness notes what the plan holds, and what a replay keeps: by the rows of the original and the declared
    /// order, whatever the plan says.
    fn note_plan(&mut self, id: OperationId, environment: &Environment, plan: &Plan) {
        let operation = self.manager.runs[&id].operation().clone();
        if let Some(wanted) = operation.replay.as_ref().filter(|wanted| !wanted.from.is_empty()) {
            let original = &self.manager.runs[&wanted.of];
            let done = |hook: &HookRef| {
                let step = original.steps().get(hook);
                step.is_some_and(|step| step.is_done() && !step.is_stale()) && !wanted.from.contains(hook)
            };
            let runs = |hook: &&HookRef| !done(hook) && !self.script.hooks[*hook].deselected;
            let anew: Vec<&HookRef> = plan.steps.keys().filter(runs).collect();
            let after: BTreeSet<HookRef> =
                anew.iter().flat_map(|hook| self.script.downstream(hook)).collect();
            let kept = plan.steps.keys().filter(|hook| done(hook) && !after.contains(*hook));
            let kept: Vec<HookRef> =
                kept.filter(|hook| !self.script.hooks[*hook].deselected).cloned().collect();
            for hook in kept {
                self.manager.count("kept");
                self.witness.kept.insert((id, hook));
            }
        }
        for hold in self.manager.holds.clone() {
            let open = hold.until.is_none_or(|until| until > at(self.now));
            let fits = |hook: &&HookRef| {
                open && !self.script.hooks[*hook].deselected
                    && !self.witness.kept.contains(&(id, (*hook).clone()))
                    && hold_matches(&hold, environment, &operation.name, hook)
            };
            let hooks: Vec<HookRef> = plan.steps.keys().filter(fits).cloned().collect();
            self.note_holds(id, &hold, hooks);
        }
    }

    pub fn tick(&mut self, id: OperationId) {
        let Some(due) = self.manager.next_tick.get(&id).copied().filter(|due| *due <= at(self.now)) else {
            return;
        };
        if self.rng.u32(0..100) < self.faults.commit {
            return self.later(SECOND, Ev::Tick(id));
        }
        if self.manager.runs[&id].operation().state == OperationState::Planning
            && self.deadline(id) != Some(due)
        {
            return self.plan(id);
        }
        let _ = self.commit(id, &Event::Tick);
    }

    fn deadline(&self, id: OperationId) -> Option<Timestamp> {
        let operation = self.manager.runs[&id].operation();
        operation.deadline_at.filter(|_| !operation.late)
    }

    pub fn silence(&mut self, region: usize) {
        let Some(since) = self.regions[region].disconnected_since else { return };
        let event = Event::RegionSilent { region: self.regions[region].name.clone(), since: at(since) };
        let unfinished =
            self.manager.runs.values().map(Run::operation).filter(|operation| !operation.state.is_final());
        for id in unfinished.map(|operation| operation.id).collect::<Vec<_>>() {
            let _ = self.commit(id, &event);
        }
        self.later(MINUTE, Ev::Silence { region });
    }

    pub fn report(&mut self, region: usize, observation: &Observation) {
        if self.regions[region].partitioned || self.rng.u32(0..100) < self.faults.commit {
            return;
        }
        let id = observation.attempt.operation;
        let key = (observation.attempt.clone(), observation.number);
        let event = Event::Observed(observation.clone());
        let before = self.manager.taken_in.contains(&key);
        if before {
            self.manager.count("report twice");
        }
        let transition = self.commit(id, &event);
        let empty =
            |transition: &Result<Transition, Rejected>| transition.as_ref().is_ok_and(Transition::is_empty);
        if transition.is_ok() {
            self.manager.taken_in.insert(key);
            let again = apply(&self.manager.runs[&id], &event, self.moment());
            let unchanged = empty(&again) && (!before || empty(&transition));
            self.verdict.hold(Check::DuplicatesChangeNothing, unchanged, || format!("{observation:?}"));
        }
        if self.rng.u32(0..100) >= self.faults.lose {
            self.regions[region].unacknowledged.retain(|other| other != observation);
        }
    }

    fn moment(&self) -> Moment {
        Moment { now: at(self.now), seed: Uuid::from_u128(self.manager.seed) }
    }

    pub fn commit(&mut self, id: OperationId, event: &Event) -> Result<Transition, Rejected> {
        self.manager.seed += 1;
        let moment = self.moment();
        // One of the managers, with what it remembers. The store takes its write only if the operation's revision is
        // the one that it has seen; else it looks again.
        let driver = self.rng.usize(0..2);
        let rows = &self.manager.runs[&id];
        let remembered = self.manager.views[driver].remove(&id);
        let view = match remembered {
            Some(view) if view.operation().revision == rows.operation().revision => {
                self.verdict.hold(Check::OldViewsRefused, view == *rows, || {
                    format!("{id}: {event:?} on an old view")
                });
                view
            }
            remembered => {
                let fresh = rows.clone();
                if remembered.is_some() {
                    self.manager.count("old view refused");
                }
                fresh
            }
        };
        self.manager.views[driver].insert(id, view);
        let run = &self.manager.views[driver][&id];
        let transition = apply(run, event, moment);
        let again = apply(run, event, moment);
        self.verdict.hold(Check::Deterministic, transition == again, || format!("{event:?}"));
        if let Some(log) = &mut self.manager.log {
            log.push((format!("{id} {event:?} -> {transition:?}"), story::committed(id, event, &transition)));
        }
        let transition = match transition {
            Ok(transition) => transition,
            Err(rejected) => {
                self.manager.count("rejected");
                return Err(rejected);
            }
        };
        match event {
            Event::Verb { verb, .. } => self.manager.count(verb.kind().name()),
            Event::PlanRefused(refusal) => {
                self.manager.count("plan refused");
                self.manager.count(refusal.code());
            }
            _ => {}
        }
        self.check_changes(id, &transition);
        for action in &transition.actions {
            self.check_action(id, &transition, action);
        }
        self.manager.views[driver].get_mut(&id).unwrap().commit(&transition);
        self.manager.runs.get_mut(&id).unwrap().commit(&transition);
        for action in &transition.actions {
            self.act(id, action);
        }
        self.forget_orders(&transition);
        self.schedule(id, transition.next_tick);
        if !transition.is_empty() {
            self.check_run(id);
        }
        if transition.actions.iter().any(|action| matches!(action, Action::Ended(_))) {
            self.check_ended(id);
            self.let_in(id);
        }
        Ok(transition)
    }

    fn schedule(&mut self, id: OperationId, next_tick: Option<Timestamp>) {
        self.manager.next_tick.remove(&id);
        if let Some(due) = next_tick {
            self.manager.next_tick.insert(id, due);
            let wait = due.as_millisecond() - at(self.now).as_millisecond();
            let late = if self.rng.u32(0..10) == 0 { self.rng.i64(0..MINUTE) } else { 1 };
            self.later(wait.max(0) + late, Ev::Tick(id));
        }
    }

    fn act(&mut self, id: OperationId, action: &Action) {
        let (attempt, slot, order) = match action {
            Action::Start(attempt) => {
                self.manager.started.insert(attempt.clone());
                self.check_order(attempt);
                let now = self.witness.next();
                self.witness.ordered.insert(attempt.clone(), now);
                let nonce = self.manager.attempt(attempt).map_or(Uuid::nil(), |row| row.nonce);
                (attempt, 0, Order::Start { nonce })
            }
            Action::Kill { attempt, .. } => (attempt, 1, Order::Kill),
            Action::Release(attempt) => {
                self.manager.released.insert(attempt.clone());
                (attempt, 2, Order::Release)
            }
            Action::Raise(raised) => {
                self.manager.count(format!("attention {:?}", raised.kind));
                self.manager.attention.insert(raised.key.clone(), (raised.kind, id));
                return;
            }
            Action::Settle { key } => {
                self.manager.attention.remove(key);
                return;
            }
            Action::Applied { hook, change: AppliedChange::Succeeded } => {
                return self.check_applied(id, hook);
            }
            Action::Applied { .. } | Action::Ended(_) => return,
        };
        self.manager.orders.insert((attempt.clone(), slot), (order, 0));
        let delay = self.rng.i64(10..3 * SECOND);
        let region = self.region_of(&attempt.step);
        self.later(delay, Ev::Lease { region });
    }

    /// Starts of attempts that are over are not delivered any more, nor kills, except of lost ones that may appear.
    fn forget_orders(&mut self, transition: &Transition) {
        for change in &transition.changes {
            if let Change::Attempt(attempt) = change
                && attempt.state.is_over()
            {
                self.manager.orders.remove(&(attempt.id.clone(), 0));
                if attempt.state != AttemptState::Lost {
                    self.manager.orders.remove(&(attempt.id.clone(), 1));
                }
            }
        }
    }

    /// The agent asks for orders; the answer may be lost, late or delivered twice.
    pub fn lease(&mut self, region: usize) {
        if !self.regions[region].connected() {
            return;
        }
        let (now, session) = (self.now, self.regions[region].session);
        let name = self.regions[region].name.clone();
        let mut leased = Vec::new();
        for ((attempt, _), (order, until)) in &mut self.manager.orders {
            if attempt.step.region == name && *until <= now {
                *until = now + 30 * SECOND;
                leased.push((attempt.clone(), order.clone()));
            }
        }
        if !leased.is_empty() {
            self.later(31 * SECOND, Ev::Lease { region });
        }
        for (attempt, order) in leased {
            if self.rng.u32(0..100) < self.faults.lose {
                continue;
            }
            let twice = self.rng.u32(0..100) < self.faults.duplicate;
            for _ in 0..=u32::from(twice) {
                let delay = self.rng.i64(10..40 * SECOND);
                let (attempt, order) = (attempt.clone(), order.clone());
                self.later(delay, Ev::Deliver { region, session, attempt, order });
            }
        }
    }

    pub fn acknowledge(&mut self, _region: usize, attempt: &AttemptId, order: &Order) {
        if self.rng.u32(0..100) >= self.faults.lose {
            let slot = match order {
                Order::Start { .. } => 0,
                Order::Kill => 1,
                Order::Release => 2,
            };
            self.manager.orders.remove(&(attempt.clone(), slot));
        }
    }
}
