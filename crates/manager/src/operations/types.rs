//! What callers say and get about operations.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use tenantry_engine::{Expected, Plan, PlanRefusal};
use tenantry_model::{
    Approval, Attempt, ConflictPolicy, EnvironmentName, HookRef, Operation, OperationId, OperationName,
    OperationState, RegionName, ReplayVersions, Step, TenantName,
};
use tenantry_store::WorkflowEnded;

/// A wish for an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct NewOperation {
    /// What it is called.
    pub name: OperationName,
    /// Checked against the definition's schema.
    pub parameters: Map<String, Value>,
    /// Why.
    pub reason: Option<String>,
    /// Instead of the definition's policy.
    pub on_conflict: Option<ConflictPolicy>,
    /// When a schedule wanted it.
    pub scheduled_time: Option<Timestamp>,
    /// The environment's revision that the caller saw.
    pub expected_revision: Option<u64>,
    /// Answer with the plan, change nothing.
    pub validate_only: bool,
}

impl NewOperation {
    /// A wish without parameters.
    #[must_use]
    pub fn named(name: OperationName) -> Self {
        Self {
            name,
            parameters: Map::new(),
            reason: None,
            on_conflict: None,
            scheduled_time: None,
            expected_revision: None,
            validate_only: false,
        }
    }
}

/// Answer to a wish for an operation.
#[derive(Clone, Debug, PartialEq)]
pub enum OperationAnswer {
    /// It was made.
    Requested(Box<Operation>),
    /// `validate_only`: what it would do.
    Preview(Box<Preview>),
}

/// What an operation would do if it were requested now.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// What it is called.
    pub name: OperationName,
    /// The generation that it would apply.
    pub generation: u64,
    /// Unfinished operations for which it would wait.
    pub waits_for: Vec<OperationId>,
    /// Unfinished operations that it would cancel.
    pub cancels: Vec<OperationId>,
    /// Regions that have no living agent or no complete inventory: the operation would wait for them.
    pub waits_for_regions: Vec<RegionName>,
    /// The plan by what is known now, or why there would be none.
    pub plan: Result<Plan, PlanRefusal>,
}

/// An operation with everything in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationView {
    /// Its own row.
    pub operation: Operation,
    /// Its steps, by hook.
    pub steps: Vec<Step>,
    /// All attempts, by step and number.
    pub attempts: Vec<Attempt>,
    /// The owner of its environment.
    pub tenant: TenantName,
    /// Its environment's name.
    pub environment_name: EnvironmentName,
    /// Its environment's region.
    pub region: RegionName,
    /// Operations that replay it, oldest first.
    pub replays: Vec<OperationId>,
    /// The Workflows that were asked for in regions of Argo, by region and round.
    #[serde(default)]
    pub workflows: Vec<WorkflowView>,
}

/// A Workflow of Argo that runs, ran or is to run steps of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowView {
    /// Where.
    pub region: RegionName,
    /// 1, and 2 and above for supplementary ones.
    pub round: u32,
    /// When it was decided that it is needed.
    pub requested_at: Timestamp,
    /// When the event source first took its event.
    pub accepted_at: Option<Timestamp>,
    /// When its discovery had told all hooks.
    pub discovered_at: Option<Timestamp>,
    /// When it was ended before its operation, and how.
    pub ended: Option<WorkflowEnded>,
    /// Why the last delivery of its event was not taken.
    pub problem: Option<String>,
    /// `namespace/name`, as its discovery said.
    pub name: Option<String>,
    /// Its page; none before its name is known, or where the region's Argo has no known pages.
    pub url: Option<String>,
}

/// Answer to "why does this hook (not) run for this environment?".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Which hook.
    pub hook: HookRef,
    /// For which operation.
    pub operation: OperationName,
    /// The verdict: it would be a step that runs.
    pub runs: bool,
    /// One sentence.
    pub summary: String,
    /// Each question, in the order in which they decide.
    pub checks: Vec<Check>,
    /// The steps it would wait for.
    pub waits_for: Vec<HookRef>,
}

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Stable name (`region`, `exists`, `readable`, `registered`, `selector`, `state`, `planned`, `order`).
    pub name: &'static str,
    /// How it came out.
    pub result: CheckResult,
    /// What was found, and what to do about it.
    pub detail: String,
}

/// How a question came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// Nothing in the way.
    Pass,
    /// This keeps the hook from running.
    Fail,
    /// It runs, but somebody should know.
    Warn,
    /// Could not be answered because of an earlier failure, or not from here.
    Unknown,
}

/// What a caller of a verb on an operation saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpectedOperation {
    /// The operation's state.
    pub state: Option<OperationState>,
    /// The operation's revision.
    pub revision: Option<u64>,
}

/// A verb on an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationVerb {
    /// No new steps start.
    Pause,
    /// What is ready starts.
    Resume,
    /// No new steps start, what runs is ended.
    Cancel,
}

/// How a verb on a step is to be carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepOptions {
    /// Why.
    pub reason: Option<String>,
    /// What the caller saw.
    pub expected: Option<Expected>,
    /// Answer with what it would do, change nothing.
    pub validate_only: bool,
}

/// Answer to a verb.
#[derive(Clone, Debug, PartialEq)]
pub enum Steered {
    /// It was carried out: the operation now.
    Done(Box<OperationView>),
    /// `validate_only`: what it would do.
    Preview(Box<tenantry_engine::Preview>),
    /// It waits for a second person.
    Pending(Box<Approval>),
}

/// A wish for a replay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplayWish {
    /// From these steps on; empty: all of it.
    pub from: BTreeSet<HookRef>,
    /// Whose versions of the hooks run.
    pub versions: ReplayVersions,
    /// Parameters that are different; `null` takes one away.
    pub set: Map<String, Value>,
    /// Why; required.
    pub reason: Option<String>,
    /// Instead of the definition's policy.
    pub on_conflict: Option<ConflictPolicy>,
    /// Answer with the plan, change nothing.
    pub validate_only: bool,
}
