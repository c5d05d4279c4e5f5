//! A verb that changes the truth by hand and waits for a second person.

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

/// A verb on a step as one person asked for it; another one carries it out or rejects it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// UUIDv7.
    pub id: ApprovalId,
    /// Where it is.
    pub state: ApprovalState,
    /// The operation's environment.
    pub environment: EnvironmentId,
    /// Which operation.
    pub operation: OperationId,
    /// Which step.
    pub step: HookRef,
    /// `confirm`, `ignore-dependency` or `declare-lost`.
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
    /// The step as it was when the first person asked; another state then is a conflict.
    pub step_state: StepState,
    /// Its newest attempt at that time.
    pub step_attempt: u32,
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
