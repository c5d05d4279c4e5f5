//! The attempts that an agent remembers, and their deadlines in order: of a hundred thousand that are over, none is
//! looked at when one begins.
//!
//! A deadline is reckoned once in a life of the agent, from what its clock says then; from there on a clock counts that nobody
//! sets, so that no attempt is ended early, or late, because somebody has set the other one.

use super::Record;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::time::{Duration, Instant};
use tenantry_model::AttemptId;

#[derive(Clone, Default)]
pub(super) struct Records {
    all: BTreeMap<AttemptId, Record>,
    /// Of each record that has one; follows from `all`.
    due: BTreeMap<AttemptId, Instant>,
    /// The same in order.
    deadlines: BTreeSet<(Instant, AttemptId)>,
}

impl Records {
    pub fn get(&self, attempt: &AttemptId) -> Option<&Record> {
        self.all.get(attempt)
    }

    pub fn iter(&self) -> btree_map::Iter<'_, AttemptId, Record> {
        self.all.iter()
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Changes one, which is made if there is none.
    pub fn update<T>(&mut self, attempt: &AttemptId, change: impl FnOnce(&mut Record) -> T) -> T {
        let record = self.all.entry(attempt.clone()).or_default();
        let before = record.deadline();
        let done = change(record);
        let after = record.deadline();
        if before != after {
            let timeout =
                record.timeout.and_then(|timeout| Duration::try_from(timeout).ok()).unwrap_or_default();
            self.forget(attempt);
            if let Some(at) = after {
                let left = at.duration_since(Timestamp::now());
                let left = Duration::try_from(left).unwrap_or_default().min(timeout);
                self.remember(attempt, Instant::now() + left);
            }
        }
        done
    }

    fn remember(&mut self, attempt: &AttemptId, at: Instant) {
        self.due.insert(attempt.clone(), at);
        self.deadlines.insert((at, attempt.clone()));
    }

    fn forget(&mut self, attempt: &AttemptId) {
        if let Some(at) = self.due.remove(attempt) {
            self.deadlines.remove(&(at, attempt.clone()));
        }
    }

    pub fn remove(&mut self, attempt: &AttemptId) {
        self.all.remove(attempt);
        self.forget(attempt);
    }

    pub fn next_deadline(&self) -> Option<&(Instant, AttemptId)> {
        self.deadlines.first()
    }
}
