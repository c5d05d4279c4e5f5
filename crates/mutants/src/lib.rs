//! Planted faults against invariants that no simulator sees: who may do what and why, what a hook may reach, where secrets
//! may be, how an environment ends. Each turns a named check red (`crates/api/tests/invariants`).
//!
//! The switch exists only with the feature `planted`, which nothing but dev-dependencies of tests sets: elsewhere [`on`] is
//! the constant `false`. It must never be reachable by configuration. Engine and schedules, which are pure, have their own.

/// One planted fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Invariant 6: a header of the request says who acts.
    ActorFromHeader,
    /// Invariant 6: who asked for a verb may be its second person too.
    OwnApproval,
    /// Invariant 6: what a request under this key came to is not looked up.
    KeyForgotten,
    /// Invariant 9: a template may name objects of other namespaces.
    ForeignAnnotations,
    /// Invariant 9: what a copy reads is made in another namespace.
    CopyElsewhere,
    /// Invariant 10: a secret that two reads cut is not masked.
    MaskWithinReads,
    /// Invariant 10: an audit entry holds a new token.
    SecretInAudit,
    /// Invariant 10: an answer repeats the token that it refuses.
    SecretInError,
    /// Invariant 10: a log line holds a new token.
    SecretInLog,
    /// Invariant 10: a row holds a token itself instead of its hash.
    SecretInRow,
    /// Invariant 11: a purge does not look at the name.
    PurgeAnyName,
    /// Invariant 11: what is in use can be purged.
    PurgeInUse,
    /// Invariant 11: retention does not keep anything.
    PurgeWithinRetention,
    /// Invariant 11: a selector's cap is not looked at.
    CapIgnored,
    /// Invariant 11: an end can be scheduled.
    EndScheduled,
}

#[cfg(feature = "planted")]
mod switch {
    use super::Mutant;
    use std::cell::Cell;

    thread_local!(static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) });

    /// Plants a fault in what this thread calls from now on, or removes it.
    pub fn plant(mutant: Option<Mutant>) {
        ACTIVE.set(mutant);
    }

    /// Whether this fault is planted.
    #[must_use]
    pub fn on(mutant: Mutant) -> bool {
        ACTIVE.get() == Some(mutant)
    }
}

#[cfg(feature = "planted")]
pub use switch::{on, plant};

/// Whether this fault is planted: no.
#[cfg(not(feature = "planted"))]
#[inline]
#[must_use]
pub const fn on(_mutant: Mutant) -> bool {
    false
}
