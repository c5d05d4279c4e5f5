//! A seeded world around the engine: regions that lose, repeat and reorder reports, agents that crash and forget,
//! nodes that vanish, people who press buttons. A witness in the world, not the engine's rows, says what really ran.
//!
//! `TENANTRY_SIM_SEEDS=100000` runs more seeds; `TENANTRY_SIM_SEED=42` replays one and prints its transitions.

// A test that cannot go on says so by panicking.
#![allow(clippy::unwrap_used)]

mod checks;
mod judge;
mod manager;
mod people;
mod region;
mod script;
mod steer;
mod story;
mod witness;
mod world;

use checks::{Check, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_engine::mutants::{Mutant, plant};
use world::World;

fn live(seed: u64) -> Verdict {
    let mut world = World::new(seed, false);
    world.live();
    world.verdict
}

fn log(seed: u64) -> Vec<(String, String)> {
    let mut world = World::new(seed, true);
    world.live();
    world.manager.log.unwrap_or_default()
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn every_invariant_holds_in_every_seeded_world() {
    if let Some(seed) = from_environment("TENANTRY_SIM_SEED") {
        for (_, line) in log(seed) {
            println!("{line}");
        }
        let verdict = live(seed);
        assert!(verdict.broken().is_empty(), "seed {seed}: {:#?}", verdict.broken());
        return;
    }
    let seeds = from_environment("TENANTRY_SIM_SEEDS").unwrap_or(10_000);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let failed: Vec<(u64, Verdict)> = std::thread::scope(|scope| {
        let share = |first: u64| scope.spawn(move || first_failure((first..seeds).step_by(threads)));
        let workers: Vec<_> = (0..seeds.min(threads as u64)).map(share).collect();
        workers.into_iter().filter_map(|worker| worker.join().unwrap()).collect()
    });
    if let Some((seed, verdict)) = failed.into_iter().min_by_key(|(seed, _)| *seed) {
        panic!(
            "seed {seed} broke {:#?}\nreplay it: TENANTRY_SIM_SEED={seed} cargo test -p tenantry-engine \
             --test simulator every_invariant -- --nocapture",
            verdict.broken()
        );
    }
}

fn first_failure(seeds: impl Iterator<Item = u64>) -> Option<(u64, Verdict)> {
    seeds.map(|seed| (seed, live(seed))).find(|(_, verdict)| !verdict.broken().is_empty())
}

#[test]
fn the_same_seed_gives_the_same_transitions() {
    for seed in 0..20 {
        assert!(log(seed) == log(seed), "seed {seed} differs from itself");
    }
}

/// What the worlds must hold, often, for the checks to mean something.
const EXPECTED: [&str; 58] = [
    "admission: start",
    "admission: wait",
    "admission: wait and cancel",
    "admission: refuse",
    "plan refused",
    "rejected",
    "report twice",
    "overlap, excused or not",
    "late outcome",
    "rerun",
    "kill",
    "skip",
    "confirm",
    "declare-lost",
    "hold",
    "stop",
    "release",
    "rerun-with-successors",
    "ignore-dependency",
    "pause",
    "resume",
    "hold by predicate",
    "caught by a predicate",
    "lift",
    "replay",
    "kept",
    "replace",
    "old view refused",
    "attention StepStale",
    "attention StepHeld",
    "attention OperationPaused",
    "attempt Superseded",
    "replay-hook-gone",
    "operation Succeeded",
    "operation Failed",
    "operation Cancelled",
    "step Succeeded",
    "step Failed",
    "step Skipped",
    "step Confirmed",
    "step Cancelled",
    "attempt Succeeded",
    "attempt Failed",
    "attempt Killed",
    "attempt Lost",
    "kill by Operator",
    "kill by Cancel",
    "kill by Timeout",
    "reason HookFailed",
    "reason OutOfMemory",
    "reason ImagePull",
    "reason Unschedulable",
    "reason Evicted",
    "reason Deadline",
    "reason Deleted",
    "reason Rejected",
    "reason TemplateGone",
    "reason NameCollision",
];

#[test]
fn the_worlds_hold_what_the_checks_are_about() {
    let mut tally: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..300 {
        let mut world = World::new(seed, false);
        world.live();
        for (what, count) in world.manager.tally {
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
    a_start_without_a_row_is_noticed: StartWithoutRow => RowBeforeStart;
    a_name_used_twice_is_noticed: ReuseAttemptNumber => NamesNeverReused;
    an_unknown_attempt_that_nobody_hears_of_is_noticed: SilentUnknown => UnknownRaises;
    a_waiting_step_that_nobody_hears_of_is_noticed: SilentWaiting => WaitingRaises;
    an_order_that_no_event_decides_is_noticed: Unordered => Deterministic;
    a_row_that_did_not_change_is_noticed: UnchangedRows => TransitionsAreTidy;
    an_end_that_counts_twice_is_noticed: CountEndTwice => DuplicatesChangeNothing;
    an_unknown_attempt_taken_for_over_is_noticed: UnknownIsOver => NoOverlap;
    a_jumped_dependency_is_noticed: AnyPredecessor => NoDependencyJumped;
    a_forgotten_successor_is_noticed: ForgetSuccessor => NoLostStep;
    a_late_end_that_counts_is_noticed: LateEndCounts => LateIsHistory;
    a_cancel_that_does_not_wait_is_noticed: CancelDoesNotWait => CancelWaits;
    a_retry_after_a_kill_is_noticed: RetryAfterKill => NoRetryAfterKill;
    endless_retries_are_noticed: EndlessRetries => RetriesBounded;
    a_missed_timeout_is_noticed: NoTimeout => TimeoutsNoticed;
    an_ignored_lock_is_noticed: LockIgnored => ExclusiveAlone;
    a_suspend_that_queues_is_noticed: SuspendQueues => SuspendGetsIn;
    an_overtaking_operation_is_noticed: Overtake => NobodyOvertakes;
    an_object_that_is_never_released_is_noticed: NeverRelease => EverythingReleased;
    attention_without_a_cause_is_noticed: NeverSettle => AttentionSettles;
    a_skip_that_counts_as_applied_is_noticed: SkipApplies => AppliedIsTrue;
    a_held_step_that_starts_is_noticed: HoldIgnored => HeldWaits;
    a_hold_that_never_lifts_is_noticed: HoldNeverLifts => HoldsEnd;
    a_consumer_that_is_not_marked_stale_is_noticed: StaleUnmarked => StaleIsSettled;
    a_restart_that_does_not_wait_is_noticed: RestartDoesNotWait => RestartWaits;
    a_start_during_a_pause_is_noticed: PauseStarts => PauseWaits;
    a_replay_that_runs_what_it_keeps_is_noticed: ReplayRunsKept => ReplayKeeps;
    a_replace_that_cancels_what_runs_is_noticed: ReplaceCancelsRunning => ReplaceSparesRunning;
    a_write_on_an_old_view_is_noticed: RevisionStands => OldViewsRefused;
    a_release_that_forgets_successors_is_noticed: ReleaseForgets => NoLostStep;
    a_dependency_ignored_with_another_is_noticed: IgnoresAll => NoDependencyJumped;
    a_timer_that_never_rests_is_noticed: EndlessTimer => ComesToRest;
}

#[test]
fn every_check_has_a_planted_fault() {
    let planted: BTreeSet<Check> = PLANTED.iter().copied().collect();
    assert_eq!(planted, Check::ALL.into_iter().collect());
}
