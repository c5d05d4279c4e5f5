//! Rows of what steers operations from outside: holds by predicate, and verbs that wait for a second person.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tenantry_model::{Actor, EnvironmentId, Hold, OperationId, Scope};

/// A hold by predicate as it is kept, also after it was lifted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldRow {
    /// What it holds, who set it and why.
    pub hold: Hold,
    /// Who lifted it; `None` while it holds.
    pub lifted: Option<Lifted>,
    /// Every operation that runs knows of the last change. While not, a manager that starts tells them again.
    pub told: bool,
}

impl HoldRow {
    /// It catches steps, or somebody has still to be told that it does not any more.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lifted.is_none() || !self.told
    }
}

/// The end of a hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lifted {
    /// Who; the system when its time had come.
    pub by: Actor,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// Which holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldFilter {
    /// Lifted ones too.
    pub lifted: bool,
    /// Only those of one region that these scopes allow (others need `Scope::All`); `None`: all.
    pub scopes: Option<Vec<Scope>>,
}

/// Which verbs that wait, or waited, for a second person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApprovalFilter {
    /// Of one operation.
    pub operation: Option<OperationId>,
    /// Of one environment, its operations' too.
    pub environment: Option<EnvironmentId>,
    /// Decided ones too.
    pub decided: bool,
    /// Only what these scopes (of the environment) allow; `None`: all.
    pub scopes: Option<Vec<Scope>>,
}
