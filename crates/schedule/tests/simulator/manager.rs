//! What a manager does, as `crates/manager/src/schedules` does it: it looks, decides by the functions under test, and
//! commits later, when another one may have been faster. Between two commits it may die.

use crate::checks::Check;
use crate::script::{HOUR, MINUTE, seconds};
use crate::world::{Ev, Key, Op, World};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use tenantry_model::{EnvironmentId, HookRef, OperationId, RunState, Schedule, ScheduleRun};
use tenantry_schedule::{
    Bounds, Firing, PastRun, Replaced, Standing, StepLeft, Turn, ended_late, fire, is_same, next_to_begin,
    replaced, request, skipped, standing, turn,
};
use uuid::Uuid;

pub const BOUNDS: Bounds = Bounds { grace: SignedDuration::from_mins(5), runs: 1000, times: 100 };
/// Most runs that wait for one environment.
pub const MOST_WAITING: usize = 40;
/// Runs that are taken at a time.
const BATCH: usize = 20;

pub fn key(run: &ScheduleRun) -> Key {
    (run.schedule.0.as_u128(), run.environment, run.scheduled_time)
}

fn hooks() -> [HookRef; 2] {
    ["eu1/night/load".parse().unwrap(), "eu1/night/report".parse().unwrap()]
}

impl World {
    pub fn look_on(&mut self, n: usize) {
        self.look(n);
        if !self.goes_on() {
            return;
        }
        let clock = self.clock(n);
        let next = self.schedule.as_ref().and_then(|schedule| schedule.next_time);
        let wait = next.map_or(HOUR, |next| next.duration_since(clock).as_secs().clamp(1, 20 * MINUTE));
        // A loop is late now and then.
        let late = if self.rng.u32(0..10) == 0 { self.rng.i64(0..10 * MINUTE) } else { self.rng.i64(0..3) };
        let session = self.managers[n].session;
        self.later(wait + late, Ev::Look(n, session));
    }

    pub fn look(&mut self, n: usize) {
        let (clock, session) = (self.clock(n), self.managers[n].session);
        if let Some(schedule) = &self.schedule {
            let (times, _) = self.times(schedule);
            let environments: Vec<EnvironmentId> =
                self.script.environments.iter().copied().filter(|id| !self.gone.contains(id)).collect();
            if let Some(firing) = fire(schedule, times, &environments, clock, &BOUNDS) {
                let read = Box::new((schedule.clone(), firing));
                let wait = self.rng.i64(0..6);
                self.later(wait, Ev::Fire(n, session, read));
                if self.rng.u32(0..15) == 0 {
                    self.later(wait / 2, Ev::Person);
                }
            }
        }
        let mut due: Vec<(Timestamp, Key)> = self
            .runs
            .iter()
            .filter(|(_, run)| run.state == RunState::Due)
            .map(|(key, run)| (run.scheduled_time, *key))
            .collect();
        due.sort();
        let mut wait = 0;
        for (_, key) in due.iter().take(BATCH) {
            wait += self.rng.i64(0..3);
            self.later(wait, Ev::Begin(n, session, *key));
        }
        if due.len() > BATCH {
            self.later(wait + 1, Ev::Wake(n, session));
        }
    }

    /// Nothing of this commit is there; whoever looks again does it anew.
    fn store_fails(&mut self) -> bool {
        let fails = !self.quiet && self.rng.u32(0..100) < self.script.store_fails;
        if fails {
            self.count("a commit fails");
        }
        fails
    }

    pub fn fire(&mut self, n: usize, seen: &Schedule, firing: &Firing) {
        if self.store_fails() {
            return;
        }
        let Some(locked) = self.schedule.clone().filter(|now| now.id == seen.id) else { return };
        if !is_same(seen, &locked) {
            let changed = seen.revision != locked.revision;
            return self.count(if changed { "changed in between" } else { "somebody else was faster" });
        }
        self.note(|_| format!("manager {n} fires {:?}; left out {}", firing.due.fire, firing.due.left_out));
        self.check_firing(seen, &locked, firing);
        self.schedule = Some(firing.schedule.clone());
        for run in &firing.runs {
            self.check_deadline(seen, run);
            if self.runs.contains_key(&key(run)) {
                self.count("fired what a backfill had made");
            } else {
                self.put(run.clone());
            }
        }
        self.wake();
    }

    /// Runs of the same schedule and environment that have not ended, the earliest first.
    pub fn open(&self, schedule: u128, environment: EnvironmentId) -> Vec<ScheduleRun> {
        let (first, last) =
            ((schedule, environment, Timestamp::MIN), (schedule, environment, Timestamp::MAX));
        let open = |run: &&ScheduleRun| !matches!(run.state, RunState::Ended | RunState::Skipped);
        self.runs.range(first..=last).map(|(_, run)| run).filter(open).cloned().collect()
    }

    pub fn begin(&mut self, n: usize, key: Key) {
        if self.store_fails() {
            return;
        }
        let now = self.clock(n);
        let Some(run) = self.runs.get(&key).filter(|run| run.state == RunState::Due).cloned() else { return };
        let Some(schedule) = self.schedule.clone().filter(|schedule| schedule.id == run.schedule) else {
            return;
        };
        if self.gone.contains(&run.environment) {
            self.put(skipped(&run, "the environment is decommissioned", now));
            return self.let_next(key);
        }
        let open = self.open(key.0, key.1);
        let begun = |id: OperationId| self.op(id).began.is_some();
        let replaced = replaced(schedule.overlap, &run, &open, |id| !begun(id), now);
        let mut left = open;
        let mut cancelled = Vec::new();
        for other in &replaced {
            match other {
                Replaced::Row(row) => left.retain(|run| run.scheduled_time != row.scheduled_time),
                Replaced::Operation(id, _) => {
                    // Its end may be on its way only.
                    let at_once = self.rng.u32(0..5) > 0;
                    cancelled.push((*id, at_once));
                    left.retain(|run| run.operation != Some(*id) || !at_once);
                }
            }
        }
        let turn = turn(schedule.overlap, &run, &left, MOST_WAITING);
        self.check_replaced(&schedule, &run, &replaced, &left);
        self.check_turn(&schedule, &run, &left, &turn);
        if turn == Turn::Now && self.refusing.contains(&run.environment) {
            // What was replaced is back with the rest of the transaction.
            self.count("refused");
            self.put(skipped(&run, "the environment is suspended", now));
            return self.let_next(key);
        }
        for other in replaced {
            self.count("replaced");
            if let Replaced::Row(row) = other {
                self.put(row);
            }
        }
        for (id, at_once) in cancelled {
            let op = self.ops.iter().position(|op| op.id == id).unwrap();
            if at_once { self.over(n, op) } else { self.later(MINUTE, Ev::End(op)) }
        }
        self.note(|_| format!("manager {n}: {} {turn:?}", run.scheduled_time));
        match turn {
            Turn::Now => self.request(n, &schedule, &run),
            Turn::Waits(note) => {
                self.count("waits");
                self.put(ScheduleRun { state: RunState::Waiting, note: Some(note), changed_at: now, ..run });
                self.let_next(key);
            }
            Turn::Skip(why) => {
                self.count("skipped");
                self.put(skipped(&run, &why, now));
                self.let_next(key);
            }
        }
    }

    fn request(&mut self, n: usize, schedule: &Schedule, run: &ScheduleRun) {
        let (now, key) = (self.clock(n), key(run));
        let asked = request(schedule, run);
        let number = self.ops.len();
        let longest = if self.quiet { MINUTE } else { self.script.longest };
        let op = Op {
            id: OperationId(Uuid::from_u128(0x0a00 + number as u128)),
            schedule: key.0,
            environment: key.1,
            scheduled_time: asked.scheduled_time,
            began: None,
            began_at: None,
            steps: [self.rng.i64(1..longest), self.rng.i64(1..longest)],
            over: false,
        };
        self.check_request(run, &op);
        self.count("requested");
        self.put(ScheduleRun {
            state: RunState::Requested,
            operation: Some(op.id),
            note: None,
            changed_at: now,
            ..run.clone()
        });
        self.ops.push(op);
        if self.rng.u32(0..20) == 0 {
            self.count("ended at once");
            return self.over(n, number);
        }
        self.later(1, Ev::Start(number));
    }

    pub fn op(&self, id: OperationId) -> &Op {
        self.ops.iter().find(|op| op.id == id).unwrap()
    }

    /// It gets its lock, or waits for it.
    pub fn start(&mut self, op: usize) {
        let Some(n) = self.somebody().filter(|_| !self.locked.contains_key(&self.ops[op].environment)) else {
            return self.later(MINUTE, Ev::Start(op));
        };
        if self.ops[op].over || self.ops[op].began.is_some() {
            return;
        }
        self.ops[op].began = Some(self.now);
        self.ops[op].began_at = Some(self.clock(n));
        let takes = self.ops[op].steps.iter().sum();
        self.later(takes, Ev::End(op));
    }

    pub fn somebody(&mut self) -> Option<usize> {
        let first = self.rng.usize(0..2);
        [first, 1 - first].into_iter().find(|n| self.managers[*n].up)
    }

    pub fn end(&mut self, op: usize) {
        match self.somebody() {
            Some(n) => self.over(n, op),
            None => self.later(MINUTE, Ev::End(op)),
        }
    }

    /// In one transaction: the operation ends, its run with it, and the next in the queue is due.
    fn over(&mut self, n: usize, op: usize) {
        if self.ops[op].over {
            return;
        }
        self.ops[op].over = true;
        let Op { id, environment, steps, began, .. } = self.ops[op];
        if began.is_some() && self.rng.u32(0..10) > 0 {
            let took: PastRun = hooks().into_iter().zip(steps.map(seconds)).collect();
            let past = self.past.entry(environment).or_default();
            past.insert(0, took);
            past.truncate(20);
        }
        let Some(run) = self.runs.values().find(|run| run.operation == Some(id)).cloned() else { return };
        let (now, key) = (self.clock(n), key(&run));
        let mut run = ScheduleRun { state: RunState::Ended, changed_at: now, ..run };
        if ended_late(&run, now) {
            run.missed = true;
            self.said.entry(key).or_default().missed += 1;
            self.count("ended late unseen");
        }
        self.said.entry(key).or_default().at_risk = false;
        self.check_missed(&run, now);
        self.put(run);
        self.let_next(key);
    }

    pub fn put(&mut self, run: ScheduleRun) {
        let key = key(&run);
        let before = self.runs.get(&key).map(|run| run.state);
        if before != Some(run.state) {
            let flips = self.flips.entry(key).or_default();
            *flips += 1;
            let bounded = *flips <= 200;
            self.verdict.hold(Check::ComesToRest, bounded, || format!("{run:?}"));
        }
        let told = run.state != RunState::Skipped || run.note.as_ref().is_some_and(|note| !note.is_empty());
        self.verdict.hold(Check::SkipHasReason, told, || format!("{run:?}"));
        self.runs.insert(key, run);
    }

    pub fn let_next(&mut self, over: Key) {
        let open = self.open(over.0, over.1);
        if let Some(next) = next_to_begin(&open).cloned() {
            self.put(ScheduleRun { state: RunState::Due, ..next });
            self.wake();
        }
    }

    fn left(&self, op: &Op) -> Vec<StepLeft> {
        let [load, report] = hooks();
        let elapsed = op.began.map(|began| self.now - began);
        let loaded = elapsed.is_some_and(|elapsed| elapsed >= op.steps[0]);
        let step = |hook: &HookRef, after: &[HookRef], done, since: Option<Timestamp>| StepLeft {
            hook: hook.clone(),
            after: after.iter().cloned().collect(),
            done,
            running_since: since,
        };
        let loading = op.began_at.filter(|_| !loaded);
        let reporting = op.began_at.filter(|_| loaded).map(|at| at + seconds(op.steps[0]));
        vec![step(&load, &[], loaded, loading), step(&report, std::slice::from_ref(&load), false, reporting)]
    }

    pub fn watch(&mut self, n: usize) {
        if !self.goes_on() {
            return;
        }
        let (now, session) = (self.clock(n), self.managers[n].session);
        let watched: Vec<ScheduleRun> = self
            .runs
            .values()
            .filter(|run| run.state == RunState::Requested && run.deadline_at.is_some())
            .cloned()
            .collect();
        let none = Vec::new();
        let mut judged: BTreeMap<Key, Standing> = BTreeMap::new();
        for run in &watched {
            let past = self.past.get(&run.environment).unwrap_or(&none);
            let left = self.left(self.op(run.operation.unwrap()));
            judged.insert(key(run), standing(run, &left, past, now));
        }
        for run in watched {
            let standing = judged.remove(&key(&run)).unwrap();
            self.check_standing(&run, &standing, now);
            if standing.is_news(&run) {
                let wait = self.rng.i64(0..4);
                self.later(wait, Ev::Say(n, session, Box::new((run, standing))));
            }
        }
        let wait = self.rng.i64(10 * MINUTE..40 * MINUTE);
        self.later(wait, Ev::Watch(n, session));
    }

    pub fn say(&mut self, n: usize, seen: &ScheduleRun, standing: &Standing) {
        // Somebody else may have seen the same, or its end.
        if self.runs.get(&key(seen)) != Some(seen) || self.store_fails() {
            return;
        }
        self.note(|_| format!("manager {n}: {} {standing:?}", seen.scheduled_time));
        let said = self.said.entry(key(seen)).or_default();
        match standing {
            Standing::Missed => {
                said.missed += 1;
                said.at_risk = false;
                self.count("missed");
            }
            Standing::AtRisk(_) => {
                said.at_risk = true;
                self.count("at risk");
            }
            Standing::Fine => {
                said.at_risk = false;
                self.count("no longer at risk");
            }
        }
        let once = self.said[&key(seen)].missed <= 1;
        self.verdict.hold(Check::MissedSaidOnce, once, || format!("{seen:?}"));
        self.put(standing.said(seen));
    }
}
