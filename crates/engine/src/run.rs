//! One operation with its rows.

use std::collections::BTreeMap;
use tenantry_model::{Attempt, HookRef, Operation, Step};

/// An operation, its steps and their attempts, as they are in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The operation's own row.
    pub operation: Operation,
    /// Its steps; empty before it is planned.
    pub steps: BTreeMap<HookRef, Step>,
    /// All attempts, by step and number.
    pub attempts: BTreeMap<(HookRef, u32), Attempt>,
}
