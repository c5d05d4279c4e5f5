//! Rows about what Argo runs in regions without an agent: the Workflows that were asked for, and their bridges.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tenantry_model::{AgentSessionId, HookPath, HookRef, OperationId, RegionName};

/// A Workflow that a region's Argo is to run for an operation, or runs. Key: operation, region, round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowRow {
    /// The operation.
    pub operation: OperationId,
    /// Where.
    pub region: RegionName,
    /// 1, and 2 and above for supplementary ones.
    pub round: u32,
    /// When it was decided that it is needed.
    pub requested_at: Timestamp,
    /// When its event is delivered (again); `None`: not any more, its discovery has spoken or it is over.
    pub deliver_at: Option<Timestamp>,
    /// How often its event was delivered, taken or not.
    pub tries: u32,
    /// Why the last delivery was not taken.
    pub problem: Option<String>,
    /// When the event source first took its event.
    pub accepted_at: Option<Timestamp>,
    /// `namespace/name`, as its discovery said.
    pub name: Option<String>,
    /// When its discovery had told all hooks.
    pub discovered_at: Option<Timestamp>,
    /// The pages of hooks that have come, until the last one.
    #[serde(default)]
    pub staged: Option<StagedHooks>,
    /// The life of its discovery whose last page came last: that page may come again.
    #[serde(default)]
    pub listed: Option<AgentSessionId>,
    /// When that was.
    #[serde(default)]
    pub listed_at: Option<Timestamp>,
    /// The steps that it was told to run.
    #[serde(default)]
    pub ordered: BTreeSet<HookPath>,
    /// When it was ended before its operation, and how.
    pub ended: Option<WorkflowEnded>,
    /// When its event was last sent again because nobody of it speaks any more; `None`: it is heard.
    #[serde(default)]
    pub asked_again_at: Option<Timestamp>,
}

impl WorkflowRow {
    /// One that is needed now.
    #[must_use]
    pub fn new(operation: OperationId, region: RegionName, round: u32, now: Timestamp) -> Self {
        Self {
            operation,
            region,
            round,
            requested_at: now,
            deliver_at: Some(now),
            tries: 0,
            problem: None,
            accepted_at: None,
            name: None,
            discovered_at: None,
            staged: None,
            listed: None,
            listed_at: None,
            ordered: BTreeSet::new(),
            ended: None,
            asked_again_at: None,
        }
    }
}

/// Hooks that one life of a discovery has named so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StagedHooks {
    /// Which life.
    pub session: AgentSessionId,
    /// All that were named.
    pub named: BTreeSet<HookPath>,
}

/// A Workflow was ended before its operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowEnded {
    /// When that was told.
    pub at: Timestamp,
    /// `shutdown`, `deleted`, `over`, `gave-up`, `silent`.
    pub how: String,
    /// More about it, for people; empty if there is no more to say.
    #[serde(default)]
    pub why: String,
}

/// The bridge of a step. Key: operation, hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BridgeRow {
    /// Of which operation.
    pub operation: OperationId,
    /// Of which step.
    pub hook: HookRef,
    /// In the Workflow of which round.
    pub round: u32,
    /// The bridge process.
    pub session: AgentSessionId,
    /// When it last spoke (not every word is kept).
    pub seen_at: Timestamp,
    /// When it was told that its step is settled, or had to leave with its Workflow: it asks no more.
    pub left_at: Option<Timestamp>,
}
