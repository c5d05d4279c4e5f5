//! What retention looks at.

use tenantry_model::{EnvironmentId, OperationId, OperationName, OperationState};

/// A finished operation that is old and that no other row needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredOperation {
    /// Which.
    pub id: OperationId,
    /// Of which environment.
    pub environment: EnvironmentId,
    /// What it is called.
    pub name: OperationName,
    /// How it ended.
    pub state: OperationState,
    /// Its environment is gone for good.
    pub purged: bool,
}
