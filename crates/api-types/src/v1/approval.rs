//! `/v1/approvals`: verbs that wait for a second person.

use super::{Operation, PurgedEnvironment, VerbPreview, etag};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tenantry_model as model;
use tenantry_model::{
    Actor, ApprovalId, ApprovalState, ApprovalTarget, EnvironmentId, HookRef, OperationId, Role, StepState,
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
    /// Which environment, or that of the operation.
    pub environment: EnvironmentId,
    /// Which operation; absent for a purge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// Which step; absent for a purge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<HookRef>,
    /// `confirm`, `ignore-dependency`, `declare-lost`, `skip` or `purge`.
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_state: Option<StepState>,
    /// Its newest attempt at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_attempt: Option<u32>,
    /// Of `purge`: the environment's ETag when it was asked for; another one then is 412.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_etag: Option<String>,
    /// Of `purge`: although the environment could still be undeleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before_retention_ends: bool,
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
        let mut body = Self {
            id: from.id,
            state: from.state,
            environment: from.environment,
            operation: None,
            step: None,
            verb: from.verb,
            outputs: from.outputs,
            on: from.on,
            reason: from.reason,
            requested_by: from.requested_by,
            role: from.role,
            step_state: None,
            step_attempt: None,
            environment_etag: None,
            before_retention_ends: false,
            created_at: from.created_at,
            expires_at: from.expires_at,
            decided_by: from.decided_by,
            decision_reason: from.decision_reason,
            decided_at: from.decided_at,
        };
        match from.target {
            ApprovalTarget::Step { operation, step, step_state, step_attempt } => {
                (body.operation, body.step) = (Some(operation), Some(step));
                (body.step_state, body.step_attempt) = (Some(step_state), Some(step_attempt));
            }
            ApprovalTarget::Environment { environment_revision, before_retention_ends } => {
                body.environment_etag = Some(etag(environment_revision));
                body.before_retention_ends = before_retention_ends;
            }
        }
        body
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
    /// Of `purge`: what went, with `validateOnly` what would go; absent when it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purged: Option<PurgedEnvironment>,
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
    /// Of one environment and its operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentId>,
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
