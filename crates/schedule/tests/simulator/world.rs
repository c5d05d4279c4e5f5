//! A world around schedules: two managers that look, decide and commit at different moments, operations that wait, run
//! and end, people who change their minds, and clocks that are set.

use crate::checks::{Check, Verdict};
use crate::script::{HOUR, MINUTE, Script};
use crate::wall::{LINES, Wall};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use tenantry_model::{EnvironmentId, OperationId, RunState, Schedule, ScheduleRun};
use tenantry_schedule::{Firing, PastRun, Standing, Times};

/// For whom, and which time; schedules have rows of their own.
pub type Key = (u128, EnvironmentId, Timestamp);

/// Something that happens, to a manager (with its session) or to the world.
#[derive(Clone, Debug)]
pub enum Ev {
    /// It looks, and will look again.
    Look(usize, u32),
    /// It looks once, since something was committed.
    Wake(usize, u32),
    Fire(usize, u32, Box<(Schedule, Firing)>),
    Begin(usize, u32, Key),
    Watch(usize, u32),
    Say(usize, u32, Box<(ScheduleRun, Standing)>),
    Start(usize),
    End(usize),
    Unlock(EnvironmentId),
    Person,
    Crash,
    Back(usize),
    Jump,
    Quiet,
}

pub struct Manager {
    pub up: bool,
    pub session: u32,
    pub skew: i64,
}

#[derive(Debug)]
pub struct Op {
    pub id: OperationId,
    pub schedule: u128,
    pub environment: EnvironmentId,
    pub scheduled_time: Timestamp,
    /// By the world's own time, which nobody can set.
    pub began: Option<i64>,
    /// By the clock of the manager that saw it.
    pub began_at: Option<Timestamp>,
    /// What its two steps take.
    pub steps: [i64; 2],
    pub over: bool,
}

/// What was said about a run.
#[derive(Default)]
pub struct Said {
    pub missed: u32,
    pub at_risk: bool,
}

pub struct World {
    pub rng: Rng,
    pub script: Script,
    pub wall: &'static Wall,
    pub now: i64,
    /// What the clock shows differs so much from the world's own time.
    pub offset: i64,
    pub managers: [Manager; 2],
    pub quiet: bool,
    pub quiet_since: i64,
    queue: BinaryHeap<Reverse<(i64, u64)>>,
    events: BTreeMap<u64, Ev>,
    sequence: u64,
    /// The rows.
    pub schedule: Option<Schedule>,
    pub runs: BTreeMap<Key, ScheduleRun>,
    pub ops: Vec<Op>,
    pub locked: BTreeMap<EnvironmentId, i64>,
    pub refusing: BTreeSet<EnvironmentId>,
    pub gone: BTreeSet<EnvironmentId>,
    pub past: BTreeMap<EnvironmentId, Vec<PastRun>>,
    /// What is remembered to judge by.
    pub said: BTreeMap<Key, Said>,
    pub fired: BTreeSet<(u128, Timestamp)>,
    pub flips: BTreeMap<Key, u32>,
    pub accounted: Timestamp,
    pub verdict: Verdict,
    pub tally: BTreeMap<&'static str, u32>,
    pub log: Option<Vec<String>>,
}

impl World {
    pub fn new(seed: u64, keep_log: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let script = Script::write(&mut rng);
        let wall = script.wall;
        let skew = rng.i64(-2..=2);
        let mut world = Self {
            now: rng.i64(HOUR..30 * HOUR),
            offset: 0,
            managers: [
                Manager { up: true, session: 0, skew: 0 },
                Manager { up: rng.u32(0..4) > 0, session: 0, skew },
            ],
            quiet: false,
            quiet_since: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            sequence: 0,
            schedule: None,
            runs: BTreeMap::new(),
            ops: Vec::new(),
            locked: BTreeMap::new(),
            refusing: BTreeSet::new(),
            gone: BTreeSet::new(),
            past: BTreeMap::new(),
            said: BTreeMap::new(),
            fired: BTreeSet::new(),
            flips: BTreeMap::new(),
            accounted: wall.start,
            verdict: Verdict::default(),
            tally: BTreeMap::new(),
            log: keep_log.then(Vec::new),
            wall,
            script,
            rng,
        };
        world.make_schedule();
        for n in 0..2 {
            world.later(1, Ev::Look(n, 0));
            world.later(MINUTE, Ev::Watch(n, 0));
        }
        let end = 5 * 24 * HOUR;
        for (chance, event) in world.script.disturbances() {
            for _ in 0..chance {
                let at = world.rng.i64(0..end);
                world.later(at, event.clone());
            }
        }
        world.later(end, Ev::Quiet);
        world
    }

    pub fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    pub fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if let Some(mut log) = self.log.take() {
            log.push(format!("{} {}", self.clock(0), line(self)));
            self.log = Some(log);
        }
    }

    pub fn later(&mut self, wait: i64, event: Ev) {
        self.sequence += 1;
        self.queue.push(Reverse((self.now + wait, self.sequence)));
        self.events.insert(self.sequence, event);
    }

    /// What a manager's clock shows.
    pub fn clock(&self, manager: usize) -> Timestamp {
        let seconds = self.now + self.offset + self.managers[manager].skew;
        self.wall.start + SignedDuration::from_secs(seconds)
    }

    /// The times of the schedule's line as the code under test has them, and those by the definition.
    pub fn times(&self, schedule: &Schedule) -> (&'static Times, &'static BTreeSet<Timestamp>) {
        let line = LINES.iter().position(|line| *line == schedule.cron).unwrap();
        let (fires, times) = &self.wall.lines[line];
        (times, fires)
    }

    pub fn live(&mut self) {
        while let Some(Reverse((at, sequence))) = self.queue.pop() {
            self.now = at;
            let event = self.events.remove(&sequence).unwrap();
            self.happen(event);
            if self.verdict.broken().contains_key(&Check::ComesToRest) {
                return;
            }
        }
        self.check_end();
    }

    fn happen(&mut self, event: Ev) {
        match event {
            Ev::Look(n, session) if self.is_alive(n, session) => self.look_on(n),
            Ev::Wake(n, session) if self.is_alive(n, session) => self.look(n),
            Ev::Fire(n, session, firing) if self.is_alive(n, session) => self.fire(n, &firing.0, &firing.1),
            Ev::Begin(n, session, key) if self.is_alive(n, session) => self.begin(n, key),
            Ev::Watch(n, session) if self.is_alive(n, session) => self.watch(n),
            Ev::Say(n, session, news) if self.is_alive(n, session) => self.say(n, &news.0, &news.1),
            Ev::Look(..) | Ev::Wake(..) | Ev::Fire(..) | Ev::Begin(..) | Ev::Watch(..) | Ev::Say(..) => {}
            Ev::Start(op) => self.start(op),
            Ev::End(op) => self.end(op),
            Ev::Unlock(environment) => {
                self.locked.remove(&environment);
            }
            Ev::Person => self.person(),
            Ev::Crash => self.crash(),
            Ev::Back(n) => self.back(n),
            Ev::Jump => self.jump(),
            Ev::Quiet => self.be_quiet(),
        }
    }

    fn is_alive(&self, n: usize, session: u32) -> bool {
        self.managers[n].up && self.managers[n].session == session
    }

    /// One manager dies, or both; what they had not committed is gone with them.
    fn crash(&mut self) {
        if self.quiet {
            return;
        }
        let both = self.rng.bool();
        for n in 0..2 {
            if (both || self.rng.bool()) && self.managers[n].up {
                self.managers[n].up = false;
                self.managers[n].session += 1;
                let longest = *self.rng.choice(&[MINUTE, 10 * MINUTE, 6 * HOUR, 40 * HOUR]).unwrap();
                let wait = self.rng.i64(1..longest);
                self.later(wait, Ev::Back(n));
            }
        }
        if self.managers.iter().all(|manager| !manager.up) {
            self.count("nobody is up");
        }
    }

    fn back(&mut self, n: usize) {
        if !self.managers[n].up {
            self.managers[n].up = true;
            let session = self.managers[n].session;
            self.later(1, Ev::Look(n, session));
            self.later(MINUTE, Ev::Watch(n, session));
        }
    }

    fn jump(&mut self) {
        let longest = *self.rng.choice(&[10 * MINUTE, 3 * HOUR, 30 * HOUR]).unwrap();
        let by = self.rng.i64(1..longest);
        let shown = self.now + self.offset;
        if self.rng.bool() && shown - by > HOUR {
            self.offset -= by;
            self.count("clock set back");
            if self.rng.bool() {
                // Somebody looks after the schedule at once.
                self.later(MINUTE, Ev::Person);
            }
        } else if self.offset + by < 48 * HOUR {
            self.offset += by;
            self.count("clock set ahead");
        }
        self.note(|world| format!("the clock is set; offset {}", world.offset));
    }

    /// The faults stop, nothing more comes, and what is there has to come to its end.
    fn be_quiet(&mut self) {
        (self.quiet, self.quiet_since) = (true, self.now);
        self.refusing.clear();
        self.locked.clear();
        if let Some(schedule) = &mut self.schedule {
            schedule.paused = Some(crate::script::paused(schedule.updated_at));
            schedule.next_time = None;
            schedule.revision += 1;
        }
        for n in 0..2 {
            self.back(n);
        }
        self.wake();
    }

    /// A commit concerns the loops that fire.
    pub fn wake(&mut self) {
        for n in 0..2 {
            let session = self.managers[n].session;
            let wait = self.rng.i64(1..5);
            self.later(wait, Ev::Wake(n, session));
        }
    }

    /// Somebody has still something to do.
    pub fn goes_on(&self) -> bool {
        let open = |run: &ScheduleRun| !matches!(run.state, RunState::Ended | RunState::Skipped);
        !self.quiet || self.now < self.quiet_since + 48 * HOUR && self.runs.values().any(open)
    }
}
