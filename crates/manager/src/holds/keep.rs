//! What time does to holds: they end, they last too long, and what a crash left untold is told.

use super::long_key;
use crate::error::Result;
use crate::{Manager, Principal, outbox};
use jiff::Timestamp;
use tenantry_engine::Raised;
use tenantry_failpoints::Point;
use tenantry_model::{AttentionKind, Hold, Page};
use tenantry_store::{HoldFilter, HoldRow, Lifted, Read};

/// Why the system lifts a hold.
const SYSTEM_REASON: &str = "its time has come";

impl Manager {
    /// Looks at every open hold once: lifts those whose time has come, tells operations what they do not know yet,
    /// and raises attention about those that last.
    pub async fn check_holds(&self) -> Result<()> {
        let who = Principal::system();
        let rows = all_open(&mut *self.store.read().await?).await?;
        for mut row in rows {
            if row.lifted.is_none() && row.hold.until.is_some_and(|until| until <= self.now()) {
                let mut work = self.begin(&who).await?;
                let Some(fresh) = work.tx.hold(row.hold.id).await?.filter(|fresh| fresh.lifted.is_none())
                else {
                    continue;
                };
                let before = outbox::hold(&fresh);
                let reason = Some(SYSTEM_REASON.to_owned());
                let lifted = Lifted { by: who.actor.clone(), reason, at: work.now };
                row = HoldRow { lifted: Some(lifted), told: false, ..fresh };
                work.put_hold(&row, "hold.lift", Some(SYSTEM_REASON), before).await?;
                work.settle_attention(&long_key(row.hold.id)).await?;
                work.commit(Point::HoldExpire).await?;
            }
            if !row.told {
                let reach = match row.lifted {
                    Some(_) => self.holds_now(&row.hold).await?,
                    None => self.would_hold(&row.hold).await?,
                };
                self.tell(&who, &mut row, reach.keys().copied()).await?;
            }
            if row.lifted.is_none() && self.lasts_long(&row.hold) {
                let mut work = self.begin(&who).await?;
                work.raise_for(None, &long(&row.hold)).await?;
                work.commit(Point::HoldLasts).await?;
            }
        }
        Ok(())
    }

    /// One that ends by itself is nobody's to forget.
    fn lasts_long(&self, hold: &Hold) -> bool {
        hold.until.is_none() && self.now().duration_since(hold.since) >= self.config.held_too_long
    }
}

/// The holds that catch steps now.
pub(crate) async fn holds_for_plan(read: &mut (dyn Read + '_), now: Timestamp) -> Result<Vec<Hold>> {
    let rows = all_open(read).await?;
    let holds = rows.into_iter().filter(|row| row.lifted.is_none()).map(|row| row.hold);
    Ok(holds.filter(|hold| hold.until.is_none_or(|until| until > now)).collect())
}

async fn all_open(read: &mut (dyn Read + '_)) -> Result<Vec<HoldRow>> {
    let mut rows = Vec::new();
    let mut page = Page { after: None, limit: 1000 };
    loop {
        let part = read.holds(&HoldFilter::default(), &page).await?;
        rows.extend(part.items);
        match part.next {
            Some(next) => page.after = Some(next),
            None => return Ok(rows),
        }
    }
}

fn long(hold: &Hold) -> Raised {
    Raised {
        kind: AttentionKind::HoldLong,
        key: long_key(hold.id),
        step: None,
        region: hold.predicate.region.clone(),
        message: format!(
            "hold {} by {} has lasted since {} and has no end: {}",
            hold.id, hold.by.name, hold.since, hold.reason
        ),
        remedy: format!("tenantry hold lift {}", hold.id),
    }
}
