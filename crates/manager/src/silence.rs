//! Regions whose agent is silent: their session ends, and their operations learn that nobody knows about their attempts.
//!
//! The session ends first. An agent that is back too late for it opens a new one, and the answer to that names what it
//! has to tell again; an operation that was told earlier would wait for a word that the agent has already given. What a
//! crash left untold is told by whoever looks next.

use crate::error::Result;
use crate::repeat::repeating;
use crate::runner::{region_silent, region_silent_key};
use crate::{Manager, Principal};
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tenantry_engine::Event;
use tenantry_failpoints::Point;
use tenantry_model::{OperationId, Region, RegionName};
use tracing::debug;

/// For each silent region, when it was last heard before all of its operations were told: so that a look at it is made
/// once by each manager and not at every turn.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<HashMap<RegionName, Timestamp>>);

impl Told {
    fn knows(&self, region: &RegionName, since: Timestamp) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(region) == Some(&since)
    }

    fn keep(&self, region: &RegionName, since: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(region.clone(), since);
    }
}

impl Manager {
    /// Judges every region's silence once.
    pub async fn check_regions(&self) -> Result<()> {
        self.check_regions_as(&Principal::system()).await
    }

    pub(crate) async fn check_regions_as(&self, who: &Principal) -> Result<()> {
        let regions = self.store.read().await?.regions().await?;
        for region in regions {
            // One that has never joined runs nothing; one of Argo has nobody who speaks for all of it.
            let Some(since) = region.last_seen_at.filter(|_| !self.is_argo(&region.name)) else { continue };
            let ended = match region.session {
                Some(_) if self.is_alive(&region) => false,
                Some(_) => self.end_session(who, &region, since).await?,
                None => true,
            };
            if ended && !self.told.knows(&region.name, since) && self.tell_all(who, &region, since).await? {
                self.told.keep(&region.name, since);
            }
        }
        Ok(())
    }

    /// Tells whether the session is over now; it is not when the agent was heard meanwhile.
    async fn end_session(&self, who: &Principal, region: &Region, since: Timestamp) -> Result<bool> {
        repeating(|| async {
            let mut work = self.begin(who).await?;
            let row = work.tx.region(&region.name).await?;
            if row.is_none_or(|row| row.session != region.session || self.is_alive(&row)) {
                return Ok(false);
            }
            work.expire_session(&region.name).await?;
            let message = format!("region {} is silent since {since}", region.name);
            debug!(key = region_silent_key(&region.name), "a region is silent");
            work.raise_for(None, &region_silent(&region.name, message)).await?;
            work.commit(Point::RegionSilent).await?;
            Ok(true)
        })
        .await
    }

    /// Tells whether all that run in the region know now; not when a new session has begun meanwhile.
    async fn tell_all(&self, who: &Principal, region: &Region, since: Timestamp) -> Result<bool> {
        for id in self.operations_running_in(&region.name).await? {
            if !self.tell_silence(who, id, &region.name, since).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn tell_silence(
        &self,
        who: &Principal,
        id: OperationId,
        region: &RegionName,
        since: Timestamp,
    ) -> Result<bool> {
        repeating(|| async {
            // Nobody writes beside: a session that opens is either seen here, or sees what is told here.
            let mut work = self.begin(who).await?;
            if work.tx.region(region).await?.is_none_or(|row| row.session.is_some()) {
                return Ok(false);
            }
            // By a clock that was set ahead, or after a night without a manager, an agent that is well has been silent for
            // hours; an attempt is unknown for as long as it takes to notice, not for so long that it is left behind at once.
            let noticed = work.now.checked_sub(self.config.agent_silent_after).unwrap_or(since);
            let event = Event::RegionSilent { region: region.clone(), since: since.max(noticed) };
            if work.advance(id, vec![event]).await?.changed {
                work.commit(Point::RegionSilentTell).await?;
            }
            Ok(true)
        })
        .await
    }
}
