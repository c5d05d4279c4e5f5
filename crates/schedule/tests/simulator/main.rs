//! A seeded world around schedules: managers that are down when a time comes or see it both, clocks that are set, the
//! skipped and the repeated hour, runs that last longer than it takes for the next to come, people who change, pause,
//! delete and backfill. What must happen is judged by the definitions in words (`wall`), not by what is under test.
//!
//! `TENANTRY_SIM_SEEDS=100000` runs more seeds; `TENANTRY_SIM_SEED=42` replays one and prints what happens.

// A test that cannot go on says so by panicking.
#![allow(clippy::unwrap_used)]

mod checks;
mod judge;
mod manager;
mod people;
mod script;
mod wall;
mod world;

use checks::{Check, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_schedule::mutants::{Mutant, plant};
use world::World;

fn live(seed: u64) -> Verdict {
    let mut world = World::new(seed, false);
    world.live();
    world.verdict
}

fn log(seed: u64) -> Vec<String> {
    let mut world = World::new(seed, true);
    world.live();
    world.log.unwrap_or_default()
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn every_invariant_holds_in_every_seeded_world() {
    if let Some(seed) = from_environment("TENANTRY_SIM_SEED") {
        for line in log(seed) {
            println!("{line}");
        }
        let verdict = live(seed);
        assert!(verdict.broken().is_empty(), "seed {seed}: {:#?}", verdict.broken());
        return;
    }
    let seeds = from_environment("TENANTRY_SIM_SEEDS").unwrap_or(10_000);
    let began = std::time::Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let failed: Vec<(u64, Verdict)> = std::thread::scope(|scope| {
        let share = |first: u64| scope.spawn(move || first_failure((first..seeds).step_by(threads)));
        let workers: Vec<_> = (0..seeds.min(threads as u64)).map(share).collect();
        workers.into_iter().filter_map(|worker| worker.join().unwrap()).collect()
    });
    if let Some((seed, verdict)) = failed.into_iter().min_by_key(|(seed, _)| *seed) {
        panic!(
            "seed {seed} broke {:#?}\nreplay it: TENANTRY_SIM_SEED={seed} cargo test -p tenantry-schedule \
             --test simulator every_invariant -- --nocapture",
            verdict.broken()
        );
    }
    let took = began.elapsed();
    #[allow(clippy::cast_precision_loss)] // a figure to look at
    let each_second = seeds as f64 / took.as_secs_f64();
    println!("{seeds} seeds of schedules in {took:.1?}: {each_second:.0} a second on {threads} threads");
}

fn first_failure(seeds: impl Iterator<Item = u64>) -> Option<(u64, Verdict)> {
    seeds.map(|seed| (seed, live(seed))).find(|(_, verdict)| !verdict.broken().is_empty())
}

#[test]
fn the_same_seed_gives_the_same_world() {
    for seed in 0..20 {
        assert!(log(seed) == log(seed), "seed {seed} differs from itself");
    }
}

/// What the worlds must hold, often, for the checks to mean something.
const EXPECTED: [&str; 35] = [
    "nobody is up",
    "clock set back",
    "clock set ahead",
    "a commit fails",
    "somebody else was faster",
    "fired",
    "caught up",
    "all left out",
    "some left out",
    "late",
    "requested",
    "waits",
    "skipped",
    "replaced",
    "refused",
    "ended at once",
    "missed",
    "ended late unseen",
    "at risk",
    "no longer at risk",
    "updated",
    "paused or resumed",
    "deleted",
    "made anew",
    "backfill",
    "asked for",
    "skipped and asked for",
    "run now",
    "decommissioned",
    "locked",
    "changed in between",
    "skipped hour",
    "repeated hour, first time",
    "repeated hour, second time",
    "fired what a backfill had made",
];

#[test]
fn the_worlds_hold_what_the_checks_are_about() {
    let mut tally: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..300 {
        let mut world = World::new(seed, false);
        world.live();
        for (what, count) in world.tally {
            *tally.entry(what).or_default() += count;
        }
    }
    let rare: Vec<_> = EXPECTED
        .iter()
        .map(|what| (*what, tally.get(*what).copied().unwrap_or(0)))
        .filter(|(_, n)| *n < 5)
        .collect();
    assert!(rare.is_empty(), "too rare: {rare:?} of {tally:#?}");
}

/// The named check turns red under the planted fault, in one of the first worlds.
fn turns_red(mutant: Mutant, check: Check) {
    // What is judged by was made without the fault.
    wall::walls();
    plant(Some(mutant));
    let red = (0..300).any(|seed| live(seed).broken().contains_key(&check));
    plant(None);
    assert!(red, "{check:?} did not notice {mutant:?}");
}

macro_rules! planted {
    ($($name:ident: $mutant:ident => $check:ident;)*) => {
        $(#[test]
        fn $name() {
            turns_red(Mutant::$mutant, Check::$check);
        })*

        const PLANTED: &[Check] = &[$(Check::$check),*];
    };
}

planted! {
    a_repeated_hour_that_counts_twice_is_noticed: RepeatedHourTwice => TimesByDefinition;
    a_skipped_hour_that_is_lost_is_noticed: SkippedHourLost => TimesByDefinition;
    a_forgotten_time_is_noticed: TimeForgotten => EveryTimeAccounted;
    a_time_left_out_in_silence_is_noticed: LeftOutUnsaid => LeftOutSaid;
    an_ignored_catch_up_is_noticed: CatchUpIgnored => CatchUpAsSaid;
    a_time_that_two_managers_fire_is_noticed: FiresAgain => FiredOnce;
    a_firing_of_what_was_changed_is_noticed: FiresChanged => ChangesStand;
    a_clock_set_back_that_fires_again_is_noticed: NextFromClock => ClockBackWaits;
    a_run_asked_for_twice_is_noticed: AsksForEnded => NeverTwice;
    a_future_time_asked_for_is_noticed: AsksForFuture => AskedHasPassed;
    a_wrong_time_told_is_noticed: InjectsNow => TimeInjected;
    an_ignored_overlap_is_noticed: OverlapIgnored => OneAtATime;
    a_skip_that_waits_is_noticed: SkipWaits => SkipLeavesOut;
    a_queue_that_skips_is_noticed: QueueSkips => QueueLosesNothing;
    a_replaced_wish_is_noticed: ReplacesAsked => ReplaceSparesAsked;
    a_replaced_run_that_has_begun_is_noticed: ReplacesBegun => ReplaceSparesBegun;
    a_replace_that_queues_is_noticed: ReplacesNothing => ReplaceTakesPlace;
    a_jumped_queue_is_noticed: QueueJumped => InOrder;
    a_forgotten_queue_is_noticed: QueueForgets => NobodyForgotten;
    a_skip_without_a_reason_is_noticed: SkipsSilently => SkipHasReason;
    a_deadline_from_the_wrong_time_is_noticed: DeadlineFromNow => DeadlineByDefinition;
    a_deadline_missed_twice_is_noticed: MissedAgain => MissedSaidOnce;
    a_deadline_missed_unseen_is_noticed: MissedUnseen => MissedSaidOnce;
    an_unsaid_risk_is_noticed: RiskUnsaid => RiskSaid;
    a_risk_that_stays_is_noticed: RiskStays => RiskSettled;
    a_queue_that_never_rests_is_noticed: QueueSpins => ComesToRest;
}

#[test]
fn every_check_has_a_planted_fault() {
    let planted: BTreeSet<Check> = PLANTED.iter().copied().collect();
    assert_eq!(planted, Check::ALL.iter().copied().collect());
}
