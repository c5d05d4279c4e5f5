//! The attempts that an agent remembers, and their deadlines in order: of a hundred thousand that are over, none is
//! looked at when one begins.

use super::Record;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, btree_map};
use tenantry_model::AttemptId;

#[derive(Clone, Default)]
pub(super) struct Records {
    all: BTreeMap<AttemptId, Record>,
    /// Of each record that has one; follows from `all`.
    deadlines: BTreeSet<(Timestamp, AttemptId)>,
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
            if let Some(at) = before {
                self.deadlines.remove(&(at, attempt.clone()));
            }
            if let Some(at) = after {
                self.deadlines.insert((at, attempt.clone()));
            }
        }
        done
    }

    pub fn remove(&mut self, attempt: &AttemptId) {
        if let Some(at) = self.all.remove(attempt).and_then(|record| record.deadline()) {
            self.deadlines.remove(&(at, attempt.clone()));
        }
    }

    pub fn next_deadline(&self) -> Option<&(Timestamp, AttemptId)> {
        self.deadlines.first()
    }
}
