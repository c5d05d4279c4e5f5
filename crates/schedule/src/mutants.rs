//! Planted faults, one for each check of the simulator (`tests/simulator`): each must turn its named check red.
//!
//! Test builds only (feature `mutants`, set by the crate's own dev-dependency); elsewhere [`on`] is the constant
//! `false`. It must never be reachable by configuration.

/// One planted fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A line by the clock fires at both of two equal times on the wall.
    RepeatedHourTwice,
    /// A time that the clock skips is never made up for.
    SkippedHourLost,
    /// A time that came is neither fired nor counted as left out.
    TimeForgotten,
    /// Times are left out and nobody is told.
    LeftOutUnsaid,
    /// Everything is caught up, whatever the policy says.
    CatchUpIgnored,
    /// A manager fires what another one has fired since it looked.
    FiresAgain,
    /// A manager fires what a person has changed, paused or deleted since it looked.
    FiresChanged,
    /// The operation is told the time at which it begins.
    InjectsNow,
    /// After a change the next time follows from the clock alone.
    NextFromClock,
    /// The deadline counts from when the row was made.
    DeadlineFromNow,
    /// A run that has ended is asked for again.
    AsksForEnded,
    /// A request takes in times that have not come.
    AsksForFuture,
    /// A run begins while an earlier one goes on.
    OverlapIgnored,
    /// *skip* waits instead.
    SkipWaits,
    /// *queue* leaves out instead.
    QueueSkips,
    /// *replace* takes the place of what a person asked for.
    ReplacesAsked,
    /// *replace* replaces nothing.
    ReplacesNothing,
    /// *replace* ends an operation that has begun.
    ReplacesBegun,
    /// A run begins before an earlier one that waits.
    QueueJumped,
    /// The end of a run makes nobody due.
    QueueForgets,
    /// A run that waits becomes due although another one goes on.
    QueueSpins,
    /// A run is skipped without a reason.
    SkipsSilently,
    /// A missed deadline is said each time it is looked at.
    MissedAgain,
    /// A run that ends late before anybody looks misses its deadline unsaid.
    MissedUnseen,
    /// A deadline at risk is never said.
    RiskUnsaid,
    /// A deadline that is no longer at risk is still said to be.
    RiskStays,
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

    pub(crate) fn on(mutant: Mutant) -> bool {
        ACTIVE.get() == Some(mutant)
    }
}

#[cfg(any(test, feature = "mutants"))]
pub(crate) use switch::on;
#[cfg(any(test, feature = "mutants"))]
pub use switch::plant;

#[cfg(not(any(test, feature = "mutants")))]
pub(crate) const fn on(_mutant: Mutant) -> bool {
    false
}
