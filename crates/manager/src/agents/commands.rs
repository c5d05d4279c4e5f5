//! Leasing commands and reporting them done.

use super::agent;
use crate::Manager;
use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::wait::Waiter;
use std::time::Duration;
use tenantry_failpoints::Point;
use tenantry_model::{AgentSessionId, CommandId, Region, RegionName};
use tenantry_store::Command;

impl Manager {
    /// Leases commands, waiting up to `wait` for the first; also says that the agent lives. The body of a start is
    /// a [`tenantry_api_types::agent::StartOrder`], of a kill `{"cause": …}`, of a release `{}`.
    pub async fn agent_lease(
        &self,
        region: &RegionName,
        session: AgentSessionId,
        limit: u32,
        wait: Duration,
    ) -> Result<Vec<Command>> {
        let limit = limit.clamp(1, 500);
        // Also the heartbeat: a poll that outlasts the tolerated silence would make a quiet agent a silent one.
        let heartbeat = Duration::try_from(self.config.agent_silent_after / 3).unwrap_or(wait);
        let mut waiter = Waiter::new(&self.store, wait.min(heartbeat));
        loop {
            waiter.listen();
            let (row, free) = self.look(region, session).await?;
            self.heard(&row).await?;
            if free {
                let leased = self.take_commands(region, session, limit).await?;
                if !leased.is_empty() {
                    return Ok(leased);
                }
            }
            if !waiter.wait().await {
                return Ok(Vec::new());
            }
        }
    }

    /// The agent got no answer to its last poll: what it was given then it may not have. All of its leases are given
    /// back, so that the next poll has them; what it does have, it passes over.
    pub async fn agent_unanswered(&self, region: &RegionName, session: AgentSessionId) -> Result<()> {
        let who = agent(region, None);
        repeating(|| async {
            let mut work = self.begin_one(&who).await?;
            let row = work.region(region).await?;
            super::current(&row, session)?;
            work.tx.break_leases(region, None).await?;
            work.commit(Point::LeasesGiveBack).await
        })
        .await
    }

    /// The region, and whether it has a command that is free. Writes nothing, since every commit wakes every agent's
    /// poll.
    async fn look(&self, region: &RegionName, session: AgentSessionId) -> Result<(Region, bool)> {
        let mut read = self.store.read().await?;
        let row = read.region(region).await?.ok_or_else(|| ManagerError::not_found("region", region))?;
        super::current(&row, session)?;
        Ok((row, read.has_command(region, self.now()).await?))
    }

    async fn take_commands(
        &self,
        region: &RegionName,
        session: AgentSessionId,
        limit: u32,
    ) -> Result<Vec<Command>> {
        let who = agent(region, None);
        repeating(|| async {
            let mut work = self.begin_one(&who).await?;
            let row = work.region(region).await?;
            super::current(&row, session)?;
            let until = work.now.checked_add(self.config.lease_time).unwrap_or(jiff::Timestamp::MAX);
            let leased = work.tx.lease_commands(region, session, work.now, until, limit).await?;
            // Every commit wakes every poll: one that changed nothing would wake itself for ever.
            if !leased.is_empty() {
                work.commit(Point::CommandsLease).await?;
            }
            Ok(leased)
        })
        .await
    }

    /// These commands are carried out. One that is done already, or was given to another session since, changes
    /// nothing.
    pub async fn agent_finish(
        &self,
        region: &RegionName,
        session: AgentSessionId,
        commands: &[CommandId],
    ) -> Result<()> {
        let who = agent(region, None);
        repeating(|| async {
            let mut work = self.begin_one(&who).await?;
            let row = work.region(region).await?;
            super::current(&row, session)?;
            work.tx.finish_commands(region, commands).await?;
            work.commit(Point::CommandsFinish).await
        })
        .await
    }
}
