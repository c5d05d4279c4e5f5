//! What people do with schedules and environments while they run.

use crate::manager::key;
use crate::script::{self, HOUR, MINUTE, seconds};
use crate::world::{Ev, World};
use jiff::Timestamp;
use tenantry_model::{RunCause, RunState};
use tenantry_schedule::{may_be_asked, new_run, next_after_change, past_times};

impl World {
    pub fn make_schedule(&mut self) {
        let now = self.clock(0);
        let number = 0x5c00 + self.fired.len() as u128 + self.ops.len() as u128 * 1000;
        let new = script::schedule(&mut self.rng, number, self.wall.zone, now);
        self.schedule = Some(new);
        self.changed(now);
    }

    /// Stores a change as the manager does: with a next time that lies after now and after what has come.
    fn changed(&mut self, now: Timestamp) {
        let Some(mut schedule) = self.schedule.take() else { return };
        schedule.revision += 1;
        schedule.updated_at = now;
        let (times, _) = self.times(&schedule);
        schedule.next_time = next_after_change(&schedule, times, now);
        self.note(|_| format!("changed: {schedule:?}"));
        self.schedule = Some(schedule);
        self.check_changed(now);
        self.wake();
    }

    pub fn person(&mut self) {
        let Some(n) = self.somebody().filter(|_| !self.quiet) else { return };
        let now = self.clock(n);
        if self.schedule.is_none() {
            self.count("made anew");
            return self.make_schedule();
        }
        match self.rng.u32(0..12) {
            0..=2 => self.update(now),
            3 | 4 => self.pause(now),
            5 => self.delete(),
            6 | 7 => self.backfill(now),
            8 => self.run_now(now),
            9 => self.environment_changes(),
            _ => {
                let environment = *self.rng.choice(&self.script.environments).unwrap();
                let wait = self.rng.i64(MINUTE..12 * HOUR);
                self.locked.insert(environment, self.now);
                self.later(wait, Ev::Unlock(environment));
                self.count("locked");
            }
        }
    }

    fn update(&mut self, now: Timestamp) {
        let schedule = self.schedule.as_mut().unwrap();
        match self.rng.u32(0..4) {
            0 => schedule.cron = script::line(&mut self.rng),
            1 => schedule.catch_up = script::catch_up(&mut self.rng),
            2 => schedule.overlap = script::overlap(&mut self.rng),
            _ => schedule.deadline = script::deadline(&mut self.rng),
        }
        self.count("updated");
        self.changed(now);
    }

    fn pause(&mut self, now: Timestamp) {
        let schedule = self.schedule.as_mut().unwrap();
        schedule.paused = if schedule.paused.is_some() { None } else { Some(script::paused(now)) };
        self.count("paused or resumed");
        self.changed(now);
    }

    /// Its runs that are due or wait go with it; the others stay.
    fn delete(&mut self) {
        let schedule = self.schedule.take().unwrap();
        let stays = |state| !matches!(state, RunState::Due | RunState::Waiting);
        self.runs.retain(|_, run| run.schedule != schedule.id || stays(run.state));
        self.count("deleted");
        self.note(|_| "deleted".to_owned());
        let wait = self.rng.i64(1..10 * HOUR);
        self.later(wait, Ev::Person);
    }

    fn backfill(&mut self, now: Timestamp) {
        let schedule = self.schedule.clone().unwrap();
        let back = self.rng.i64(MINUTE..60 * HOUR);
        let from = (now - seconds(back)).max(self.wall.start + seconds(HOUR));
        let length = self.rng.i64(0..60 * HOUR);
        let until = from + seconds(length);
        if from > now {
            return;
        }
        let (times, _) = self.times(&schedule);
        let found = past_times(times, from, until, now, 1000);
        self.check_asked(&found, from, until, now);
        self.ask_for(&found, RunCause::Backfill, now);
        self.count("backfill");
    }

    fn run_now(&mut self, now: Timestamp) {
        self.ask_for(&[now], RunCause::Request, now);
        self.count("run now");
    }

    fn ask_for(&mut self, found: &[Timestamp], cause: RunCause, now: Timestamp) {
        let schedule = self.schedule.clone().unwrap();
        let (times, _) = self.times(&schedule);
        for at in found {
            for environment in self.script.environments.clone() {
                if self.gone.contains(&environment) {
                    continue;
                }
                let run = new_run(&schedule, environment, *at, cause, times.zone(), now);
                self.check_deadline(&schedule, &run);
                let before = self.runs.get(&key(&run)).map(|run| run.state);
                if may_be_asked(before) {
                    self.count(if before.is_some() { "skipped and asked for" } else { "asked for" });
                    self.said.remove(&key(&run));
                    self.put(run);
                }
            }
        }
        self.wake();
    }

    fn environment_changes(&mut self) {
        let environment = *self.rng.choice(&self.script.environments).unwrap();
        if self.rng.u32(0..3) == 0 {
            self.gone.insert(environment);
            self.count("decommissioned");
        } else if !self.refusing.remove(&environment) {
            self.refusing.insert(environment);
        }
    }
}
