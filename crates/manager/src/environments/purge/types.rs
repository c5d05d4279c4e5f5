//! What is asked for and answered about a purge, and why one is refused.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tenantry_model::{Alias, Approval, Environment, EnvironmentName, HookRef, OperationId, ScheduleName};

/// A wish to purge an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeWish {
    /// The environment's own name, typed again.
    pub name: EnvironmentName,
    /// Although it could still be undeleted.
    pub before_retention_ends: bool,
    /// Why.
    pub reason: String,
    /// The revision that the caller saw.
    pub expected_revision: Option<u64>,
    /// Say what would go, change nothing.
    pub validate_only: bool,
}

/// Answer to it.
#[derive(Clone, Debug, PartialEq)]
pub enum PurgeAnswer {
    /// It is purged.
    Done(Box<Purged>),
    /// `validate_only`: what would go.
    Preview(Box<Purged>),
    /// It waits for a second person.
    Pending(Box<Approval>),
}

/// What went, or would go, and what of the environment's is left to others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Purged {
    /// What is left of it.
    pub environment: Environment,
    /// Aliases that others may have now.
    pub aliases: BTreeSet<Alias>,
    /// How many generations of its wish were forgotten.
    pub generations: u64,
    /// The hooks whose applied generations were forgotten.
    pub hooks: Vec<HookRef>,
    /// Schedules for this environment alone; they were deleted.
    pub schedules: Vec<ScheduleName>,
    /// How many things do not wait for a person any more.
    pub attentions: u64,
    /// Its backups that succeeded, the newest first: what they wrote is where the hooks wrote it.
    pub backups: Vec<OperationId>,
}

/// Why an environment cannot be purged, or not yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PurgeRefusal {
    /// Another name was typed.
    #[error("environment {environment} is named {expected}, and {stated} was typed: is it the right one?")]
    OtherName {
        /// Which environment.
        environment: String,
        /// Its name.
        expected: EnvironmentName,
        /// As typed.
        stated: EnvironmentName,
    },
    /// It can still be undeleted.
    #[error(
        "environment {environment} can be undeleted until {until:.0}; wait for that, or say that it is to go before \
         (beforeRetentionEnds; --now)"
    )]
    Retained {
        /// Which environment.
        environment: String,
        /// The end of its retention.
        until: Timestamp,
    },
    /// Work goes on.
    #[error(
        "environment {environment} has {} unfinished operation(s): wait for their end or cancel them: {}",
        .operations.len(),
        .operations.iter().take(10).map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    Unfinished {
        /// Which environment.
        environment: String,
        /// The operations.
        operations: Vec<OperationId>,
    },
}

impl PurgeRefusal {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherName { .. } => "purge-other-name",
            Self::Retained { .. } => "purge-too-early",
            Self::Unfinished { .. } => "purge-unfinished",
        }
    }
}
