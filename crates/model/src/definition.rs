//! What an operation name means: its lock, its conflicts, what must be there, where it leads.

use crate::{EnvironmentState, HookPath, OperationName};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// Which other operations of the environment may run beside this one.
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
pub enum LockClass {
    /// Nothing else that takes a lock.
    Exclusive,
    /// Others that are shared.
    Shared,
    /// Anything; takes no lock.
    None,
}

/// What happens to a new operation that conflicts with one that runs or waits.
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
pub enum ConflictPolicy {
    /// It waits its turn.
    Queue,
    /// It is refused (409).
    Refuse,
    /// What waits under the same name is cancelled; then it waits its turn. What runs goes on.
    Replace,
    /// What runs is cancelled, what waits is cancelled, and it starts when both are over: `suspend` and
    /// `decommission` can always get in.
    CancelRunning,
}

/// What a plan without a single step means.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyPlan {
    /// Done: nobody has anything to do.
    Succeed,
    /// Refused: somebody must have forgotten something.
    Refuse,
}

/// What success does to the environment's state.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing.
    None,
    /// Active (a suspended environment stays suspended after an upsert).
    Provision,
    /// Suspended.
    Suspend,
    /// Active again.
    Resume,
    /// Decommissioned, retained.
    Decommission,
}

/// How a step's success changes the generation that its hook has applied.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Converges {
    /// It applies the wanted generation (upsert).
    Yes,
    /// It applies none, but may leave the hook dirty when it fails (restore, admin operations).
    No,
    /// It removes what was applied (decommission).
    Removes,
}

/// What changes the truth by hand, and can be set to need a second person.
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
pub enum GuardedVerb {
    /// It was done by hand.
    Confirm,
    /// Do not wait for a predecessor.
    IgnoreDependency,
    /// The unknown attempt will never be heard of again.
    DeclareLost,
    /// Leave a step out.
    Skip,
    /// Remove what is kept of a decommissioned environment.
    Purge,
}

impl GuardedVerb {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Confirm, Self::IgnoreDependency, Self::DeclareLost, Self::Skip, Self::Purge];

    /// As in the API, the settings and the CLI.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::IgnoreDependency => "ignore-dependency",
            Self::DeclareLost => "declare-lost",
            Self::Skip => "skip",
            Self::Purge => "purge",
        }
    }
}

/// An operation definition. Frozen into every operation that is made from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperationDefinition {
    /// The name hooks register for.
    pub name: OperationName,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Which others may run beside it.
    pub lock: LockClass,
    /// What happens when it conflicts.
    pub on_conflict: ConflictPolicy,
    /// JSON Schema of the parameters; `None` allows any object.
    #[serde(default)]
    pub parameters: Option<Value>,
    /// Hooks without which a plan is refused.
    #[serde(default)]
    pub required_hooks: BTreeSet<HookPath>,
    /// What a plan without steps means.
    pub empty_plan: EmptyPlan,
    /// The environment's states from which it may be requested.
    pub from_states: BTreeSet<EnvironmentState>,
    /// What success does to the environment's state.
    pub effect: Effect,
    /// What a step's success does to the applied generation.
    pub converges: Converges,
    /// From the request on; then the operation raises attention. It is not cancelled by it.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    #[schema(value_type = Option<String>)]
    pub deadline: Option<SignedDuration>,
    /// How long an attempt may be unknown before attention is raised, or with `on-lost: retry` another starts.
    #[schemars(with = "String")]
    #[schema(value_type = String)]
    pub unknown_deadline: SignedDuration,
    /// Which operation's Workflow begins first where a region's Argo bounds how many run at a time: `spec.priority`, the higher
    /// the earlier; the region's own without. Executors that begin everything at once have no use for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Verbs on its operations that a second person has to approve, besides those of the installation's setting
    /// `four-eyes`: whichever is stricter counts. `purge` belongs to `lifecycle.decommission`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub four_eyes: BTreeSet<GuardedVerb>,
    /// Shipped with tenantry: cannot be deleted.
    #[serde(default)]
    pub built_in: bool,
}

impl OperationDefinition {
    /// The definitions that are there from the first start (DESIGN §1, issue "a hook runs").
    #[must_use]
    pub fn built_in() -> Vec<Self> {
        use ConflictPolicy::{CancelRunning, Queue};
        use EnvironmentState::{Active, Decommissioned, Provisioning, Suspended};
        let make =
            |name: &str, description: &str, on_conflict, from: &[EnvironmentState], effect, converges| Self {
                name: OperationName::try_from(name.to_owned())
                    .unwrap_or_else(|_| unreachable!("built-in names are valid")),
                description: description.to_owned(),
                lock: LockClass::Exclusive,
                on_conflict,
                parameters: None,
                required_hooks: BTreeSet::new(),
                empty_plan: EmptyPlan::Succeed,
                from_states: from.iter().copied().collect(),
                effect,
                converges,
                deadline: None,
                unknown_deadline: SignedDuration::from_mins(5),
                priority: None,
                four_eyes: BTreeSet::new(),
                built_in: true,
            };
        vec![
            make(
                "lifecycle.upsert",
                "Create the environment or bring it to its wanted generation.",
                Queue,
                &[Provisioning, Active, Suspended, Decommissioned],
                Effect::Provision,
                Converges::Yes,
            ),
            make(
                "lifecycle.suspend",
                "Switch the environment off and keep its data.",
                CancelRunning,
                &[Provisioning, Active, Suspended],
                Effect::Suspend,
                Converges::No,
            ),
            make(
                "lifecycle.resume",
                "Switch a suspended environment on again.",
                Queue,
                &[Suspended, Active],
                Effect::Resume,
                Converges::No,
            ),
            make(
                "lifecycle.backup",
                "Write a backup to the operation's own prefix of the object store.",
                Queue,
                &[Active, Suspended],
                Effect::None,
                Converges::No,
            ),
            make(
                "lifecycle.restore",
                "Read a backup back (parameter `backup`: the operation that wrote it).",
                Queue,
                &[Active, Suspended],
                Effect::None,
                Converges::No,
            ),
            make(
                "lifecycle.decommission",
                "Tear the environment down; it can be undeleted until its retention ends.",
                CancelRunning,
                &[Provisioning, Active, Suspended, Decommissioned],
                Effect::Decommission,
                Converges::Removes,
            ),
        ]
    }

    /// What a `team.operation` means that nobody has defined: exclusive, queued, at least one hook.
    #[must_use]
    pub fn undefined(name: OperationName) -> Self {
        use EnvironmentState::{Active, Suspended};
        Self {
            name,
            description: String::new(),
            lock: LockClass::Exclusive,
            on_conflict: ConflictPolicy::Queue,
            parameters: None,
            required_hooks: BTreeSet::new(),
            empty_plan: EmptyPlan::Refuse,
            from_states: [Active, Suspended].into(),
            effect: Effect::None,
            converges: Converges::No,
            deadline: None,
            unknown_deadline: SignedDuration::from_mins(5),
            priority: None,
            four_eyes: BTreeSet::new(),
            built_in: false,
        }
    }
}
