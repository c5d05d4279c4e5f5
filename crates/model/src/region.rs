//! A region: one cluster or site in which hooks run.

use crate::{AgentSessionId, RegionName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What runs a region's attempts.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Executor {
    /// Pods and Jobs in the teams' namespaces.
    Kubernetes,
    /// Local processes.
    Process,
    /// Workflows of Argo, started by events: there is no agent.
    Argo,
}

/// What runs of hooks may need of an executor beyond the contract's core.
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
pub enum Capability {
    /// Reasons that only a Pod has: out of memory, image pull, unschedulable, evicted.
    PodReasons,
    /// Quotas of namespaces count.
    Quotas,
    /// Init containers run before the hook.
    InitContainers,
    /// Sidecars run beside the hook.
    Sidecars,
    /// `completions` and `parallelism` of the Job count.
    Completions,
    /// A version that cannot be used is replaced by the last good one.
    LastGoodVersions,
    /// A replay can run versions that are not in the cluster any more.
    EarlierVersions,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::PodReasons,
        Self::Quotas,
        Self::InitContainers,
        Self::Sidecars,
        Self::Completions,
        Self::LastGoodVersions,
        Self::EarlierVersions,
    ];
}

impl Executor {
    /// What it can do beyond the contract's core; what is not named here is refused with a message.
    #[must_use]
    pub fn capabilities(self) -> &'static [Capability] {
        use Capability::{
            Completions, EarlierVersions, InitContainers, LastGoodVersions, PodReasons, Quotas, Sidecars,
        };
        match self {
            Self::Kubernetes => &Capability::ALL,
            Self::Process => &[LastGoodVersions, EarlierVersions],
            Self::Argo => &[PodReasons, Quotas, InitContainers, Sidecars, Completions],
        }
    }
}

/// A region's row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Region {
    /// Unique.
    pub name: RegionName,
    /// What its agent said it runs, or the configuration; `None` before.
    pub executor: Option<Executor>,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// The agent process that spoke last.
    pub session: Option<AgentSessionId>,
    /// When it last spoke.
    pub last_seen_at: Option<Timestamp>,
    /// Set when the agent has reported its whole inventory of hooks in this session: before, no plan is made.
    pub inventory_complete: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;

    fn word(of: impl Serialize) -> String {
        serde_json::to_value(of).unwrap().as_str().unwrap().to_owned()
    }

    #[test]
    fn the_table_in_the_guide_says_what_each_executor_cannot() {
        let guide = include_str!("../../../docs/argo.md");
        for executor in [Executor::Kubernetes, Executor::Process, Executor::Argo] {
            let lacks = Capability::ALL.into_iter().filter(|it| !executor.capabilities().contains(it));
            let words: Vec<String> = lacks.map(|it| format!("`{}`", word(it))).collect();
            let words = if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
            let row = format!("| `{}` | {words} |", word(executor));
            assert!(guide.lines().any(|line| line == row), "docs/argo.md lacks the row {row}");
        }
    }
}
