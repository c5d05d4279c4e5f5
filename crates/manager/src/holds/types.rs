//! What callers say and get about holds.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tenantry_model::{HoldPredicate, HookRef, OperationId};
use tenantry_store::HoldRow;

/// A wish for a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHold {
    /// Which steps; all given parts must fit.
    pub predicate: HoldPredicate,
    /// When it lifts by itself; `None`: a person lifts it.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
    /// The most steps that it may hold at once now. A predicate that matches everything, or more than the
    /// installation's limit, needs it.
    pub max_steps: Option<u32>,
    /// Only say what it would hold.
    pub validate_only: bool,
}

/// A hold and what it holds now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldView {
    /// The hold.
    pub row: HoldRow,
    /// How many steps of running operations it holds (or would hold).
    pub steps: usize,
    /// The first thousand of them.
    pub held: Vec<(OperationId, HookRef)>,
}
