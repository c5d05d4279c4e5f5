//! What this life knows of one attempt: numbers of its facts, how far its log is told, what was asked of it. Pure.

use jiff::{SignedDuration, Timestamp};
use tenantry_api_types::agent::OpenAttempt;
use tenantry_model::{AttemptId, Fact, KillCause, Observation};
use uuid::Uuid;

/// So many readers in a row may get no further in a log before its rest is given up.
const READERS: u32 = 10;

/// One attempt.
#[allow(clippy::struct_excessive_bools)] // each is seen or asked for on its own
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// Of the order, or of the manager's list; nil while neither said it.
    pub nonce: Uuid,
    /// This life or (as far as it knows) an earlier one may have asked for its creation.
    pub tried: bool,
    /// When this life first did.
    pub tried_at: Option<Timestamp>,
    /// It was seen, here or by an earlier life.
    pub existed: bool,
    /// Of its container, by the region's clock.
    pub running_since: Option<Timestamp>,
    /// Of the attempt, from its start.
    pub timeout: Option<SignedDuration>,
    /// A kill was ordered, or the timeout is over. The first cause counts.
    pub kill: Option<KillCause>,
    /// Its end was told.
    pub over: bool,
    /// Its outcome is committed and its objects are let go of.
    pub released: bool,
    /// How far its log is told.
    pub log: Log,
    /// The end, held back until the log is told.
    pub held: Option<Fact>,
    number: u64,
    last: Option<Fact>,
}

/// How far a log is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Log {
    /// Printed up to here.
    pub printed: u64,
    /// On its way to the manager up to here.
    pub queued: u64,
    /// All of it is on its way.
    pub ended: bool,
    /// What follows was not taken: it has to be read again.
    pub behind: bool,
    /// Counts how often it is read: what an earlier reader still says is passed over.
    pub reader: u32,
    /// Where the newest reader began, and how many before it got no further.
    pub begun: u64,
    pub in_vain: u32,
}

impl Record {
    /// What the manager has of it. Its object says the rest.
    pub fn reconcile(&mut self, open: &OpenAttempt) {
        self.nonce = open.nonce;
        self.tried = true;
        self.existed |= open.observed > 0;
        self.number = self.number.max(open.observed);
        if open.unknown {
            // The manager has heard nothing for long: what it was told last is told again.
            self.last = None;
        }
        self.log.printed = self.log.printed.max(open.log_offset);
        self.log.queued = self.log.queued.max(open.log_offset);
    }

    /// Gives a fact its number. `None`: it says what the last one said, or the attempt is over already.
    ///
    /// Numbers follow the clock: what an earlier life of the bridge has sent may still be on its way when this one is told
    /// what was taken in, and must not have a number that this one uses.
    pub fn observe(&mut self, attempt: &AttemptId, fact: Fact, now: Timestamp) -> Option<Observation> {
        if self.over || self.last.as_ref() == Some(&fact) {
            return None;
        }
        self.number = self.number.max(u64::try_from(now.as_millisecond()).unwrap_or(0)) + 1;
        match &fact {
            Fact::Starting { .. } => self.existed = true,
            Fact::Running { started_at, .. } => {
                self.existed = true;
                self.running_since = Some(*started_at);
            }
            Fact::Ended { .. } | Fact::NotStarted { .. } => self.over = true,
            Fact::Unknown { .. } => {}
        }
        self.last = Some(fact.clone());
        Some(Observation { attempt: attempt.clone(), number: self.number, at: now, fact })
    }

    /// When its timeout is over. Of an attempt whose start an earlier life carried out the manager alone knows it.
    pub fn deadline(&self) -> Option<Timestamp> {
        if self.over || self.held.is_some() || self.kill.is_some() || self.released {
            return None;
        }
        self.running_since.or(self.tried_at)?.checked_add(self.timeout?).ok()
    }

    /// Another reader begins where the text was not taken any more; `false`: the ones before it got no further.
    pub fn read_again(&mut self) -> bool {
        let log = &mut self.log;
        log.in_vain = if log.queued == log.begun { log.in_vain + 1 } else { 0 };
        log.begun = log.queued;
        log.behind = false;
        log.reader += 1;
        log.in_vain < READERS
    }

    /// It may be there, and its end is not told.
    pub fn is_open(&self) -> bool {
        (self.existed || self.tried_at.is_some()) && !self.over && !self.released
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn attempt() -> AttemptId {
        AttemptId {
            operation: "0192f0c8-a7b3-7c3e-8f00-00000000abcd".parse().unwrap(),
            step: "eu1/crm/a".parse().unwrap(),
            number: 1,
        }
    }

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(millisecond).unwrap()
    }

    fn starting() -> Fact {
        Fact::Starting { object: "p".to_owned(), waiting_for: None }
    }

    fn running(since: i64) -> Fact {
        Fact::Running { object: "p".to_owned(), started_at: at(since), node: None, images: BTreeMap::new() }
    }

    fn unknown() -> Fact {
        Fact::Unknown { why: "silent".to_owned() }
    }

    fn open(observed: u64) -> OpenAttempt {
        OpenAttempt {
            attempt: attempt(),
            nonce: Uuid::from_u128(7),
            observed,
            log_offset: 42,
            unknown: false,
        }
    }

    #[test]
    fn numbers_grow_within_a_life_and_over_lives_and_clocks() {
        let mut record = Record::default();
        let number =
            |record: &mut Record, fact, now| record.observe(&attempt(), fact, at(now)).map(|o| o.number);
        assert_eq!(number(&mut record, starting(), 1_000), Some(1_001));
        assert_eq!(number(&mut record, starting(), 2_000), None, "nothing new");
        assert_eq!(number(&mut record, running(1), 1_000), Some(1_002), "in the same millisecond");
        assert_eq!(number(&mut record, unknown(), 500), Some(1_003), "the clock was set back");

        // The next life knows of the first two alone, and the third is on its way.
        let mut next = Record::default();
        next.reconcile(&open(1_002));
        assert_eq!(number(&mut next, running(1), 9_000), Some(9_001));
        let mut behind = Record::default();
        behind.reconcile(&open(1_002));
        assert_eq!(number(&mut behind, running(1), 10), Some(1_003), "on a node whose clock is behind");
    }

    #[test]
    fn the_first_end_counts() {
        let mut record = Record::default();
        let never = Fact::NotStarted { outcome: tenantry_model::Outcome::default() };
        assert!(record.observe(&attempt(), never, at(1)).is_some());
        assert!(record.observe(&attempt(), running(1), at(2)).is_none());
    }

    #[test]
    fn the_managers_list_moves_nothing_back() {
        let log = Log { printed: 100, queued: 60, ..Log::default() };
        let mut record = Record { log, ..Record::default() };
        record.reconcile(&open(0));
        assert_eq!((record.log.printed, record.log.queued), (100, 60));
        assert!(!record.existed, "the manager has seen nothing of it");
        record.reconcile(&open(3));
        assert!(record.is_open());
    }

    #[test]
    fn what_the_manager_does_not_know_any_more_is_told_again() {
        let mut record = Record::default();
        assert!(record.observe(&attempt(), running(1), at(10)).is_some());
        assert!(record.observe(&attempt(), running(1), at(20)).is_none());
        record.reconcile(&OpenAttempt { unknown: true, ..open(11) });
        assert!(record.observe(&attempt(), running(1), at(30)).is_some());
    }

    #[test]
    fn a_log_is_read_again_while_that_gets_further() {
        let mut record = Record::default();
        for _ in 0..3 * READERS {
            record.log.queued += 1;
            assert!(record.read_again());
        }
        let tries = (0..3 * READERS).take_while(|_| record.read_again()).count();
        assert!(tries < READERS as usize);
    }

    #[test]
    fn a_timeout_counts_from_the_start_and_is_enforced_once() {
        let mut record = Record { tried_at: Some(at(0)), ..Record::default() };
        assert_eq!(record.deadline(), None);
        record.timeout = Some(SignedDuration::from_secs(60));
        assert_eq!(record.deadline(), Some(at(60_000)));
        record.observe(&attempt(), running(5_000), at(6_000));
        assert_eq!(record.deadline(), Some(at(65_000)));
        record.kill = Some(KillCause::Timeout);
        assert_eq!(record.deadline(), None);
    }
}
