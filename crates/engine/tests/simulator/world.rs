//! The world: one clock, one queue of events, faults while they last, and the witness's judgement of what runs.

use crate::checks::{Check, Verdict};
use crate::manager::Manager;
use crate::region::{Order, Region};
use crate::script::{HOUR, MINUTE, SECOND, Script};
use crate::story;
use crate::witness::{Execution, Witness};
use fastrand::Rng;
use std::collections::BTreeMap;
use tenantry_model::{
    AttemptId, AttemptState, HookRef, LockClass, Observation, OnFailure, OnLost, OperationId, Outcome,
};
use uuid::Uuid;

/// Chances in 100.
pub struct Faults {
    pub lose: u32,
    pub duplicate: u32,
    pub refuse: u32,
    pub never_runs: u32,
    pub hangs: u32,
    /// The most that a hook fails.
    pub failing: u32,
    /// A commit that is lost with the process that made it.
    pub commit: u32,
}

const NONE: Faults =
    Faults { lose: 0, duplicate: 0, refuse: 0, never_runs: 0, hangs: 0, failing: 0, commit: 0 };

pub enum Ev {
    Arrive(usize),
    Plan(OperationId),
    Tick(OperationId),
    Lease { region: usize },
    Deliver { region: usize, session: u64, attempt: AttemptId, order: Order },
    Run { region: usize, attempt: AttemptId },
    End { region: usize, attempt: AttemptId, outcome: Outcome },
    Send { region: usize },
    Report { region: usize, observation: Observation },
    Silence { region: usize },
    Person,
    Crash { region: usize },
    Restart { region: usize },
    Partition { region: usize },
    Heal { region: usize },
    NodeVanishes { region: usize },
    NodeBack { region: usize, node: usize },
    FaultsStop,
}

pub struct World {
    pub now: i64,
    pub rng: Rng,
    pub script: Script,
    pub faults: Faults,
    pub regions: Vec<Region>,
    pub manager: Manager,
    pub witness: Witness,
    pub verdict: Verdict,
    queue: BTreeMap<(i64, u64), Ev>,
    sequence: u64,
    pub events: u32,
}

/// More events than any sound run needs: a broken engine may never come to rest.
const EVENT_LIMIT: u32 = 30_000;

impl World {
    pub fn new(seed: u64, keep_log: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let script = Script::write(&mut rng);
        let faults = Faults {
            lose: rng.u32(0..40),
            duplicate: rng.u32(0..40),
            refuse: rng.u32(0..10),
            never_runs: rng.u32(0..10),
            hangs: rng.u32(0..10),
            failing: 100,
            commit: rng.u32(0..5),
        };
        let regions = vec![Region::new("one"), Region::new("two")];
        let manager = Manager::new(&script, keep_log);
        let mut world = Self {
            now: 0,
            rng,
            script,
            faults,
            regions,
            manager,
            witness: Witness::default(),
            verdict: Verdict::default(),
            queue: BTreeMap::new(),
            sequence: 0,
            events: 0,
        };
        world.foresee();
        world
    }

    fn foresee(&mut self) {
        let arrivals: Vec<i64> = self.script.operations.iter().map(|(arrival, _)| *arrival).collect();
        for (n, arrival) in arrivals.into_iter().enumerate() {
            self.later(arrival, Ev::Arrive(n));
        }
        for _ in 0..self.rng.usize(0..40) {
            let when = self.rng.i64(0..5 * HOUR);
            self.later(when, Ev::Person);
        }
        for region in 0..2 {
            for _ in 0..self.rng.usize(0..4) {
                let when = self.rng.i64(0..4 * HOUR);
                self.later(when, Ev::Crash { region });
            }
            for _ in 0..self.rng.usize(0..3) {
                let when = self.rng.i64(0..4 * HOUR);
                self.later(when, Ev::Partition { region });
            }
            for _ in 0..self.rng.usize(0..3) {
                let when = self.rng.i64(0..4 * HOUR);
                self.later(when, Ev::NodeVanishes { region });
            }
        }
        self.later(5 * HOUR, Ev::FaultsStop);
    }

    pub fn later(&mut self, delay: i64, event: Ev) {
        self.sequence += 1;
        self.queue.insert((self.now + delay, self.sequence), event);
    }

    /// Runs until nothing is left to happen, then lets persons resolve what waits, until everything has ended.
    pub fn live(&mut self) {
        self.drain();
        self.verdict.hold(Check::ComesToRest, self.events < EVENT_LIMIT, || "too many events".to_owned());
        self.at_rest();
        for _ in 0..400 {
            if self.events >= EVENT_LIMIT || !self.resolve_one() {
                break;
            }
            self.drain();
        }
        self.at_the_end();
    }

    fn drain(&mut self) {
        while self.events < EVENT_LIMIT
            && let Some(((when, _), event)) = self.queue.pop_first()
        {
            self.events += 1;
            self.now = when;
            if let (Some(log), Some(line)) = (&mut self.manager.log, story::outside(&event)) {
                log.push((String::new(), line));
            }
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Ev) {
        match event {
            Ev::Arrive(n) => self.arrive(self.script.operations[n].1.clone()),
            Ev::Plan(operation) => self.plan(operation),
            Ev::Tick(operation) => self.tick(operation),
            Ev::Lease { region } => self.lease(region),
            Ev::Deliver { region, session, attempt, order } => {
                let there = &self.regions[region];
                if there.connected() && there.session == session {
                    self.acknowledge(region, &attempt, &order);
                    self.carry_out(region, &attempt, &order);
                }
            }
            Ev::Run { region, attempt } => self.run(region, &attempt),
            Ev::End { region, attempt, outcome } => self.end(region, &attempt, outcome),
            Ev::Send { region } => self.send(region),
            Ev::Report { region, observation } => self.report(region, &observation),
            Ev::Silence { region } => self.silence(region),
            Ev::Person => self.person_acts(),
            Ev::Crash { region } if self.regions[region].up => self.crash(region),
            Ev::Crash { .. } => {}
            Ev::Restart { region } => {
                self.regions[region].up = true;
                self.connected_again(region);
            }
            Ev::Partition { region } => {
                self.regions[region].partitioned = true;
                self.disconnected(region);
                let delay = self.rng.i64(SECOND..HOUR);
                self.later(delay, Ev::Heal { region });
            }
            Ev::Heal { region } => {
                self.regions[region].partitioned = false;
                self.connected_again(region);
            }
            Ev::NodeVanishes { region } => self.node_vanishes(region),
            Ev::NodeBack { region, node } => self.node_back(region, node),
            Ev::FaultsStop => self.faults = NONE,
        }
    }

    pub fn disconnected(&mut self, region: usize) {
        if self.regions[region].disconnected_since.is_none() {
            self.regions[region].disconnected_since = Some(self.now);
            self.later(MINUTE, Ev::Silence { region });
        }
    }

    /// Who was away looks at everything again: what the manager calls unknown leaves that only by looking.
    fn connected_again(&mut self, region: usize) {
        if self.regions[region].connected() {
            self.regions[region].disconnected_since = None;
            self.look_at_everything(region);
            self.regions[region].sending = false;
            self.send_soon(region);
            self.later(SECOND, Ev::Lease { region });
        }
    }

    pub fn region_of(&self, step: &HookRef) -> usize {
        usize::from(self.regions[1].name == step.region)
    }

    pub fn witness_created(&mut self, attempt: &AttemptId, nonce: Uuid) {
        let row = self.manager.attempt(attempt);
        let committed = row.is_some_and(|row| row.nonce == nonce);
        self.verdict.hold(Check::RowBeforeStart, committed, || format!("{attempt} was made without its row"));
        let first = self.witness.made.insert(attempt.clone());
        self.verdict.hold(Check::NamesNeverReused, first, || format!("{attempt} was made twice"));
    }

    pub fn witness_started(&mut self, attempt: &AttemptId) {
        self.check_overlap(attempt);
        self.check_dependencies(attempt);
        let execution = Execution { started: self.now, ended: None, success: false };
        self.witness.executions.insert(attempt.clone(), execution);
    }

    pub fn witness_ended(&mut self, region: usize, attempt: &AttemptId, success: bool) {
        let now = self.now;
        let Some(execution) = self.witness.executions.get_mut(attempt) else { return };
        execution.ended = Some(now);
        execution.success = success;
        let started = execution.started;
        let timeout = self.script.hooks[&attempt.step].hook.policy.timeout;
        let overdue = timeout.is_some_and(|timeout| now - started > timeout.as_secs() * SECOND + 2 * HOUR);
        let region = &self.regions[region];
        let seen = region.objects.get(attempt).is_some_and(|object| !region.flaky[object.node]);
        let noticed =
            self.manager.attempt(attempt).is_none_or(|row| row.kill.is_some() || row.state.is_over());
        self.verdict.hold(Check::TimeoutsNoticed, !overdue || !seen || noticed, || {
            format!("{attempt} ran for {} min past its timeout", (now - started) / MINUTE)
        });
    }

    /// Whether the attempt was given up in a way that allows another one beside it.
    pub fn excused(&self, attempt: &AttemptId) -> bool {
        let lost = self.manager.attempt(attempt).is_some_and(|row| row.state == AttemptState::Lost);
        let on_lost = self.script.hooks[&attempt.step].hook.policy.on_lost;
        self.witness.declared_lost.contains(attempt) || (lost && on_lost == OnLost::Retry)
    }

    fn check_overlap(&mut self, attempt: &AttemptId) {
        let same_step =
            |other: &&AttemptId| other.operation == attempt.operation && other.step == attempt.step;
        if self.witness.running().any(|other| same_step(&other)) {
            self.manager.count("overlap, excused or not");
        }
        let class = |id: OperationId| self.manager.runs[&id].operation().definition.lock;
        let environment = |id: OperationId| self.manager.runs[&id].operation().environment;
        let beside: Vec<AttemptId> = self
            .witness
            .running()
            .filter(|other| *other != attempt && !self.excused(other))
            .filter(|other| {
                let same_step = other.operation == attempt.operation && other.step == attempt.step;
                let (one, two) = (class(attempt.operation), class(other.operation));
                let locked = other.operation != attempt.operation
                    && environment(other.operation) == environment(attempt.operation)
                    && one != LockClass::None
                    && two != LockClass::None
                    && (one == LockClass::Exclusive || two == LockClass::Exclusive);
                same_step || (locked && !self.excused(attempt))
            })
            .cloned()
            .collect();
        self.verdict
            .hold(Check::NoOverlap, beside.is_empty(), || format!("{attempt} runs beside {beside:?}"));
    }

    fn check_dependencies(&mut self, attempt: &AttemptId) {
        // What is thrown away was ordered rightly, and its end is on its way.
        if self.excused(attempt) || self.witness.thrown_away.contains(attempt) {
            return;
        }
        let script = &self.script.hooks[&attempt.step];
        let key = (attempt.operation, attempt.step.clone());
        let due = |target: &&HookRef| {
            !self.witness.ordered_before_rerun(attempt, target) && !self.witness.ignores(&key, target)
        };
        let undone = script
            .after
            .iter()
            .filter(due)
            .find(|target| !self.really_done(attempt.operation, target))
            .cloned();
        self.verdict.hold(Check::NoDependencyJumped, undone.is_none(), || {
            format!("{attempt} runs although {undone:?} is not done")
        });
    }

    /// Judged without the engine's rows about the target's state.
    fn really_done(&self, operation: OperationId, target: &HookRef) -> bool {
        let script = &self.script.hooks[target];
        let key = (operation, target.clone());
        if script.deselected || self.witness.settled_by_hand(&key) || self.witness.kept.contains(&key) {
            return true;
        }
        let mut executions = self.witness.of(operation, target);
        if executions.any(|(id, execution)| execution.ended.is_none() && !self.excused(id)) {
            return false;
        }
        let tolerated = script.hook.policy.on_failure == OnFailure::Continue;
        // What was made before a person asked for another run does not count.
        let since = self.manager.asked_for.get(&key).copied().unwrap_or(1);
        tolerated
            || self
                .witness
                .of(operation, target)
                .any(|(id, execution)| execution.success && id.number >= since)
    }
}
