//! The invariants of schedules, each under its name; a broken one is recorded and the world goes on.

use std::collections::BTreeMap;

macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Check {
            $($(#[$doc])* $name),*
        }

        impl Check {
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

checks! {
    /// What fires are the times that the line names, by the definition in words, the skipped and the repeated hour
    /// included; and so is the next time.
    TimesByDefinition,
    /// Each time that came was fired or counted as left out.
    EveryTimeAccounted,
    /// What was left out is said, with its newest time.
    LeftOutSaid,
    /// After an absence as many times are run as the policy says.
    CatchUpAsSaid,
    /// No time is fired twice, by however many managers.
    FiredOnce,
    /// Nothing is fired of a schedule that was changed, paused or deleted since it was read.
    ChangesStand,
    /// No time up to the newest that has come is ever next again, whatever the clock does.
    ClockBackWaits,
    /// There is at most one operation for a schedule, environment and time.
    NeverTwice,
    /// A person gets only times that have passed.
    AskedHasPassed,
    /// The time that hooks are told is the time that came, not the one at which they start.
    TimeInjected,
    /// The runs of one environment go one after the other.
    OneAtATime,
    /// *skip*: a time that comes while an earlier run goes on is left out.
    SkipLeavesOut,
    /// *queue*: no time is left out because of another run.
    QueueLosesNothing,
    /// *replace*: what a person asked for keeps its turn.
    ReplaceSparesAsked,
    /// *replace*: what has begun goes on.
    ReplaceSparesBegun,
    /// *replace*: of what waits by time only the newest is left.
    ReplaceTakesPlace,
    /// The earliest of those that wait begins first.
    InOrder,
    /// Every run begins or is skipped in the end.
    NobodyForgotten,
    /// What is skipped says why.
    SkipHasReason,
    /// A deadline counts from the scheduled time, on the wall of the schedule's zone.
    DeadlineByDefinition,
    /// A missed deadline is said, once.
    MissedSaidOnce,
    /// A deadline that will probably be missed is said.
    RiskSaid,
    /// What was said to be at risk and is not any more is settled.
    RiskSettled,
    /// A run changes its state a bounded number of times.
    ComesToRest,
}

/// What was broken, the first time each.
#[derive(Default)]
pub struct Verdict {
    broken: BTreeMap<Check, String>,
}

impl Verdict {
    pub fn hold(&mut self, check: Check, holds: bool, story: impl FnOnce() -> String) {
        if !holds {
            self.broken.entry(check).or_insert_with(story);
        }
    }

    pub fn broken(&self) -> &BTreeMap<Check, String> {
        &self.broken
    }
}
