//! Rows of the audit log beside its entries: how far chains go, signed heads, which entries are wanted.

use jiff::Timestamp;
use tenantry_model::EnvironmentId;

/// How far a chain goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditChain {
    /// The environment whose chain it is; `None`: the chain of what belongs to none.
    pub environment: Option<EnvironmentId>,
    /// Position of its newest entry.
    pub position: u64,
    /// Hash of that entry; empty if the row is gone.
    pub hash: String,
    /// The position that the newest signed head names; 0 before the first.
    pub sealed: u64,
}

/// A signed head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// From 1, without gaps.
    pub number: u64,
    /// The document as it was signed; the store does not read it.
    pub document: String,
}

/// Which entries of the audit log, over all chains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only this environment's chain.
    pub environment: Option<EnvironmentId>,
    /// By the actor of this name.
    pub actor: Option<String>,
    /// With this action.
    pub action: Option<String>,
    /// At this time or later, in whole milliseconds.
    pub since: Option<Timestamp>,
    /// Before this time, in whole milliseconds.
    pub until: Option<Timestamp>,
}
