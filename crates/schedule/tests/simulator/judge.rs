//! What must hold whenever something is committed, and at the end; judged by the definitions, not by the rows alone.

use crate::checks::Check;
use crate::manager::{BOUNDS, MOST_WAITING, key};
use crate::world::{Op, World};
use jiff::Timestamp;
use std::ops::Bound;
use tenantry_model::{CatchUp, Overlap, RunCause, RunDeadline, RunState, Schedule, ScheduleRun};
use tenantry_schedule::{Firing, Replaced, Standing, Turn};

fn by_time(run: &ScheduleRun) -> bool {
    matches!(run.cause, RunCause::Time | RunCause::CatchUp)
}

impl World {
    /// The first time after `after`, by the definition.
    fn by_definition(&self, schedule: &Schedule, after: Timestamp) -> Option<Timestamp> {
        let (_, fires) = self.times(schedule);
        fires.range((Bound::Excluded(after), Bound::Unbounded)).next().copied()
    }

    pub fn check_firing(&mut self, seen: &Schedule, locked: &Schedule, firing: &Firing) {
        let due = &firing.due;
        let stands = seen.revision == locked.revision && locked.paused.is_none();
        self.verdict.hold(Check::ChangesStand, stands, || format!("{seen:?} fired, and it is {locked:?}"));
        let (_, fires) = self.times(seen);
        let came: Vec<Timestamp> = fires
            .range((Bound::Excluded(self.accounted), Bound::Unbounded))
            .take_while(|at| **at <= due.last)
            .copied()
            .collect();
        let named = due.fire.iter().all(|at| fires.contains(at)) && fires.contains(&due.last);
        let next = self.by_definition(seen, due.last);
        let right = named && due.next == next && due.fire.is_sorted_by(|one, two| one < two);
        let story =
            || format!("{} in {}: {due:?}, by definition {came:?}, {next:?}", seen.cron, seen.time_zone);
        self.verdict.hold(Check::TimesByDefinition, right, story);
        let all = due.fire.len() as u64 + due.left_out == came.len() as u64;
        self.verdict.hold(Check::EveryTimeAccounted, all, story);
        let left_out = came.iter().filter(|at| !due.fire.contains(at)).max().copied();
        self.verdict.hold(Check::LeftOutSaid, due.left_out_until == left_out, story);
        let now = due.last + firing.delay;
        let wanted = wanted(&came, now, seen.catch_up, self.script.environments.len() - self.gone.len());
        self.verdict.hold(Check::CatchUpAsSaid, due.fire == wanted, || {
            format!("{:?} at {now}: {:?} instead of {wanted:?} of {came:?}", seen.catch_up, due.fire)
        });
        for at in &due.fire {
            let first = self.fired.insert((seen.id.0.as_u128(), *at));
            self.verdict.hold(Check::FiredOnce, first, || format!("{at} fires again"));
            if let Some(hour) = self.wall.hour(*at) {
                self.count(hour);
            }
        }
        self.accounted = self.accounted.max(due.last);
        self.count(match (due.fire.len(), due.left_out) {
            (0, _) => "all left out",
            (1, 0) => "fired",
            (_, 0) => "caught up",
            _ => "some left out",
        });
        if now.duration_since(due.last) > BOUNDS.grace {
            self.count("late");
        }
    }

    /// After a person's change.
    pub fn check_changed(&mut self, now: Timestamp) {
        let Some(schedule) = self.schedule.clone() else { return };
        let from = schedule.last_time.map_or(now, |last| last.max(now));
        self.accounted = from;
        let next = self.by_definition(&schedule, from).filter(|_| schedule.paused.is_none());
        let waits = schedule.next_time.is_none_or(|next| Some(next) > schedule.last_time);
        self.verdict.hold(Check::ClockBackWaits, waits, || format!("{schedule:?}"));
        self.verdict.hold(Check::TimesByDefinition, !waits || schedule.next_time == next, || {
            format!("{schedule:?}, by definition {next:?}")
        });
    }

    pub fn check_asked(&mut self, found: &[Timestamp], from: Timestamp, until: Timestamp, now: Timestamp) {
        let schedule = self.schedule.clone().unwrap();
        let passed = found.iter().all(|at| *at <= now);
        self.verdict.hold(Check::AskedHasPassed, passed, || format!("{found:?} at {now}"));
        let (_, fires) = self.times(&schedule);
        let last = until.min(now);
        let wanted: Vec<_> = fires.iter().filter(|at| (from..=last).contains(*at)).copied().collect();
        let same = !passed || wanted == found;
        self.verdict
            .hold(Check::TimesByDefinition, same, || format!("{from} to {last}: {found:?}, not {wanted:?}"));
    }

    pub fn check_deadline(&mut self, schedule: &Schedule, run: &ScheduleRun) {
        let at = run.scheduled_time;
        let wanted = match schedule.deadline.filter(|_| run.cause != RunCause::Backfill) {
            None => None,
            Some(RunDeadline::Within(time)) => Some(at + time),
            Some(RunDeadline::At { time, days }) => self.wall.first(time, days, at),
        };
        self.verdict.hold(Check::DeadlineByDefinition, run.deadline_at == wanted, || {
            format!("{:?} after {at}: {:?} instead of {wanted:?}", schedule.deadline, run.deadline_at)
        });
    }

    /// `left` are those that are open once `replaced` are not.
    pub fn check_replaced(
        &mut self,
        schedule: &Schedule,
        run: &ScheduleRun,
        replaced: &[Replaced],
        left: &[ScheduleRun],
    ) {
        for other in replaced {
            let of = match other {
                Replaced::Row(row) => row,
                Replaced::Operation(id, _) => {
                    let begun = self.op(*id).began.is_some();
                    self.verdict.hold(Check::ReplaceSparesBegun, !begun, || format!("{run:?} ended {id}"));
                    self.runs.values().find(|run| run.operation == Some(*id)).unwrap()
                }
            };
            let may = by_time(of) && by_time(run) && of.scheduled_time < run.scheduled_time;
            self.verdict.hold(Check::ReplaceSparesAsked, may, || format!("{run:?} replaced {of:?}"));
        }
        let waits = |other: &&ScheduleRun| {
            by_time(other) && other.scheduled_time < run.scheduled_time && other.state != RunState::Requested
        };
        let still = left.iter().find(waits).filter(|_| schedule.overlap == Overlap::Replace && by_time(run));
        self.verdict.hold(Check::ReplaceTakesPlace, still.is_none(), || format!("{run:?} beside {still:?}"));
    }

    pub fn check_turn(&mut self, schedule: &Schedule, run: &ScheduleRun, open: &[ScheduleRun], turn: &Turn) {
        let goes_on = open.iter().any(|other| other.state == RunState::Requested);
        let full = open.len() > MOST_WAITING;
        let story = || format!("{:?} {run:?}: {turn:?}", schedule.overlap);
        let skips = matches!(turn, Turn::Skip(_));
        if by_time(run) && schedule.overlap == Overlap::Skip {
            self.verdict.hold(Check::SkipLeavesOut, skips == (goes_on || full), story);
        } else {
            self.verdict.hold(Check::QueueLosesNothing, skips == full, story);
        }
        if *turn == Turn::Now {
            let earlier = |other: &ScheduleRun| {
                other.state != RunState::Requested && other.scheduled_time < run.scheduled_time
            };
            self.verdict.hold(Check::InOrder, !open.iter().any(earlier), story);
            self.verdict.hold(Check::OneAtATime, !goes_on, story);
        }
    }

    pub fn check_request(&mut self, run: &ScheduleRun, op: &Op) {
        let told = op.scheduled_time == run.scheduled_time;
        self.verdict.hold(Check::TimeInjected, told, || format!("{run:?} told {}", op.scheduled_time));
        let (schedule, environment, time) = key(run);
        let same = |other: &&Op| (other.schedule, other.environment) == (schedule, environment);
        let twin = self.ops.iter().filter(same).find(|other| other.scheduled_time == time).map(|op| op.id);
        self.verdict.hold(Check::NeverTwice, twin.is_none() && run.operation.is_none(), || {
            format!("{run:?} has {twin:?} already")
        });
    }

    pub fn check_missed(&mut self, run: &ScheduleRun, now: Timestamp) {
        let times = self.said.get(&key(run)).map_or(0, |said| said.missed);
        let late = run.deadline_at.is_some_and(|deadline| now > deadline);
        let right = times <= 1 && (!late || times == 1) && (times == 1) == run.missed;
        self.verdict.hold(Check::MissedSaidOnce, right, || format!("{run:?} at {now}: said {times} times"));
    }

    pub fn check_standing(&mut self, run: &ScheduleRun, standing: &Standing, now: Timestamp) {
        let (open, news) = (self.said.get(&key(run)).is_some_and(|said| said.at_risk), standing.is_news(run));
        let risk = matches!(standing, Standing::AtRisk(_));
        self.verdict.hold(Check::RiskSaid, !risk || open || news, || format!("{run:?} at {now}"));
        self.verdict.hold(Check::RiskSettled, risk || !open || news, || format!("{run:?} at {now}"));
    }

    pub fn check_end(&mut self) {
        if self.verdict.broken().contains_key(&Check::ComesToRest) {
            return;
        }
        let open = self.runs.values().find(|run| !matches!(run.state, RunState::Ended | RunState::Skipped));
        self.verdict.hold(Check::NobodyForgotten, open.is_none(), || format!("{open:?} at the end"));
        let risk = self.said.values().any(|said| said.at_risk);
        self.verdict.hold(Check::RiskSettled, !risk || open.is_some(), || "at the end".to_owned());
    }
}

/// Which of the times that came are to be run.
fn wanted(came: &[Timestamp], now: Timestamp, policy: CatchUp, environments: usize) -> Vec<Timestamp> {
    let most = (BOUNDS.runs / environments.max(1)).clamp(1, BOUNDS.times);
    let newest = &came[came.len().saturating_sub(most)..];
    let on_time: Vec<_> =
        newest.iter().copied().filter(|at| now.duration_since(*at) <= BOUNDS.grace).collect();
    match policy {
        CatchUp::All => newest.to_vec(),
        CatchUp::Latest if on_time.is_empty() => newest.last().copied().into_iter().collect(),
        CatchUp::Latest | CatchUp::None => on_time,
    }
}
