//! Environments whose retention has ended and that nobody has purged. Nothing purges by itself, so that each raises
//! attention after a while: nobody is to forget whose data is still there.

use super::purge::path;
use crate::error::Result;
use crate::repeat::repeating;
use crate::retention::believed;
use crate::{Manager, Principal};
use jiff::Timestamp;
use std::collections::BTreeSet;
use tenantry_engine::Raised;
use tenantry_failpoints::Point;
use tenantry_model::{AttentionKind, Environment, EnvironmentId, EnvironmentState, Page};
use tenantry_store::{AttentionFilter, EnvironmentFilter};

/// Rows that are looked at in one transaction.
const PART: u32 = 500;

impl Manager {
    /// Raises attention for what waits for its purge, and settles what does so no more.
    pub(crate) async fn remind_of_purges(&self, who: &Principal) -> Result<()> {
        // By a clock that may be wrong nobody is reminded; retention says that it is.
        let Ok(now) = believed(&mut *self.store.read().await?, self.now()).await? else { return Ok(()) };
        let waiting = self.unpurged(now).await?;
        let told = self.reminded().await?;
        for id in waiting.symmetric_difference(&told) {
            repeating(|| self.remind(who, *id, now)).await?;
        }
        Ok(())
    }

    async fn unpurged(&self, now: Timestamp) -> Result<BTreeSet<EnvironmentId>> {
        let filter = EnvironmentFilter {
            state: Some(EnvironmentState::Decommissioned),
            ..EnvironmentFilter::default()
        };
        let mut page = Page { after: None, limit: PART };
        let mut found = BTreeSet::new();
        loop {
            let part = self.store.read().await?.environments(&filter, &page).await?;
            let late = part.items.iter().filter(|environment| self.waits_for_its_purge(environment, now));
            found.extend(late.map(|environment| environment.id));
            match part.next {
                Some(next) => page.after = Some(next),
                None => return Ok(found),
            }
        }
    }

    async fn reminded(&self) -> Result<BTreeSet<EnvironmentId>> {
        let mut page = Page { after: None, limit: PART };
        let mut found = BTreeSet::new();
        loop {
            let part = self.store.read().await?.attentions(&AttentionFilter::default(), &page).await?;
            let own = part.items.iter().filter(|open| open.kind == AttentionKind::RetentionOver);
            found.extend(own.filter_map(|open| open.environment));
            match part.next {
                Some(next) => page.after = Some(next),
                None => return Ok(found),
            }
        }
    }

    async fn remind(&self, who: &Principal, id: EnvironmentId, now: Timestamp) -> Result<()> {
        let mut work = self.begin_one(who).await?;
        work.lock(id).await?;
        let environment = work.environment()?.clone();
        if self.waits_for_its_purge(&environment, now) {
            work.raise_about(Some(id), None, &retention_over(&environment)).await?;
        } else {
            work.settle_attention(&key(id)).await?;
        }
        work.commit(Point::PurgeRemind).await
    }

    fn waits_for_its_purge(&self, environment: &Environment, now: Timestamp) -> bool {
        let until = environment.retention.as_ref().map(|retention| retention.until);
        let late = until.is_none_or(|until| now.duration_since(until) >= self.config.purge_reminder);
        environment.state == EnvironmentState::Decommissioned && late
    }
}

fn key(id: EnvironmentId) -> String {
    format!("retention-over/{id}")
}

fn retention_over(environment: &Environment) -> Raised {
    let path = path(environment);
    let ended = match &environment.retention {
        Some(retention) => format!("its retention ended at {:.0}", retention.until),
        None => "it has no retention".to_owned(),
    };
    Raised {
        kind: AttentionKind::RetentionOver,
        key: key(environment.id),
        step: None,
        region: None,
        message: format!(
            "environment {path} is decommissioned and not purged: {ended}, and its settings and names are still kept"
        ),
        // Its name is typed again by whoever does it.
        remedy: format!(
            "tenantry env purge {path} --dry-run --reason …; tenantry env purge {path} --confirm NAME --reason …"
        ),
    }
}
