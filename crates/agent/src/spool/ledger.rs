//! What the agent knows of each attempt, and the facts that the manager has not acknowledged yet.
//!
//! It decides what a kill before the start means (never start), gives facts their numbers and keeps them until they
//! are acknowledged. It must never talk to executor or manager.

use super::{journal::Journal, records::Records};
use crate::AgentError;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use tenantry_failpoints::Point;
use tenantry_model::{AttemptId, Fact, KillCause, Observation, Outcome, TemplateHash};
use tokio::sync::Notify;
use uuid::Uuid;

/// Released attempts are remembered so long, so that a late second delivery of their start does nothing.
const REMEMBER_RELEASED: SignedDuration = SignedDuration::from_hours(24);
/// The file is rewritten when it has more entries than this and four times as many as are alive.
const REWRITE_ABOVE: usize = 4_096;

/// One attempt as the agent remembers it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Record {
    /// Known from the start order or from the manager's list.
    pub nonce: Uuid,
    /// The version that it runs: its template is kept.
    pub hash: Option<TemplateHash>,
    /// Of the attempt, from its start.
    pub timeout: Option<SignedDuration>,
    /// When the executor was first asked to start it. Durable before it is asked.
    pub start_tried: Option<Timestamp>,
    /// It was seen, here or (by the manager's numbers) by an agent whose folder is gone.
    pub existed: bool,
    /// By the region's clock, when a fact said so.
    pub running_since: Option<Timestamp>,
    /// It never ran and never will.
    pub never: Option<Outcome>,
    /// A kill was ordered, or the timeout is over.
    pub kill: Option<KillCause>,
    /// Of the newest fact.
    pub number: u64,
    /// The newest fact.
    pub last: Option<Observation>,
    /// A fact said that it is over (or never was).
    pub over: bool,
    /// The manager has committed its outcome and the executor has let go.
    pub released: Option<Timestamp>,
}

impl Record {
    /// The executor may have something of it that is still wanted.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.start_tried.is_some() && self.released.is_none() && self.never.is_none()
    }

    /// When its timeout is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        if self.over || self.kill.is_some() || !self.is_open() {
            return None;
        }
        self.running_since.or(self.start_tried)?.checked_add(self.timeout?).ok()
    }

    fn take(&mut self, observation: &Observation) {
        self.number = observation.number;
        match &observation.fact {
            Fact::Running { started_at, .. } => {
                self.existed = true;
                self.running_since = Some(*started_at);
            }
            Fact::Starting { .. } => self.existed = true,
            Fact::Ended { .. } | Fact::NotStarted { .. } => self.over = true,
            Fact::Unknown { .. } => {}
        }
        self.last = Some(observation.clone());
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "entry")]
enum Entry {
    Record { attempt: AttemptId, record: Box<Record> },
    Fact { observation: Observation },
    Acknowledged { attempt: AttemptId, number: u64 },
    Forgotten { attempt: AttemptId },
}

struct State {
    records: Records,
    unsent: VecDeque<Observation>,
    journal: Journal,
    /// That it cannot be written was said.
    said: bool,
}

/// The ledger. Cheap calls under one lock; only [`Ledger::sync`] waits for the disk.
pub struct Ledger {
    state: Mutex<State>,
    written: AtomicU64,
    synced: AtomicU64,
    syncing: tokio::sync::Mutex<()>,
    /// Woken by new facts.
    pub facts: Notify,
    /// Woken when deadlines may have changed.
    pub deadlines: Notify,
}

impl Ledger {
    /// Reads `attempts.jsonl` in `folder`.
    pub fn open(folder: &Path) -> Result<Self, AgentError> {
        let mut records = Records::default();
        let mut unsent = VecDeque::<Observation>::new();
        let journal = Journal::open(&folder.join("attempts.jsonl"), |entry| match entry {
            Entry::Record { attempt, record } => records.update(&attempt, |known| *known = *record),
            Entry::Fact { observation } => {
                records.update(&observation.attempt, |record| record.take(&observation));
                unsent.push_back(observation);
            }
            Entry::Acknowledged { attempt, number } => {
                unsent.retain(|o| o.attempt != attempt || o.number > number);
            }
            Entry::Forgotten { attempt } => {
                records.remove(&attempt);
                unsent.retain(|o| o.attempt != attempt);
            }
        })?;
        Ok(Self {
            state: Mutex::new(State { records, unsent, journal, said: false }),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            syncing: tokio::sync::Mutex::new(()),
            facts: Notify::new(),
            deadlines: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave the maps half changed: each change is one call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, state: &mut State, entry: &Entry) {
        match state.journal.append(entry) {
            Ok(()) => state.said = false,
            Err(error) if !state.said => {
                tracing::error!(%error, "cannot write the ledger; commands stay open until it can be written");
                state.said = true;
            }
            Err(_) => {}
        }
        self.written.fetch_add(1, Ordering::SeqCst);
    }

    /// What is known of an attempt.
    #[must_use]
    pub fn get(&self, attempt: &AttemptId) -> Option<Record> {
        self.state().records.get(attempt).cloned()
    }

    /// All attempts of which the executor may have something.
    #[must_use]
    pub fn open_attempts(&self) -> Vec<(AttemptId, Record)> {
        self.state()
            .records
            .iter()
            .filter(|(_, r)| r.is_open())
            .map(|(a, r)| (a.clone(), r.clone()))
            .collect()
    }

    /// How many attempts are open, and how many facts are not acknowledged.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state();
        (state.records.iter().filter(|(_, r)| r.is_open()).count(), state.unsent.len())
    }

    /// Versions that attempts which are not over run.
    #[must_use]
    pub fn hashes(&self) -> Vec<TemplateHash> {
        let state = self.state();
        state.records.iter().filter(|(_, r)| r.is_open()).filter_map(|(_, r)| r.hash.clone()).collect()
    }

    /// The next deadline of any attempt.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Instant, AttemptId)> {
        self.state().records.next_deadline().cloned()
    }

    /// Changes what is known of an attempt; durable after the next [`Ledger::sync`].
    pub fn change(&self, attempt: &AttemptId, change: impl FnOnce(&mut Record)) -> Record {
        let mut state = self.state();
        let (before, after) = state.records.update(attempt, |record| {
            let before = record.clone();
            change(record);
            (before, record.clone())
        });
        if after != before {
            let entry = Entry::Record { attempt: attempt.clone(), record: Box::new(after.clone()) };
            self.append(&mut state, &entry);
            drop(state);
            if after.deadline() != before.deadline() {
                self.deadlines.notify_one();
            }
        }
        after
    }

    /// Takes in a fact: numbers it and keeps it until it is acknowledged. Dropped if it says what the last one said,
    /// or if the attempt is over already: the first end that was seen counts.
    pub fn fact(&self, attempt: &AttemptId, fact: Fact, now: Timestamp) {
        let mut state = self.state();
        let taken = state.records.update(attempt, |record| {
            if record.over || record.last.as_ref().is_some_and(|last| last.fact == fact) {
                return None;
            }
            let number = record.number + 1;
            let observation = Observation { attempt: attempt.clone(), number, at: now, fact };
            record.take(&observation);
            Some((observation, record.timeout.is_some()))
        });
        let Some((observation, has_deadline)) = taken else { return };
        let entry = Entry::Fact { observation: observation.clone() };
        state.unsent.push_back(observation);
        self.append(&mut state, &entry);
        drop(state);
        Point::FactNoted.reached();
        self.facts.notify_one();
        if has_deadline {
            self.deadlines.notify_one();
        }
    }

    /// An attempt was looked for and is there, as it was when it was last told: that is told under a new number, for a
    /// manager that had lost sight of it after `observed`. A fact that is on its way and newer than that says so by itself.
    pub fn tell_again(&self, attempt: &AttemptId, observed: u64, now: Timestamp) {
        let mut state = self.state();
        if state.unsent.iter().any(|unsent| unsent.attempt == *attempt && unsent.number > observed) {
            return;
        }
        let taken = state.records.update(attempt, |record| {
            let fact = record.last.as_ref().map(|last| last.fact.clone());
            let fact = fact.filter(|fact| matches!(fact, Fact::Starting { .. } | Fact::Running { .. }))?;
            let number = record.number + 1;
            let observation = Observation { attempt: attempt.clone(), number, at: now, fact };
            record.take(&observation);
            Some(observation)
        });
        let Some(observation) = taken else { return };
        let entry = Entry::Fact { observation: observation.clone() };
        state.unsent.push_back(observation);
        self.append(&mut state, &entry);
        drop(state);
        self.facts.notify_one();
    }

    /// The manager says what it has taken in of an attempt. Older than what is known here (it was restored from a
    /// backup): the newest fact is sent again. Newer (this folder was lost): numbers go on from there.
    pub fn reconcile(&self, attempt: &AttemptId, nonce: Uuid, observed: u64) -> Record {
        let mut state = self.state();
        let known = state.records.get(attempt).cloned().unwrap_or_default();
        let mut record = Record { nonce, ..known };
        let waiting = state.unsent.iter().any(|o| o.attempt == *attempt);
        let again = record.last.clone().filter(|_| record.number > observed && !waiting);
        if record.number < observed {
            // Whatever was seen by whom: it is behind the manager's number and would change nothing there.
            record.number = observed;
            record.existed = true;
            record.last = None;
        }
        state.records.update(attempt, |known| *known = record.clone());
        let entry = Entry::Record { attempt: attempt.clone(), record: Box::new(record.clone()) };
        self.append(&mut state, &entry);
        if let Some(observation) = again {
            self.append(&mut state, &Entry::Fact { observation: observation.clone() });
            state.unsent.push_back(observation);
            self.facts.notify_one();
        }
        record
    }

    /// The oldest facts that are not acknowledged, up to `limit`.
    #[must_use]
    pub fn unsent(&self, limit: usize) -> Vec<Observation> {
        self.state().unsent.iter().take(limit).cloned().collect()
    }

    /// The manager has committed these.
    pub fn acknowledge(&self, sent: &[Observation]) {
        let mut state = self.state();
        for observation in sent {
            // They were taken from the front and only grow at the back.
            if state.unsent.front() == Some(observation) {
                state.unsent.pop_front();
            } else {
                state.unsent.retain(|o| o != observation);
            }
            let (attempt, number) = (observation.attempt.clone(), observation.number);
            self.append(&mut state, &Entry::Acknowledged { attempt, number });
        }
    }

    /// Drops what is no longer needed and rewrites the file when most of it is history.
    pub fn tidy(&self, now: Timestamp) {
        let mut state = self.state();
        let old: Vec<AttemptId> = (state.records.iter())
            .filter(|(_, r)| r.released.is_some_and(|at| now.duration_since(at) > REMEMBER_RELEASED))
            .map(|(a, _)| a.clone())
            .collect();
        for attempt in old {
            if state.unsent.iter().any(|o| o.attempt == attempt) {
                continue;
            }
            state.records.remove(&attempt);
            self.append(&mut state, &Entry::Forgotten { attempt });
        }
        let alive = state.records.len() + state.unsent.len();
        if state.journal.lines() > REWRITE_ABOVE.max(alive * 4) {
            rewrite(&mut state);
        }
    }

    /// Returns when everything that was changed before the call is on disk. Calls at the same time share one sync.
    pub async fn sync(&self) -> std::io::Result<()> {
        let wanted = self.written.load(Ordering::SeqCst);
        let _one_at_a_time = self.syncing.lock().await;
        if self.synced.load(Ordering::SeqCst) >= wanted {
            return Ok(());
        }
        let (upto, file) = {
            let mut state = self.state();
            state.journal.flush()?;
            (self.written.load(Ordering::SeqCst), state.journal.file())
        };
        tokio::task::spawn_blocking(move || file.sync_data()).await.map_err(std::io::Error::other)??;
        self.synced.store(upto, Ordering::SeqCst);
        Ok(())
    }
}

/// Records hold what facts have changed, so facts that are still unsent come before: taking them again is undone by
/// the record behind them.
fn rewrite(state: &mut State) {
    let facts = state.unsent.iter().map(|o| Entry::Fact { observation: o.clone() });
    let records = (state.records.iter())
        .map(|(a, r)| Entry::Record { attempt: a.clone(), record: Box::new(r.clone()) });
    match state.journal.rewrite(facts.chain(records)) {
        Ok(()) => {}
        // What is in force stays so.
        Err(error) => tracing::error!(%error, "cannot rewrite the ledger"),
    }
}

#[cfg(test)]
mod tests;
