//! What is seen of attempts: the log to stdout and, with the facts, to the manager.
//!
//! While the manager is out of reach a log goes to stdout alone; when it is back, what it lacks is read again from the Pod,
//! which stays until the manager has committed its outcome. It must never hold a hook's log back for a manager that does not
//! answer, and never tell an end before the log that led to it.

use super::{
    outbox::Outbox,
    record::{Log, Record},
};
use crate::run::{Stdout, told};
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tenantry_kube_run::{Known, Observer, Runner, Settled};
use tenantry_model::{AttemptId, Fact, Outcome, with_causes};
use tokio::sync::{Notify, OwnedSemaphorePermit, watch};

/// Between two looks for an attempt that the API server did not answer.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

pub(super) struct Told {
    records: Mutex<BTreeMap<AttemptId, Record>>,
    pub outbox: Outbox,
    /// Whether the manager answers.
    contact: watch::Receiver<bool>,
    stdout: Stdout,
    /// Woken when a deadline may have changed.
    pub changed: Notify,
    /// Woken when a log is to be read again.
    behind: Notify,
}

impl Told {
    pub fn new(outbox: Outbox, contact: watch::Receiver<bool>, stdout: Stdout) -> Arc<Self> {
        Arc::new(Self {
            records: Mutex::default(),
            outbox,
            contact,
            stdout,
            changed: Notify::new(),
            behind: Notify::new(),
        })
    }

    /// What is known of an attempt, to look at and to change.
    pub fn with<T>(&self, attempt: &AttemptId, change: impl FnOnce(&mut Record) -> T) -> T {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        change(records.entry(attempt.clone()).or_default())
    }

    /// How the cluster is asked about it.
    pub fn known(&self, attempt: &AttemptId) -> Known {
        let (nonce, log_from, start_tried) =
            self.with(attempt, |record| (record.nonce, record.log.queued, record.tried));
        Known { attempt: attempt.clone(), nonce, log_from, start_tried }
    }

    /// Tells what the cluster shows of it.
    pub fn observer(self: &Arc<Self>, attempt: &AttemptId) -> Arc<dyn Observer> {
        Arc::new(Reader { told: Arc::clone(self), reader: self.with(attempt, |record| record.log.reader) })
    }

    /// An attempt may be there whose end is not told.
    pub fn any_open(&self) -> bool {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).values().any(Record::is_open)
    }

    /// The next timeout that is over.
    pub fn next_deadline(&self) -> Option<(Timestamp, AttemptId)> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().filter_map(|(attempt, record)| Some((record.deadline()?, attempt.clone()))).min()
    }

    pub fn fact(&self, attempt: &AttemptId, fact: Fact) {
        let Some(seen) = self.with(attempt, |record| record.observe(attempt, fact, Timestamp::now())) else {
            return;
        };
        match &seen.fact {
            Fact::Ended { outcome, .. } | Fact::NotStarted { outcome } => told::outcome(attempt, outcome),
            fact => told::fact(attempt, fact),
        }
        self.outbox.fact(seen);
        self.changed.notify_one();
    }

    /// Nothing ran and nothing will. Its log ends before it began, else whoever reads it would wait for ever.
    pub fn never_started(&self, attempt: &AttemptId, outcome: Outcome) {
        self.end_log(attempt);
        self.fact(attempt, Fact::NotStarted { outcome });
    }

    /// The log ends where it was taken last.
    fn end_log(&self, attempt: &AttemptId) {
        let end = self.with(attempt, |record| {
            let Log { queued, ended, .. } = record.log;
            record.log.ended = true;
            record.log.behind = false;
            (!ended).then_some(queued)
        });
        if let Some(end) = end {
            self.outbox.log_end(attempt, end);
        }
    }

    fn fall_behind(&self, attempt: &AttemptId) {
        self.with(attempt, |record| record.log.behind = !record.log.ended);
        self.behind.notify_one();
    }

    /// Room for log text, as long as there is somebody to send it to.
    async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let mut contact = self.contact.clone();
        tokio::select! {
            biased;
            room = self.outbox.room(bytes) => room,
            _ = contact.wait_for(|up| !*up) => None,
        }
    }

    /// Reads logs again that were not taken, for ever.
    pub async fn catch_up(self: &Arc<Self>, runner: &Runner) {
        let mut contact = self.contact.clone();
        loop {
            self.behind.notified().await;
            while let Some(attempt) = self.one_behind() {
                // The manager's side lives as long as the step.
                let _ = contact.wait_for(|up| *up).await;
                self.outbox.emptied().await;
                self.read_again(&attempt, runner).await;
            }
        }
    }

    fn one_behind(&self) -> Option<AttemptId> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().find(|(_, record)| record.log.behind).map(|(attempt, _)| attempt.clone())
    }

    async fn read_again(self: &Arc<Self>, attempt: &AttemptId, runner: &Runner) {
        let gets_further = self.with(attempt, Record::read_again);
        loop {
            let found = if gets_further {
                runner.find_again(&self.known(attempt), self.observer(attempt)).await
            } else {
                Ok(Settled::Absent)
            };
            match found {
                Ok(Settled::Here) => return,
                Ok(Settled::Absent) => {
                    eprintln!("tenantry-bridge: {attempt}: the rest of its log cannot be read any more");
                    self.end_log(attempt);
                    if let Some(end) = self.with(attempt, |record| record.held.take()) {
                        self.fact(attempt, end);
                    }
                    return;
                }
                Err(error) => {
                    tracing::warn!(%attempt, error = %with_causes(&error), "cannot read a log again");
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
        }
    }
}

/// One reading of an attempt.
struct Reader {
    told: Arc<Told>,
    reader: u32,
}

impl Reader {
    /// What is to be sent next of this text: where it begins, and as much as fits in at once.
    fn wanted(&self, attempt: &AttemptId, offset: u64, bytes: &Bytes) -> Option<(u64, Bytes)> {
        self.told.with(attempt, |record| {
            let log = &mut record.log;
            if log.reader != self.reader || log.behind || log.ended {
                return None;
            }
            let had = usize::try_from(log.queued.checked_sub(offset)?).ok()?;
            let end = bytes.len().min(had.saturating_add(Outbox::PIECE));
            (had < end).then(|| (log.queued, bytes.slice(had..end)))
        })
    }

    fn is_newest(&self, attempt: &AttemptId) -> bool {
        self.told.with(attempt, |record| record.log.reader == self.reader)
    }
}

#[async_trait]
impl Observer for Reader {
    async fn fact(&self, attempt: &AttemptId, fact: Fact) {
        if !self.is_newest(attempt) {
            return;
        }
        match fact {
            Fact::NotStarted { outcome } => self.told.never_started(attempt, outcome),
            Fact::Ended { .. } if !self.told.with(attempt, |record| record.log.ended) => {
                // The manager is out of reach, or was too slow: first the log.
                self.told.with(attempt, |record| record.held = Some(fact));
                self.told.fall_behind(attempt);
            }
            Fact::Ended { .. } => self.told.fact(attempt, fact),
            // It is over, and only its log is read again.
            _ if self.told.with(attempt, |record| record.held.is_some()) => {}
            fact => self.told.fact(attempt, fact),
        }
    }

    async fn log(&self, attempt: &AttemptId, offset: u64, bytes: Bytes) {
        if !self.is_newest(attempt) {
            return;
        }
        let end = offset + bytes.len() as u64;
        let printed = self.told.with(attempt, |record| {
            let before = record.log.printed;
            record.log.printed = before.max(end);
            usize::try_from(before.saturating_sub(offset)).unwrap_or(usize::MAX)
        });
        if printed < bytes.len() {
            self.told.stdout.print(attempt, &bytes[printed..]);
        }
        while let Some((at, piece)) = self.wanted(attempt, offset, &bytes) {
            let Some(room) = self.told.room(piece.len()).await else {
                if self.is_newest(attempt) {
                    self.told.fall_behind(attempt);
                }
                return;
            };
            // Another reader may have begun meanwhile.
            if self.wanted(attempt, offset, &bytes).is_some_and(|(now, _)| now == at) {
                self.told.with(attempt, |record| record.log.queued += piece.len() as u64);
                self.told.outbox.log(attempt, at, piece, room);
            }
        }
    }

    async fn log_end(&self, attempt: &AttemptId, offset: u64) {
        let complete = self.told.with(attempt, |record| {
            record.log.reader == self.reader && !record.log.behind && record.log.queued >= offset
        });
        if complete {
            self.told.end_log(attempt);
        }
    }
}

#[cfg(test)]
mod tests;
