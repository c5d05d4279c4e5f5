//! A verb that changes the truth by hand, or a purge, and waits for a second person.

use crate::{Actor, ApprovalId, EnvironmentId, HookRef, OperationId, Role, StepState, TokenId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a pending verb is.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalState {
    /// Waits for the second person.
    Pending,
    /// Carried out.
    Approved,
    /// The second person said no.
    Rejected,
    /// Nobody decided in time.
    Expired,
}

/// What a verb that waits is about, as it was when the first person asked: another state then is a conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ApprovalTarget {
    /// A step of an operation.
    #[serde(rename_all = "camelCase")]
    Step {
        /// Which operation.
        operation: OperationId,
        /// Which step.
        step: HookRef,
        /// The step as it was.
        step_state: StepState,
        /// Its newest attempt at that time.
        step_attempt: u32,
    },
    /// The environment itself.
    #[serde(rename_all = "camelCase")]
    Environment {
        /// The environment as it was.
        environment_revision: u64,
        /// Of `purge`: although its retention had not ended.
        before_retention_ends: bool,
    },
}

/// A verb as one person asked for it; another one carries it out or rejects it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// UUIDv7.
    pub id: ApprovalId,
    /// Where it is.
    pub state: ApprovalState,
    /// Which environment, or that of the operation.
    pub environment: EnvironmentId,
    /// What it is about.
    #[serde(flatten)]
    pub target: ApprovalTarget,
    /// `confirm`, `ignore-dependency`, `declare-lost`, `skip` or `purge`.
    pub verb: String,
    /// Of `confirm`: what successors read.
    pub outputs: BTreeMap<String, String>,
    /// Of `ignore-dependency`: the predecessor; `None`: all that the step waits for.
    pub on: Option<HookRef>,
    /// The first person's reason.
    pub reason: Option<String>,
    /// The first person.
    pub requested_by: Actor,
    /// The first person's credential: the second one must have another.
    pub token: Option<TokenId>,
    /// The first person's role: the second one must have at least the same.
    pub role: Role,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Who decided, once somebody has.
    pub decided_by: Option<Actor>,
    /// Why.
    pub decision_reason: Option<String>,
    /// When.
    pub decided_at: Option<Timestamp>,
}

impl Approval {
    /// The operation of the step that it is about.
    #[must_use]
    pub fn operation(&self) -> Option<OperationId> {
        match &self.target {
            ApprovalTarget::Step { operation, .. } => Some(*operation),
            ApprovalTarget::Environment { .. } => None,
        }
    }

    /// The step that it is about.
    #[must_use]
    pub fn step(&self) -> Option<&HookRef> {
        match &self.target {
            ApprovalTarget::Step { step, .. } => Some(step),
            ApprovalTarget::Environment { .. } => None,
        }
    }
}
