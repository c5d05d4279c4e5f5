//! `/v1/check`: whether what is stored fits together; `/v1/regions/{region}/commands`: what an agent has not done yet.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tenantry_model::{AgentSessionId, CommandId, HookRef, OperationId};
use utoipa::{IntoParams, ToSchema};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Untidy; nothing goes wrong by it.
    Warning,
    /// Rows contradict each other, are damaged, or something can never go on.
    Error,
}

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Which check found it (`open-attempts`); never changes its meaning.
    pub check: String,
    /// Which row or file.
    pub row: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// One line of a check's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum CheckLine {
    /// How far it has come.
    Progress {
        /// What is being looked at (`operations`).
        section: String,
        /// How many of them so far.
        done: u64,
    },
    /// Something that does not fit.
    Finding(Finding),
    /// The last line; an answer without it broke off.
    #[serde(rename_all = "camelCase")]
    End {
        /// How many findings are errors.
        errors: u64,
        /// How many are warnings.
        warnings: u64,
        /// How many things of each section were looked at.
        checked: BTreeMap<String, u64>,
    },
}

/// What to check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CheckQuery {
    /// Read every log segment and the whole database file too: slow on a large installation. Default `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deep: bool,
}

/// What a command asks of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OpenCommandKind {
    /// Start the attempt.
    Start,
    /// End the attempt.
    Kill,
    /// Let go of the attempt's object.
    Release,
}

/// A command that its region's agent has not carried out yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenCommand {
    /// UUIDv7.
    pub id: CommandId,
    /// What.
    pub kind: OpenCommandKind,
    /// Of which operation.
    pub operation: OperationId,
    /// Of which step.
    pub step: HookRef,
    /// Of which attempt.
    pub attempt: u32,
    /// The agent process that has it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leased_by: Option<AgentSessionId>,
    /// Until when nobody else gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leased_until: Option<Timestamp>,
}
