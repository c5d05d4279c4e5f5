//! What a seed makes of the world before it begins.

use crate::wall::{LINES, Wall, walls};
use crate::world::Ev;
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::Map;
use tenantry_model::{
    Actor, CatchUp, EnvironmentId, Overlap, Paused, RunDeadline, Schedule, ScheduleId, ScheduleTarget,
};
use uuid::Uuid;

pub const MINUTE: i64 = 60;
pub const HOUR: i64 = 60 * MINUTE;

pub struct Script {
    pub wall: &'static Wall,
    pub environments: Vec<EnvironmentId>,
    /// What an operation takes at most.
    pub longest: i64,
    /// How often of 100 a commit fails and nothing of it is there.
    pub store_fails: u32,
    people: u32,
    crashes: u32,
    jumps: u32,
}

impl Script {
    pub fn write(rng: &mut Rng) -> Self {
        Self {
            wall: &walls()[rng.usize(0..walls().len())],
            environments: (0..rng.u128(1..=3)).map(|n| EnvironmentId(Uuid::from_u128(0xe0 + n))).collect(),
            longest: *rng.choice(&[10 * MINUTE, 2 * HOUR, 10 * HOUR]).unwrap(),
            store_fails: *rng.choice(&[0, 3, 20]).unwrap(),
            people: rng.u32(0..12),
            crashes: rng.u32(0..5),
            jumps: *rng.choice(&[0, 0, 1, 3]).unwrap(),
        }
    }

    pub fn disturbances(&self) -> [(u32, Ev); 3] {
        [(self.people, Ev::Person), (self.crashes, Ev::Crash), (self.jumps, Ev::Jump)]
    }
}

pub fn line(rng: &mut Rng) -> String {
    (*rng.choice(LINES).unwrap()).to_owned()
}

pub fn overlap(rng: &mut Rng) -> Overlap {
    *rng.choice([Overlap::Skip, Overlap::Queue, Overlap::Replace].iter()).unwrap()
}

pub fn catch_up(rng: &mut Rng) -> CatchUp {
    *rng.choice([CatchUp::None, CatchUp::Latest, CatchUp::All].iter()).unwrap()
}

pub fn deadline(rng: &mut Rng) -> Option<RunDeadline> {
    let text = ["", "", "20m", "2h", "9h", "06:30", "02:30", "02:15+1d", "22:30"];
    rng.choice(text.iter()).unwrap().parse().ok()
}

pub fn schedule(rng: &mut Rng, number: u128, zone: &str, now: Timestamp) -> Schedule {
    Schedule {
        id: ScheduleId(Uuid::from_u128(number)),
        name: "nightly".parse().unwrap(),
        description: String::new(),
        operation: "risk.nightly".parse().unwrap(),
        parameters: Map::new(),
        target: ScheduleTarget::Selector { tenant: None, region: None, labels: String::new(), cap: 10 },
        cron: line(rng),
        time_zone: zone.to_owned(),
        catch_up: catch_up(rng),
        overlap: overlap(rng),
        deadline: deadline(rng),
        paused: None,
        last_time: None,
        next_time: None,
        revision: 1,
        created_by: Actor::system(),
        created_at: now,
        updated_at: now,
    }
}

pub fn paused(at: Timestamp) -> Paused {
    Paused { by: Actor::system(), reason: "enough".to_owned(), at }
}

pub fn seconds(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n)
}
