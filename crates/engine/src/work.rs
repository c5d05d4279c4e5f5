//! How many rows and index entries an event looked at: a cost that does not depend on the machine.
//!
//! Counted in test builds only (feature `mutants`); elsewhere [`count`] does nothing.

#[cfg(any(test, feature = "mutants"))]
mod counter {
    use std::cell::Cell;

    thread_local!(static LOOKED_AT: Cell<u64> = const { Cell::new(0) });

    pub(crate) fn count() {
        LOOKED_AT.set(LOOKED_AT.get() + 1);
    }

    /// What this thread has looked at since this was last asked.
    #[must_use]
    pub fn take() -> u64 {
        LOOKED_AT.replace(0)
    }
}

#[cfg(any(test, feature = "mutants"))]
pub(crate) use counter::count;
#[cfg(any(test, feature = "mutants"))]
pub use counter::take;

#[cfg(not(any(test, feature = "mutants")))]
pub(crate) const fn count() {}
