//! The invariants, each under its name; a broken one is recorded and the world goes on.

use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// 1: an attempt's row is committed before its object is created, with the same nonce.
    RowBeforeStart,
    /// 1: no attempt number (and so no name) is used twice.
    NamesNeverReused,
    /// 2: an attempt that stays unknown raises attention.
    UnknownRaises,
    /// 2: a step that waits for a decision raises attention.
    WaitingRaises,
    /// 3: the same event on the same rows gives the same transition.
    Deterministic,
    /// 3: each row at most once, in the order operation, steps, attempts, and only rows that changed.
    TransitionsAreTidy,
    /// 4: an observation that was applied before changes nothing.
    DuplicatesChangeNothing,
    /// 5: attempts of one step overlap only after declare-lost (or a verb that implies it) or on-lost: retry.
    NoOverlap,
    /// 5: a hook runs only when all that it waits for is really done.
    NoDependencyJumped,
    /// 5: when the faults stop, every step ends or waits for a person, with attention raised.
    NoLostStep,
    /// 5: of an attempt that is over only history changes.
    LateIsHistory,
    /// 5: a final operation leaves nothing running that was not declared lost.
    CancelWaits,
    /// §3: an operator's kill is never followed by an automatic attempt.
    NoRetryAfterKill,
    /// §3: automatic attempts stay within the hook's retries and the platform's bound.
    RetriesBounded,
    /// §3: an attempt past its timeout is being ended.
    TimeoutsNoticed,
    /// 8: an exclusive operation holds its environment's lock alone.
    ExclusiveAlone,
    /// 8: what conflicts with a waiting `suspend` is being ended.
    SuspendGetsIn,
    /// 8: no operation starts before an older one that it conflicts with.
    NobodyOvertakes,
    /// Finalizers: every object whose outcome is committed is released.
    EverythingReleased,
    /// §7: attention is settled when its cause is gone.
    AttentionSettles,
    /// §3: a generation counts as applied only if the hook really succeeded or a person confirmed it.
    AppliedIsTrue,
    /// §7: nothing starts that is held, or that waits for what is held.
    HeldWaits,
    /// §7: a hold ends at its time.
    HoldsEnd,
    /// §7: nothing runs on, and no operation succeeds with, what a predecessor's rerun has made stale.
    StaleIsSettled,
    /// §7: `rerun --with-successors` begins when all that it stops is really over.
    RestartWaits,
    /// §7: nothing starts while an operation is paused.
    PauseWaits,
    /// §7: a replay runs nothing that it is to keep.
    ReplayKeeps,
    /// 8: *replace* ends what waits under the same name, and nothing else.
    ReplaceSparesRunning,
    /// Several managers: whoever writes has seen the rows as they are.
    OldViewsRefused,
    /// The world itself came to rest within its bound of events.
    ComesToRest,
}

impl Check {
    pub const ALL: [Self; 30] = [
        Self::RowBeforeStart,
        Self::NamesNeverReused,
        Self::UnknownRaises,
        Self::WaitingRaises,
        Self::Deterministic,
        Self::TransitionsAreTidy,
        Self::DuplicatesChangeNothing,
        Self::NoOverlap,
        Self::NoDependencyJumped,
        Self::NoLostStep,
        Self::LateIsHistory,
        Self::CancelWaits,
        Self::NoRetryAfterKill,
        Self::RetriesBounded,
        Self::TimeoutsNoticed,
        Self::ExclusiveAlone,
        Self::SuspendGetsIn,
        Self::NobodyOvertakes,
        Self::EverythingReleased,
        Self::AttentionSettles,
        Self::AppliedIsTrue,
        Self::HeldWaits,
        Self::HoldsEnd,
        Self::StaleIsSettled,
        Self::RestartWaits,
        Self::PauseWaits,
        Self::ReplayKeeps,
        Self::ReplaceSparesRunning,
        Self::OldViewsRefused,
        Self::ComesToRest,
    ];
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
