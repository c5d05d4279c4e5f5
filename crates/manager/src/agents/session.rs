//! Joining, and a new life of an agent: who speaks for the region from now on, and what it must look for.

use super::{OpenAttempt, agent};
use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::runner::region_silent_key;
use crate::tokens::{self, OwnCredential};
use crate::work::{Note, Work};
use crate::{Manager, Principal, outbox};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tenantry_failpoints::Point;
use tenantry_model::{
    AgentSessionId, Attempt, Executor, OperationId, Page, Region, RegionName, TokenId, TokenKind,
};

/// A region's `last_seen_at` is stored at most this often: it is a heartbeat, not a log.
const HEARTBEAT_GRAIN: SignedDuration = SignedDuration::from_secs(5);

impl Manager {
    /// Makes a credential that the agent has made the region's, by a verified join token, which opens nothing else from
    /// then on. Asked again with the same credential it changes nothing: the first answer may have been lost.
    pub async fn agent_join(
        &self,
        join: TokenId,
        host: &str,
        own: &OwnCredential,
        origin: Option<String>,
    ) -> Result<()> {
        const REFUSED: ManagerError =
            ManagerError::Unauthenticated("this join token cannot be used (any more)");
        tokens::check_hash(&own.secret_sha256)?;
        let token = self.store.read().await?.token(join).await?.ok_or(REFUSED)?;
        let TokenKind::Join { region, .. } = &token.kind else { return Err(REFUSED) };
        let who = agent(region, origin);
        repeating(|| async {
            let mut work = self.begin(&who).await?;
            // Read again under the write lock: of two agents with one token, one joins.
            let mut token = work.tx.token(join).await?.ok_or(REFUSED)?;
            tokens::usable(&token, work.now).map_err(ManagerError::Unauthenticated)?;
            let TokenKind::Join { region, used_at } = &mut token.kind else { return Err(REFUSED) };
            let (region, used) = (region.clone(), used_at.is_some());
            *used_at = used_at.or(Some(work.now));
            let new = own.token(format!("agent {region} ({})", short(host)), &region, work.now);
            if let Some(known) = work.tx.token(own.id).await? {
                tokens::same_credential(&known, &new, work.now)?;
                if used {
                    return Ok(());
                }
            } else if used {
                return Err(ManagerError::Unauthenticated(tokens::USED));
            } else {
                work.tx.put_token(&new).await?;
            }
            work.tx.put_token(&token).await?;
            let after = json!({ "token": new.id, "host": short(host) });
            let target = format!("regions/{region}");
            work.audit(Note { action: "region.join", target, reason: None, before: Value::Null, after })
                .await?;
            work.commit(Point::RegionJoin).await
        })
        .await
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
        let who = agent(region, None);
        repeating(|| self.open_session(&who, region, session, executor, version)).await?;
        self.open_attempts(region).await
    }

    async fn open_session(
        &self,
        who: &Principal,
        region: &RegionName,
        session: AgentSessionId,
        executor: Executor,
        version: &str,
    ) -> Result<()> {
        let mut work = self.begin(who).await?;
        let mut row = work.region(region).await?;
        if self.is_argo(region) {
            return Err(ManagerError::RegionOfArgo(region.to_string()));
        }
        // The same session again (its answer was lost) keeps what it has reported so far.
        if row.session != Some(session) {
            row.session = Some(session);
            row.inventory_complete = false;
        }
        row.executor = Some(executor);
        row.agent_version = Some(version.chars().take(100).collect());
        row.last_seen_at = Some(work.now);
        work.tx.put_region(&row).await?;
        work.tx.break_leases(region, Some(session)).await?;
        work.settle_attention(&region_silent_key(region)).await?;
        work.common_event(outbox::REGION_CHANGED, outbox::region(&row)).await?;
        work.commit(Point::SessionOpen).await
    }

    async fn open_attempts(&self, region: &RegionName) -> Result<Vec<OpenAttempt>> {
        let mut open = Vec::new();
        for id in self.operations_running_in(region).await? {
            let attempts = self.store.read().await?.attempts(id).await?;
            for attempt in attempts.into_iter().filter(|a| !a.state.is_over() && a.id.step.region == *region)
            {
                let log_offset = self.log_end(&attempt.id).await?;
                let Attempt { id, nonce, observed, unknown_since, .. } = attempt;
                let unknown = unknown_since.is_some();
                open.push(OpenAttempt { attempt: id, nonce, observed, log_offset, unknown });
            }
        }
        Ok(open)
    }

    /// Unfinished operations with an attempt in the region that is not over.
    pub(crate) async fn operations_running_in(&self, region: &RegionName) -> Result<Vec<OperationId>> {
        let mut ids = Vec::new();
        let mut page = Page { after: None, limit: 1000 };
        loop {
            let part = self.store.read().await?.operations_running_in(region, &page).await?;
            ids.extend(part.items);
            match part.next {
                Some(next) => page.after = Some(next),
                None => return Ok(ids),
            }
        }
    }

    /// The agent has spoken.
    pub(super) async fn heard(&self, region: &Region) -> Result<()> {
        let now = self.now();
        let grain = HEARTBEAT_GRAIN.min(self.config.agent_silent_after / 4);
        // Also not when it was seen in a time to come: by a clock that was set back since.
        let fresh = region.last_seen_at.is_some_and(|seen| now.duration_since(seen).abs() < grain);
        if fresh {
            return Ok(());
        }
        let who = agent(&region.name, None);
        repeating(|| async {
            let mut work = self.begin(&who).await?;
            let mut row = work.region(&region.name).await?;
            if row.session == region.session {
                // What was asked for in a silence that nobody has judged yet waits to be planned; no session and no
                // inventory begins anew, which would wake it.
                if !self.is_alive(&row) {
                    work.wake_planning(&row.name).await?;
                }
                row.last_seen_at = Some(work.now);
                work.tx.put_region(&row).await?;
                work.settle_attention(&region_silent_key(&row.name)).await?;
                work.commit(Point::SessionHeard).await?;
            }
            Ok(())
        })
        .await
    }
}

/// So much of a host's name as a token's name and the audit log take.
fn short(host: &str) -> String {
    host.chars().take(100).collect()
}

impl Work<'_> {
    /// The region's session is over: whoever comes back opens a new one and looks for what it ran.
    pub(crate) async fn expire_session(&mut self, name: &RegionName) -> Result<()> {
        let mut row = self.region(name).await?;
        row.session = None;
        row.inventory_complete = false;
        self.tx.put_region(&row).await?;
        self.common_event(outbox::REGION_CHANGED, outbox::region(&row)).await
    }
}
