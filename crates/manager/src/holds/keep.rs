//! What time does to holds: they end, they last too long, and what a crash left untold is told.

use super::change::view;
use super::long_key;
use super::reach::Reach;
use crate::error::Result;
use crate::repeat::repeating;
use crate::{Manager, Principal};
use jiff::Timestamp;
use tenantry_engine::Raised;
use tenantry_failpoints::Point;
use tenantry_model::{AttentionKind, Hold, Page};
use tenantry_store::{HoldFilter, HoldRow, Read};

/// Why the system lifts a hold.
const SYSTEM_REASON: &str = "its time has come";

impl Manager {
    /// Looks at every open hold once: lifts those whose time has come, tells operations what they do not know yet,
    /// and raises attention about those that last.
    pub async fn check_holds(&self) -> Result<()> {
        self.check_holds_as(&Principal::system()).await
    }

    pub(crate) async fn check_holds_as(&self, who: &Principal) -> Result<()> {
        let rows = all_open(&mut *self.store.read().await?).await?;
        for mut row in rows {
            if row.lifted.is_none() && row.hold.until.is_some_and(|until| until <= self.now()) {
                let held = view(row.clone(), &Reach::new());
                let (lifted, already) =
                    repeating(|| self.lift_once(who, &held, Some(SYSTEM_REASON), false, Point::HoldExpire))
                        .await?;
                if already {
                    continue;
                }
                row = lifted;
            }
            if !row.told {
                let reach = match row.lifted {
                    Some(_) => self.holds_now(&row.hold).await?,
                    None => self.would_hold(&row.hold).await?,
                };
                self.tell(who, &mut row, reach.keys().copied()).await?;
            }
            if row.lifted.is_none() && self.lasts_long(&row.hold) {
                self.say_it_lasts(who, &row.hold).await?;
            }
        }
        Ok(())
    }

    async fn say_it_lasts(&self, who: &Principal, hold: &Hold) -> Result<()> {
        repeating(|| async {
            let mut work = self.begin(who).await?;
            // Who has lifted it meanwhile has settled this, and nobody would again.
            let now = work.tx.hold(hold.id).await?;
            if now.is_none_or(|now| now.lifted.is_some()) {
                return Ok(());
            }
            // It lasts at each turn and is said once: a commit wakes everybody.
            if work.tx.open_attention(&long_key(hold.id)).await?.is_some() {
                return Ok(());
            }
            work.raise_for(None, &long(hold)).await?;
            work.commit(Point::HoldLasts).await
        })
        .await
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
