//! Retention: what is old and needed by nothing goes, a little at a time (DESIGN §9).
//!
//! The rows go first and the logs after them. A crash in between leaves a log folder without an operation, which the
//! next run sweeps; the other way round it would leave an operation that has lost its logs. The audit log never goes.

mod clock;
mod logs;

pub use clock::ClockDoubt;
pub(crate) use clock::believed;

use crate::duties::Duty;
use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::work::Note;
use crate::{KeptAnswer, Manager, Principal};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tenantry_failpoints::Point;
use tenantry_model::{OperationId, OperationState, Page};
use tenantry_store::{EventFilter, ExpiredOperation, Read};
use tokio::time::Instant;

/// Longest time of one run; what is left is for the next.
const BUDGET: Duration = Duration::from_secs(15);
/// Operations that are looked at in one transaction.
const OPERATIONS: u32 = 100;
/// Events, attentions, answers that are removed in one transaction.
const ROWS: u32 = 1000;
/// Pages of events that are looked at in one run.
const EVENT_PAGES: u32 = 100;
/// Between two transactions: whoever waits for the one writer comes first.
const PAUSE: Duration = Duration::from_millis(20);
/// Setting: how far each registered reader of the outbox has come, as `{"NAME": POSITION}`. What one of them has not
/// read stays.
pub(crate) const EVENT_READERS: &str = "event-readers";

/// Rows that go without a look at each.
#[derive(Clone, Copy)]
enum Old {
    /// Events up to this position.
    Events(u64),
    /// Attention that was settled before this time.
    Attention(Timestamp),
}

/// How long things are kept; `None`: for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Finished operations with their steps, attempts and logs, from their end on …
    pub operations: Option<SignedDuration>,
    /// … and always so many of the newest of each environment and name.
    pub newest: u32,
    /// Logs of finished operations, whose rows may stay longer.
    pub logs: Option<SignedDuration>,
    /// Events.
    pub events: Option<SignedDuration>,
    /// Attention, from its settlement on.
    pub attention: Option<SignedDuration>,
    /// How often it is looked for what is old.
    pub every: Duration,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        let days = |days: i64| Some(SignedDuration::from_hours(24 * days));
        Self {
            operations: days(365),
            newest: 20,
            logs: days(90),
            events: days(30),
            attention: days(90),
            every: Duration::from_hours(1),
        }
    }
}

/// What went, or would go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// Operations.
    pub operations: u64,
    /// Operations of which the logs alone went.
    pub logs: u64,
    /// Log folders whose operation does not exist: what a crash left.
    pub orphans: u64,
    /// Events.
    pub events: u64,
    /// Settled attentions.
    pub attentions: u64,
    /// Answers under an Idempotency-Key.
    pub answers: u64,
    /// There was no time for everything.
    pub more: bool,
    /// Nothing goes before the clock is mended, or somebody has said that it is right.
    #[serde(default)]
    pub clock_doubted: bool,
}

impl Manager {
    /// Says what [`Manager::retire`] would remove now, without removing anything.
    pub async fn preview_retention(&self) -> Result<Retired> {
        let deadline = Instant::now() + BUDGET;
        let clock = believed(&mut *self.store.read().await?, self.now()).await?;
        let mut found = Retired { clock_doubted: clock.is_err(), ..Retired::default() };
        let now = clock.unwrap_or_else(ClockDoubt::now);
        if let Some(before) = before(now, self.config.retention.operations) {
            let mut page = Page { after: None, limit: OPERATIONS };
            loop {
                let mut read = self.store.read().await?;
                let part = read.expired_operations(before, self.config.retention.newest, &page).await?;
                found.operations += part.items.iter().filter(|operation| may_go(operation)).count() as u64;
                let Some(next) = part.next else { break };
                page.after = Some(next);
                if Instant::now() >= deadline {
                    found.more = true;
                    break;
                }
            }
        }
        (found.logs, found.orphans, found.more) = self.retire_logs(now, deadline, true, found.more).await?;
        let mut read = self.store.read().await?;
        let (last, more) = self.last_old_event(&mut *read, now).await?;
        found.more |= more;
        if let Some(last) = last {
            let oldest =
                read.events(&EventFilter::default(), 0, 1).await?.first().map(|event| event.position);
            found.events = oldest.map_or(0, |oldest| (last + 1).saturating_sub(oldest));
        }
        let never = Timestamp::MIN;
        let attention = before(now, self.config.retention.attention).unwrap_or(never);
        let answers = before(now, Some(self.config.idempotency_retention)).unwrap_or(never);
        (found.attentions, found.answers) = read.count_expired(attention, answers).await?;
        Ok(found)
    }

    /// Removes what is old and needed by nothing, for some seconds; what went is in the audit log.
    ///
    /// # Errors
    /// `RetentionClock` while the clock is in doubt; `clock_is_right` is a person's word that it is not.
    pub async fn retire(&self, who: &Principal, clock_is_right: bool) -> Result<Retired> {
        let now = self.begin_retention(who, clock_is_right).await?;
        let deadline = Instant::now() + BUDGET;
        let mut gone = Retired::default();
        if let Some(before) = before(now, self.config.retention.operations) {
            let mut page = Page { after: None, limit: OPERATIONS };
            while let Some(next) = self.retire_operations(who, before, &page, &mut gone).await? {
                page.after = Some(next);
                gone.more |= Instant::now() >= deadline;
                if gone.more {
                    break;
                }
            }
        }
        (gone.logs, gone.orphans, gone.more) = self.retire_logs(now, deadline, false, gone.more).await?;
        let (last, more) = self.last_old_event(&mut *self.store.read().await?, now).await?;
        if let Some(last) = last {
            gone.events = self.retire_rows(who, Old::Events(last), deadline, &mut gone.more).await?;
        }
        if let Some(before) = before(now, self.config.retention.attention) {
            gone.attentions = self.retire_rows(who, Old::Attention(before), deadline, &mut gone.more).await?;
        }
        gone.answers = u64::from(self.expire_answers_at(who, now).await?);
        gone.more |= more;
        self.note_retired(who, &gone).await?;
        Ok(gone)
    }

    /// Removes rows in transactions of [`ROWS`] each, until there are none left or the time is over (`more`).
    async fn retire_rows(
        &self,
        who: &Principal,
        old: Old,
        deadline: Instant,
        more: &mut bool,
    ) -> Result<u64> {
        let mut gone = 0;
        while !*more {
            let removed = repeating(|| async {
                let mut work = self.begin(who).await?;
                let (removed, name) = match old {
                    Old::Events(last) => (work.tx.delete_events(last, ROWS).await?, Point::RetireEvents),
                    Old::Attention(before) => {
                        (work.tx.expire_attentions(before, ROWS).await?, Point::RetireAttention)
                    }
                };
                work.commit(name).await?;
                Ok(removed)
            })
            .await?;
            gone += u64::from(removed);
            if removed < ROWS {
                break;
            }
            *more |= self.rest(deadline).await;
        }
        Ok(gone)
    }

    /// Some operations and then their logs; where to go on.
    async fn retire_operations(
        &self,
        who: &Principal,
        before: Timestamp,
        page: &Page,
        gone: &mut Retired,
    ) -> Result<Option<String>> {
        let newest = self.config.retention.newest;
        // Most pages hold nothing that may go: looked at without keeping others from writing.
        let part = self.store.read().await?.expired_operations(before, newest, page).await?;
        if !part.items.iter().any(may_go) {
            return Ok(part.next);
        }
        let (ids, next) = repeating(|| async {
            let mut work = self.begin(who).await?;
            // Judged again where nobody can begin to need one of them meanwhile.
            let part = work.tx.expired_operations(before, newest, page).await?;
            let going = part.items.iter().filter(|operation| may_go(operation));
            let ids: Vec<OperationId> = going.map(|operation| operation.id).collect();
            for id in &ids {
                work.tx.delete_operation(*id).await?;
            }
            work.commit(Point::RetireOperations).await?;
            Ok((ids, part.next))
        })
        .await?;
        for id in &ids {
            self.logs.remove(*id).await.map_err(crate::logs::unlisted)?;
        }
        gone.operations += ids.len() as u64;
        tokio::time::sleep(PAUSE).await;
        Ok(next)
    }

    /// Position of the last event that may go, every registered reader having read it; whether there may be more of them.
    async fn last_old_event(&self, read: &mut dyn Read, now: Timestamp) -> Result<(Option<u64>, bool)> {
        let Some(before) = before(now, self.config.retention.events) else { return Ok((None, false)) };
        let (old, more) = old_events(read, before, now).await?;
        let readers = read.setting(EVENT_READERS).await?;
        let slowest = readers
            .as_ref()
            .and_then(Value::as_object)
            .and_then(|readers| readers.values().filter_map(Value::as_u64).min());
        let last = slowest.map_or(old, |position| old.min(position));
        // A run that goes on at once would find the same reader.
        Ok(((last > 0).then_some(last), more && last == old))
    }

    async fn note_retired(&self, who: &Principal, gone: &Retired) -> Result<()> {
        let counts = [gone.operations, gone.logs, gone.orphans, gone.events, gone.attentions];
        if counts.iter().all(|count| *count == 0) {
            return self.keep_answer(who, KeptAnswer::Retired(*gone)).await;
        }
        repeating(|| async {
            let mut work = self.begin(who).await?;
            let after = json!({
                "operations": gone.operations,
                "logs": gone.logs,
                "orphans": gone.orphans,
                "events": gone.events,
                "attentions": gone.attentions,
            });
            let target = "installation".to_owned();
            work.audit(Note { action: "retention.run", target, reason: None, before: Value::Null, after })
                .await?;
            work.answer(KeptAnswer::Retired(*gone), Point::RetireNote).await
        })
        .await
    }

    /// The same as a duty: while the clock is in doubt it waits, and that is said.
    pub(crate) async fn retire_as(&self, who: &Principal) -> Result<Retired> {
        match self.retire(who, false).await {
            Err(ManagerError::RetentionClock(doubt)) => {
                self.tell_doubt(who, &doubt).await?;
                Ok(Retired { clock_doubted: true, ..Retired::default() })
            }
            other => other,
        }
    }

    /// The loop's step: turn after turn, and in between another manager may take over. Tells whether the last turn was this
    /// manager's.
    pub(crate) async fn retire_all(&self) -> Result<bool> {
        let mut done = true;
        let more = AtomicBool::new(true);
        while more.swap(false, Ordering::Relaxed) {
            let turn = |who| async {
                let who: Principal = who;
                more.store(self.retire_as(&who).await?.more, Ordering::Relaxed);
                Ok(())
            };
            done = self.in_role(Duty::Retention.role(), turn).await?;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(done)
    }

    /// Lets others write; tells whether the time is over.
    async fn rest(&self, deadline: Instant) -> bool {
        tokio::time::sleep(PAUSE).await;
        Instant::now() >= deadline
    }
}

/// The position up to which events are old, 0 if none is; whether there may be more. They are looked at one after the other
/// from the oldest on, which costs what removing them costs: where a clock was wrong for a while, times do not grow with
/// positions, and halving would find anything. What is later than now tells nothing and goes with what lies around it.
async fn old_events(read: &mut dyn Read, before: Timestamp, now: Timestamp) -> Result<(u64, bool)> {
    let (mut old, mut after) = (0, 0);
    for _ in 0..EVENT_PAGES {
        let events = read.events(&EventFilter::default(), after, ROWS).await?;
        let Some(last) = events.last() else { return Ok((old, false)) };
        after = last.position;
        for event in &events {
            if event.at < before {
                old = event.position;
            } else if event.at <= now {
                return Ok((old, false));
            }
        }
    }
    Ok((old, true))
}

/// Before when things are old, if they ever are.
fn before(now: Timestamp, age: Option<SignedDuration>) -> Option<Timestamp> {
    now.checked_sub(age?).ok()
}

/// A backup may still be restored as long as its environment is not gone: nobody tells when what it wrote is removed.
fn may_go(operation: &ExpiredOperation) -> bool {
    let backup = operation.name.as_str() == crate::runner::WRITES_BACKUP;
    operation.purged || !(backup && operation.state == OperationState::Succeeded)
}
