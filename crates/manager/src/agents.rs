//! What agents ask and report. Leases fence commands; observations are facts, taken in at any time.

use crate::{IssuedToken, Manager, Result};
use std::time::Duration;
use tenantry_hook::Hook;
use tenantry_model::{
    AgentSessionId, AttemptId, CommandId, Executor, HookPath, Observation, Problem, RegionName, TemplateHash,
    TokenId,
};
use tenantry_store::Command;
use uuid::Uuid;

/// An attempt that the rows say may exist in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAttempt {
    /// Which.
    pub attempt: AttemptId,
    /// Its nonce.
    pub nonce: Uuid,
    /// The highest observation number that was taken in.
    pub observed: u64,
    /// How many bytes of its log are stored.
    pub log_offset: u64,
}

/// Part of a region's inventory of hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryPart {
    /// First page of a whole inventory.
    pub begin: bool,
    /// Last page of a whole inventory: what no page named is absent.
    pub end: bool,
    /// Hooks that are there.
    pub present: Vec<ReportedHook>,
    /// Hooks that are gone (only in a report of changes).
    pub absent: Vec<HookPath>,
}

/// One hook as its region sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedHook {
    /// Which.
    pub path: HookPath,
    /// The contract, if it can be read.
    pub hook: Option<Hook>,
    /// Why it cannot.
    pub problems: Vec<Problem>,
}

/// A piece of one attempt's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPiece {
    /// Whose.
    pub attempt: AttemptId,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// The bytes.
    pub data: Vec<u8>,
    /// Nothing follows.
    pub last: bool,
}

impl Manager {
    /// Exchanges a verified join token for the region's credential; the token cannot be used again.
    pub async fn agent_join(&self, join: TokenId, host: &str, origin: Option<String>) -> Result<IssuedToken> {
        todo!()
    }

    /// A new life of the region's agent: breaks the leases of earlier ones. Answers with the attempts that the
    /// agent must look for.
    pub async fn agent_session(
        &self,
        region: &RegionName,
        session: AgentSessionId,
        executor: Executor,
        version: &str,
    ) -> Result<Vec<OpenAttempt>> {
        todo!()
    }

    /// Takes in hooks. Answers with the versions whose templates the agent must keep.
    pub async fn agent_inventory(
        &self,
        region: &RegionName,
        session: AgentSessionId,
        part: InventoryPart,
    ) -> Result<Vec<TemplateHash>> {
        todo!()
    }

    /// Leases commands, waiting up to `wait` for the first; also says that the agent lives. The body of a start is
    /// a [`tenantry_api_types::agent::StartOrder`], of a kill `{"cause": …}`, of a release `{}`.
    pub async fn agent_lease(
        &self,
        region: &RegionName,
        session: AgentSessionId,
        limit: u32,
        wait: Duration,
    ) -> Result<Vec<Command>> {
        todo!()
    }

    /// These commands are carried out.
    pub async fn agent_finish(
        &self,
        region: &RegionName,
        session: AgentSessionId,
        commands: &[CommandId],
    ) -> Result<()> {
        todo!()
    }

    /// Takes in facts; when it returns, all are committed. Answers with the attempts that are not known or not of
    /// this region: facts about them are dropped.
    pub async fn agent_observe(
        &self,
        region: &RegionName,
        observations: Vec<Observation>,
    ) -> Result<Vec<AttemptId>> {
        todo!()
    }

    /// Stores log text. Answers with the attempts that are not known or not of this region.
    pub async fn agent_logs(&self, region: &RegionName, pieces: Vec<LogPiece>) -> Result<Vec<AttemptId>> {
        todo!()
    }
}
