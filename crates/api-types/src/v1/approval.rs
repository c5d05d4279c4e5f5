//! `/v1/approvals`: verbs that wait for a second person.

use super::{Operation, VerbPreview};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tenantry_model as model;
use tenantry_model::{
    Actor, ApprovalId, ApprovalState, EnvironmentId, HookRef, OperationId, Role, StepState,
};
use utoipa::{IntoParams, ToSchema};

/// A verb that one person asked for and another one carries out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    /// Of `ignore-dependency`: the predecessor; absent: all that the step waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<HookRef>,
    /// The first person's reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The first person.
    pub requested_by: Actor,
    /// The role that the second person needs at least.
    pub role: Role,
    /// The step as it was when it was asked for; another state then is 409.
    pub step_state: StepState,
    /// Its newest attempt at that time.
    pub step_attempt: u32,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Actor>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_reason: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
}

impl From<model::Approval> for Approval {
    fn from(from: model::Approval) -> Self {
        Self {
            id: from.id,
            state: from.state,
            environment: from.environment,
            operation: from.operation,
            step: from.step,
            verb: from.verb,
            outputs: from.outputs,
            on: from.on,
            reason: from.reason,
            requested_by: from.requested_by,
            role: from.role,
            step_state: from.step_state,
            step_attempt: from.step_attempt,
            created_at: from.created_at,
            expires_at: from.expires_at,
            decided_by: from.decided_by,
            decision_reason: from.decision_reason,
            decided_at: from.decided_at,
        }
    }
}

/// Decides: body of `:approve` and `:reject`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct DecideApproval {
    /// Why, for the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A decided approval, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecidedApproval {
    /// As it is now; with `validateOnly` as it would be.
    pub approval: Approval,
    /// The operation after the verb; absent unless it was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// With `validateOnly`: what the verb would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<VerbPreview>,
}

/// Which verbs that wait, or waited, for a second person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ApprovalsQuery {
    /// Of one operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// Decided ones too. Default `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub decided: bool,
    /// At most this many items, 1 to 1,000 (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub page_size: Option<u32>,
    /// `nextPageToken` of the page before, unchanged; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}
