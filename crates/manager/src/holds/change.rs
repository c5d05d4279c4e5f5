//! Setting and lifting holds.

use super::reach::Reach;
use super::{HoldView, LIMIT, NewHold, hold_target, long_key};
use crate::error::{ManagerError, Result};
use crate::operations::check_reason;
use crate::repeat::repeating;
use crate::work::{Note, Work};
use crate::{KeptAnswer, Manager, Principal, Target, outbox};
use serde_json::Value;
use tenantry_engine::{Event, hold_matches};
use tenantry_failpoints::Point;
use tenantry_hook::Selector;
use tenantry_model::{Hold, HoldId, HoldPredicate, OperationId, Page, Paged, Role};
use tenantry_store::{HoldFilter, HoldRow, Lifted};
use uuid::Uuid;

/// Most steps that an answer lists.
const SHOWN: usize = 1000;

impl Manager {
    /// Sets a hold. Steps that fit and have not started will not start; one that runs finishes, and its successors
    /// wait.
    ///
    /// # Errors
    /// `HoldTooWide` with the number of steps when the predicate needs a cap and has none, or its cap is too small.
    pub async fn create_hold(&self, who: &Principal, new: NewHold) -> Result<HoldView> {
        self.check_new_hold(who, &new)?;
        let now = self.now();
        let hold = Hold {
            id: HoldId(Uuid::now_v7()),
            predicate: new.predicate,
            by: who.actor.clone(),
            reason: new.reason,
            since: now,
            until: new.until,
        };
        let reach = self.would_hold(&hold).await?;
        self.check_cap(&hold.predicate, &reach, new.max_steps)?;
        let mut row = HoldRow { hold, lifted: None, told: false };
        if new.validate_only {
            return Ok(view(row, &reach));
        }
        repeating(|| async {
            // Alone: a plan that did not see the row has ended before it (and is found by the look below), and one that
            // begins afterwards sees it.
            let mut work = self.begin(who).await?;
            let page = Page { after: None, limit: LIMIT };
            if work.tx.holds(&HoldFilter::default(), &page).await?.items.len() >= LIMIT as usize {
                return Err(ManagerError::field("", format!("there are {LIMIT} holds already: lift some")));
            }
            work.put_hold(&row, "hold.create", Some(&row.hold.reason), Value::Null).await?;
            work.answer(
                KeptAnswer::Hold { hold: Box::new(view(row.clone(), &reach)), made: true },
                Point::HoldCreate,
            )
            .await
        })
        .await?;
        // Again: what was planned since the first look did not see the row.
        let reach = self.would_hold(&row.hold).await?;
        self.tell(who, &mut row, reach.keys().copied()).await?;
        let caught = self.holds_now(&row.hold).await?;
        Ok(view(row, &caught))
    }

    /// Lifts a hold: what it held goes on, unless something else holds it too. Lifting twice changes nothing.
    pub async fn lift_hold(
        &self,
        who: &Principal,
        id: HoldId,
        reason: Option<String>,
        validate_only: bool,
    ) -> Result<HoldView> {
        check_reason(reason.as_deref())?;
        // Looked up before the unit, which nobody else may write beside.
        let caught = self.hold(id).await?;
        let (mut row, already) =
            repeating(|| self.lift_once(who, &caught, reason.as_deref(), validate_only, Point::HoldLift))
                .await?;
        if already {
            return Ok(view(row, &Reach::new()));
        }
        if validate_only {
            return Ok(HoldView { row, ..caught });
        }
        let held = self.holds_now(&row.hold).await?;
        self.tell(who, &mut row, held.keys().copied()).await?;
        Ok(view(row, &held))
    }

    /// The row as it is lifted, and whether it was before.
    pub(super) async fn lift_once(
        &self,
        who: &Principal,
        caught: &HoldView,
        reason: Option<&str>,
        validate_only: bool,
        point: Point,
    ) -> Result<(HoldRow, bool)> {
        let id = caught.row.hold.id;
        let mut work = self.begin(who).await?;
        let mut row = work.tx.hold(id).await?.ok_or_else(|| ManagerError::not_found("hold", id))?;
        if row.lifted.is_some() {
            let hold = Box::new(view(row.clone(), &Reach::new()));
            work.answer(KeptAnswer::Hold { hold, made: false }, point).await?;
            return Ok((row, true));
        }
        let before = outbox::hold(&row);
        let lifted = Lifted { by: who.actor.clone(), reason: reason.map(str::to_owned), at: work.now };
        (row.lifted, row.told) = (Some(lifted), false);
        if !validate_only {
            work.put_hold(&row, "hold.lift", reason, before).await?;
            work.settle_attention(&long_key(id)).await?;
            let hold = Box::new(HoldView { row: row.clone(), ..caught.clone() });
            work.answer(KeptAnswer::Hold { hold, made: false }, point).await?;
        }
        Ok((row, false))
    }

    /// One hold and what it holds.
    pub async fn hold(&self, id: HoldId) -> Result<HoldView> {
        let row = self.store.read().await?.hold(id).await?;
        let row = row.ok_or_else(|| ManagerError::not_found("hold", id))?;
        let held = if row.is_open() { self.holds_now(&row.hold).await? } else { Reach::new() };
        Ok(view(row, &held))
    }

    /// What a hold acts on, for whoever judges rights.
    pub async fn hold_target_of(&self, id: HoldId) -> Result<Target> {
        let row = self.store.read().await?.hold(id).await?;
        let row = row.ok_or_else(|| ManagerError::not_found("hold", id))?;
        Ok(hold_target(&row.hold.predicate))
    }

    /// Holds by id, lifted ones if asked for; the filter's scopes are replaced by the caller's.
    pub async fn holds(&self, who: &Principal, lifted: bool, page: &Page) -> Result<Paged<HoldRow>> {
        let filter = HoldFilter { lifted, scopes: who.filter() };
        Ok(self.store.read().await?.holds(&filter, page).await?)
    }

    fn check_new_hold(&self, who: &Principal, new: &NewHold) -> Result<()> {
        if !who.may(Role::Operator, &hold_target(&new.predicate)) {
            let message =
                "a hold needs the role operator on the region that its predicate names, or on everything";
            return Err(ManagerError::Forbidden(message.to_owned()));
        }
        if new.reason.trim().is_empty() {
            return Err(ManagerError::field("/reason", "a hold needs a reason"));
        }
        check_reason(Some(&new.reason))?;
        if new.until.is_some_and(|until| until <= self.now()) {
            return Err(ManagerError::field("/until", "lies in the past"));
        }
        new.predicate
            .selector
            .parse::<Selector>()
            .map(|_| ())
            .map_err(|error| ManagerError::field("/predicate/selector", error.to_string()))
    }

    fn check_cap(&self, predicate: &HoldPredicate, reach: &Reach, max: Option<u32>) -> Result<()> {
        let steps = count(reach);
        let everything = *predicate == HoldPredicate::default();
        let allowed = match max {
            Some(max) => usize::try_from(max).unwrap_or(usize::MAX),
            None if everything => 0,
            None => self.config.hold_cap,
        };
        if steps > allowed || (everything && max.is_none()) {
            let operations = reach.len();
            return Err(ManagerError::HoldTooWide { steps, operations, allowed, everything });
        }
        Ok(())
    }

    /// Tells running operations that the hold is there, or gone; then notes that they know.
    pub(super) async fn tell(
        &self,
        who: &Principal,
        row: &mut HoldRow,
        operations: impl IntoIterator<Item = OperationId>,
    ) -> Result<()> {
        // Whoever set or lifted it, also when a crash came in between and the duty tells the rest. The request's key is
        // claimed by the hold's own transaction.
        let actor = row.lifted.as_ref().map_or(&row.hold.by, |lifted| &lifted.by).clone();
        let who = Principal { actor, request: None, ..who.clone() };
        for id in operations {
            repeating(|| self.tell_one(&who, row, id)).await?;
        }
        row.told |= repeating(|| async {
            let mut work = self.begin(&who).await?;
            // Somebody may have lifted it meanwhile: then it is theirs to say that everybody knows.
            let Some(now) = work.tx.hold(row.hold.id).await? else { return Ok(false) };
            if now.lifted != row.lifted || now.told {
                return Ok(false);
            }
            work.tx.put_hold(&HoldRow { told: true, ..row.clone() }).await?;
            work.commit(Point::HoldTold).await?;
            Ok(true)
        })
        .await?;
        Ok(())
    }

    async fn tell_one(&self, who: &Principal, row: &HoldRow, id: OperationId) -> Result<()> {
        let hold = &row.hold;
        let mut work = self.begin_one(who).await?;
        // It may have been lifted meanwhile, and who lifted it may have told everybody: what is told after them would
        // stay. Holds change only alone, so that this is still so at the commit.
        if work.tx.hold(hold.id).await?.is_none_or(|now| now.lifted != row.lifted) {
            return Ok(());
        }
        work.lock_of(id).await?;
        let (action, reason, event) = match &row.lifted {
            Some(lifted) => ("step.release", lifted.reason.clone(), Event::Lifted { hold: hold.id }),
            None => {
                let operation = work.tx.operation(id).await?;
                let name = operation.ok_or_else(|| ManagerError::not_found("operation", id))?.name;
                let steps = work.tx.steps(id).await?;
                let environment = work.environment()?;
                let fits = |step: &&tenantry_model::Step| hold_matches(hold, environment, &name, &step.hook);
                let steps = steps.iter().filter(fits).map(|step| step.hook.clone()).collect();
                let event = Event::Held { hold: hold.on_step(work.now), steps };
                ("step.hold", Some(hold.reason.clone()), event)
            }
        };
        if !work.advance(id, vec![event]).await?.changed {
            return Ok(());
        }
        let target = format!("operations/{id}");
        let after = serde_json::json!({ "hold": hold.id });
        let note = Note { action, target, reason: reason.as_deref(), before: Value::Null, after };
        work.audit(note).await?;
        work.commit(Point::HoldTellOne).await
    }
}

impl Work<'_> {
    pub(super) async fn put_hold(
        &mut self,
        row: &HoldRow,
        action: &str,
        reason: Option<&str>,
        before: Value,
    ) -> Result<()> {
        self.tx.put_hold(row).await?;
        let after = outbox::hold(row);
        self.common_event(outbox::HOLD_CHANGED, after.clone()).await?;
        let target = format!("holds/{}", row.hold.id);
        self.audit(Note { action, target, reason, before, after }).await
    }
}

fn count(reach: &Reach) -> usize {
    reach.values().map(std::collections::BTreeSet::len).sum()
}

pub(super) fn view(row: HoldRow, reach: &Reach) -> HoldView {
    let pairs = reach.iter().flat_map(|(id, steps)| steps.iter().map(|step| (*id, step.clone())));
    HoldView { row, steps: count(reach), held: pairs.take(SHOWN).collect() }
}
