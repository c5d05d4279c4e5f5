//! Planted faults, one for each invariant that the simulator checks: each must turn its named check red.
//!
//! Test builds only (feature `mutants`, set by the crate's own dev-dependency); elsewhere [`on`] is the constant
//! `false`. It must never be reachable by configuration.

/// One planted fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Invariant 1: a start is asked for whose attempt has no row.
    StartWithoutRow,
    /// Invariant 1: a retry uses the number (and so the name) of the attempt before.
    ReuseAttemptNumber,
    /// Invariant 2: nothing is raised for an attempt that stays unknown.
    SilentUnknown,
    /// Invariant 2: nothing is raised for a step that waits for a decision.
    SilentWaiting,
    /// Invariant 3: the order of actions depends on something else than the events.
    Unordered,
    /// Invariant 3: a transition rewrites the operation's row when nothing changed.
    UnchangedRows,
    /// The next tick always lies in the past.
    EndlessTimer,
    /// Invariant 4: a second report of an end counts again.
    CountEndTwice,
    /// Invariant 5: an unknown attempt counts as over.
    UnknownIsOver,
    /// Invariant 5: a step starts when one of its predecessors is done.
    AnyPredecessor,
    /// Invariant 5: a step whose predecessors are done is forgotten.
    ForgetSuccessor,
    /// Invariant 5: a late report of a lost attempt counts.
    LateEndCounts,
    /// Invariant 5: a cancelled operation ends before its attempts are over.
    CancelDoesNotWait,
    /// §3: an operator's kill is followed by a retry.
    RetryAfterKill,
    /// §3: a step is retried more often than its hook allows.
    EndlessRetries,
    /// §3: a timeout is never noticed.
    NoTimeout,
    /// Invariant 8: two exclusive operations hold the lock together.
    LockIgnored,
    /// Invariant 8: `suspend` waits its turn.
    SuspendQueues,
    /// Invariant 8: a shared operation overtakes an exclusive one that waits.
    Overtake,
    /// Finalizers stay on objects whose outcome is committed.
    NeverRelease,
    /// §7: attention stays when its cause is gone.
    NeverSettle,
    /// §3, Changeset: a skipped step counts as applied.
    SkipApplies,
    /// §7: a held step starts.
    HoldIgnored,
    /// §7: the successors of a step that is released are forgotten.
    ReleaseForgets,
    /// §7: a hold's time never comes.
    HoldNeverLifts,
    /// §7: what used the outputs of a step that runs again is not marked.
    StaleUnmarked,
    /// §7: `rerun --with-successors` does not wait until what it stops is over.
    RestartDoesNotWait,
    /// §7: steps start while the operation is paused.
    PauseStarts,
    /// Invariant 6: a verb that changes what runs needs no reason.
    ReasonOptional,
    /// Invariant 6: what the caller saw of a step is not compared.
    ExpectationIgnored,
    /// §7: `ignore-dependency` of one ignores all.
    IgnoresAll,
    /// §7: a replay runs what it was to keep.
    ReplayRunsKept,
    /// Invariant 8: *replace* cancels what runs as well.
    ReplaceCancelsRunning,
    /// Two managers: a change of a step leaves the operation's revision as it was, so that an old view passes.
    RevisionStands,
}

#[cfg(any(test, feature = "mutants"))]
mod switch {
    use super::Mutant;
    use std::cell::Cell;

    thread_local!(static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) });

    /// Plants a fault in what this thread calls from now on, or removes it.
    pub fn plant(mutant: Option<Mutant>) {
        ACTIVE.set(mutant);
    }

    /// Every other call: something that no event decides.
    pub(crate) fn flip() -> bool {
        thread_local!(static CALLS: Cell<bool> = const { Cell::new(false) });
        CALLS.replace(!CALLS.get())
    }

    pub(crate) fn on(mutant: Mutant) -> bool {
        ACTIVE.get() == Some(mutant)
    }
}

#[cfg(any(test, feature = "mutants"))]
pub use switch::plant;
#[cfg(any(test, feature = "mutants"))]
pub(crate) use switch::{flip, on};

#[cfg(not(any(test, feature = "mutants")))]
pub(crate) const fn on(_mutant: Mutant) -> bool {
    false
}

#[cfg(not(any(test, feature = "mutants")))]
pub(crate) const fn flip() -> bool {
    false
}
