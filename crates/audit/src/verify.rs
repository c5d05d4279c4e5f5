//! The verifier: heads first, then entries chain by chain, in bounded memory. Says for each chain the first position
//! that does not fit, and up to where a signed head vouches for it.
//!
//! A chain alone shows a change, a gap, a swap. It cannot show that its end was cut off, or that all of it was written
//! anew from some entry on: heads that were kept elsewhere show that.

use crate::chain::hash_of;
use crate::head::{Head, SignedHead};
use crate::key::PublicKey;
use crate::line::Line;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::EnvironmentId;
use tenantry_store::AuditEntry;
use uuid::Uuid;

/// Most chains with a fault that a report names; the rest is counted.
const MOST_BAD: usize = 1000;
/// Most faults of the heads and of the export that a report names.
const MOST_FAULTS: usize = 100;

type Chain = Option<EnvironmentId>;

/// What is wrong at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadKind {
    /// The entry is not what was hashed.
    Changed,
    /// The entry of this position is not there.
    Removed,
    /// Another entry stands in its place.
    Reordered,
    /// It does not follow the entry before it: one of the two was replaced.
    Unlinked,
    /// The chain fits together, but it is not the one that a signed head names: it was written anew.
    Rewritten,
    /// A signed head names later entries than there are: the end was cut off.
    CutOff,
}

/// The first position of a chain that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bad {
    /// Which.
    pub position: u64,
    /// What is wrong.
    pub kind: BadKind,
    /// One sentence.
    pub detail: String,
}

/// What is known about one chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainReport {
    /// Which chain; `None`: that of what belongs to no environment.
    pub environment: Chain,
    /// How many entries there are.
    pub entries: u64,
    /// Up to here a signed head vouches for every entry.
    pub certain_until: u64,
    /// The number of that head.
    pub certain_by: Option<u64>,
    /// The first position that does not fit; from there on nothing is certain.
    pub first_bad: Option<Bad>,
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Which installation's.
    pub installation: Option<Uuid>,
    /// When the export was begun.
    pub exported_at: Option<Timestamp>,
    /// How many chains there are.
    pub chains: u64,
    /// How many entries.
    pub entries: u64,
    /// How many of them a signed head vouches for.
    pub certain_entries: u64,
    /// How many heads were used.
    pub heads: u64,
    /// Heads that are newer than the export, and say nothing about it.
    pub later_heads: u64,
    /// The newest head that was used.
    pub last_head: Option<u64>,
    /// When it was made.
    pub last_head_at: Option<Timestamp>,
    /// What is wrong with the heads or with the export as a whole.
    pub faults: Vec<String>,
    /// Chains with a position that does not fit, at most 1,000.
    pub bad: Vec<ChainReport>,
    /// How many such chains there are.
    pub bad_chains: u64,
}

impl Report {
    /// Nothing is wrong.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.bad_chains == 0 && self.faults.is_empty()
    }
}

/// A position that a head names.
#[derive(Debug)]
struct Mark {
    hash: String,
    head: u64,
}

/// The chain that is being read.
#[derive(Debug)]
struct Open {
    report: ChainReport,
    previous: String,
    marks: BTreeMap<u64, Mark>,
}

/// Takes heads, then entries, then says what came out.
#[derive(Debug)]
pub struct Verifier {
    trusted: BTreeMap<String, PublicKey>,
    /// Keys that announced their successor, and in which head: later heads of theirs are not believed.
    retired: BTreeMap<String, u64>,
    /// By number: the payload's hash, and when the head was made.
    heads: BTreeMap<u64, (String, Head)>,
    refused_heads: BTreeSet<u64>,
    marks: Option<BTreeMap<Chain, BTreeMap<u64, Mark>>>,
    seen: BTreeSet<Chain>,
    open: Option<Open>,
    lines: (u64, u64),
    ended: bool,
    report: Report,
}

impl Verifier {
    /// A verifier that believes heads signed by these keys, and by those that such a head announces.
    pub fn new(trusted: impl IntoIterator<Item = PublicKey>) -> Self {
        Self {
            trusted: trusted.into_iter().map(|key| (key.id(), key)).collect(),
            retired: BTreeMap::new(),
            heads: BTreeMap::new(),
            refused_heads: BTreeSet::new(),
            marks: None,
            seen: BTreeSet::new(),
            open: None,
            lines: (0, 0),
            ended: false,
            report: Report::default(),
        }
    }

    /// Takes in one line of an export.
    pub fn line(&mut self, line: Line) {
        if self.ended {
            self.fault("the export goes on after its last line".to_owned());
        }
        match line {
            Line::Export { version, installation, at } => {
                if version != 1 {
                    self.fault(format!("the export has form {version}, this program knows form 1"));
                }
                self.report.installation = Some(installation);
                self.report.exported_at = Some(at);
            }
            Line::Head(head) => {
                self.lines.0 += 1;
                self.head(&head);
            }
            Line::Entry(entry) => {
                self.lines.1 += 1;
                self.entry(&entry);
            }
            Line::End { heads, entries } => {
                self.ended = true;
                if (heads, entries) != self.lines {
                    let (got_heads, got_entries) = self.lines;
                    self.fault(format!(
                        "the export says it holds {heads} heads and {entries} entries, and holds {got_heads} and {got_entries}"
                    ));
                }
            }
        }
    }

    /// Takes in a head: of the export, or one that was kept elsewhere. In the order of their numbers, so that a key is
    /// known before it signs; the same one twice is one.
    pub fn head(&mut self, signed: &SignedHead) {
        let head = match signed.head() {
            Ok(head) => head,
            Err(error) => return self.fault(format!("a head cannot be read: {error}")),
        };
        let number = head.number;
        if self.heads.get(&number).is_some_and(|(hash, _)| *hash == signed.hash()) {
            return;
        }
        let key = self.trusted.get(&signed.key);
        let retired = self.retired.get(&signed.key).is_some_and(|last| number > *last);
        if retired || !key.is_some_and(|key| key.signed(signed)) {
            let why = match key {
                None => "no trusted key made its signature",
                Some(_) if retired => "its key had announced another one before",
                Some(_) => "its signature does not fit",
            };
            if self.refused_heads.insert(number) {
                self.fault(format!("head {number} is not believed: {why} (key {})", signed.key));
            }
            return;
        }
        if let Some(key) = &head.next_key {
            self.retired.insert(signed.key.clone(), number);
            match PublicKey::all_from_pem(key) {
                Ok(keys) => self.trusted.extend(keys.into_iter().map(|key| (key.id(), key))),
                Err(error) => {
                    self.fault(format!("head {number} announces a key that cannot be read: {error}"));
                }
            }
        }
        if self.heads.contains_key(&number) {
            return self.fault(format!("there are two different heads with number {number}, both signed"));
        }
        self.heads.insert(number, (signed.hash(), head));
    }

    /// The heads fit together; what they name becomes what chains are held against.
    fn settle_heads(&mut self) -> BTreeMap<Chain, BTreeMap<u64, Mark>> {
        let mut marks: BTreeMap<Chain, BTreeMap<u64, Mark>> = BTreeMap::new();
        let mut faults = Vec::new();
        let mut before: Option<(u64, &str)> = None;
        for (number, (hash, head)) in &self.heads {
            if self.report.exported_at.is_some_and(|at| head.at > at) {
                self.report.later_heads += 1;
                continue;
            }
            let installation = *self.report.installation.get_or_insert(head.installation);
            if head.installation != installation {
                faults.push(format!("head {number} is of another installation ({})", head.installation));
                continue;
            }
            match before {
                Some((last, previous)) if last + 1 == *number && head.previous != previous => {
                    faults.push(format!("head {number} does not follow head {last}"));
                }
                Some((last, _)) if last + 1 < *number => {
                    faults.push(format!("heads {} to {} are missing", last + 1, number - 1));
                }
                _ => {}
            }
            before = Some((*number, hash));
            self.report.heads += 1;
            self.report.last_head = Some(*number);
            self.report.last_head_at = Some(head.at);
            for mark in &head.chains {
                let mark_of = Mark { hash: mark.hash.clone(), head: *number };
                marks.entry(mark.environment).or_default().insert(mark.position, mark_of);
            }
        }
        for fault in faults {
            self.fault(fault);
        }
        marks
    }

    fn entry(&mut self, entry: &AuditEntry) {
        if self.marks.is_none() {
            self.marks = Some(self.settle_heads());
        }
        if self.open.as_ref().is_none_or(|open| open.report.environment != entry.environment) {
            self.close();
            if !self.seen.insert(entry.environment) {
                self.fault(format!("{} comes in two parts", name(entry.environment)));
            }
            let marks = self.marks.as_mut().and_then(|marks| marks.remove(&entry.environment));
            self.open = Some(Open::new(entry.environment, marks.unwrap_or_default()));
        }
        if let Some(open) = &mut self.open {
            open.take(entry);
        }
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.count(open.end());
    }

    fn count(&mut self, chain: ChainReport) {
        let report = &mut self.report;
        report.chains += 1;
        report.entries += chain.entries;
        report.certain_entries += chain.certain_until;
        if chain.first_bad.is_some() {
            report.bad_chains += 1;
            if report.bad.len() < MOST_BAD {
                report.bad.push(chain);
            }
        }
    }

    fn fault(&mut self, what: String) {
        if self.report.faults.len() < MOST_FAULTS {
            self.report.faults.push(what);
        }
    }

    /// What came out. An export that does not end with its last line was cut.
    #[must_use]
    pub fn finish(mut self) -> Report {
        if !self.ended {
            self.fault("the export has no last line: it was cut, or is still being written".to_owned());
        }
        self.close();
        let left = match self.marks.take() {
            Some(marks) => marks,
            None => self.settle_heads(),
        };
        for (environment, marks) in left {
            // Named by a head, and nothing of it is left.
            self.count(Open::new(environment, marks).end());
        }
        self.report
    }
}

impl Open {
    fn new(environment: Chain, marks: BTreeMap<u64, Mark>) -> Self {
        let report =
            ChainReport { environment, entries: 0, certain_until: 0, certain_by: None, first_bad: None };
        Self { report, previous: String::new(), marks }
    }

    fn take(&mut self, entry: &AuditEntry) {
        self.report.entries += 1;
        if self.report.first_bad.is_some() {
            return;
        }
        let position = self.report.entries;
        let bad = if entry.position > position {
            Some((BadKind::Removed, format!("entry {position} is missing; {} stands there", entry.position)))
        } else if entry.position < position {
            Some((BadKind::Reordered, format!("entry {} stands at position {position}", entry.position)))
        } else if entry.hash != hash_of(entry) {
            Some((BadKind::Changed, format!("entry {position} is not what was hashed when it was written")))
        } else if entry.previous != self.previous {
            let detail = format!("entry {position} does not follow the entry before it");
            Some((BadKind::Unlinked, detail))
        } else {
            None
        };
        if let Some((kind, detail)) = bad {
            self.report.first_bad = Some(Bad { position, kind, detail });
            return;
        }
        self.previous.clone_from(&entry.hash);
        if let Some(mark) = self.marks.remove(&position) {
            if mark.hash == entry.hash {
                self.report.certain_until = position;
                self.report.certain_by = Some(mark.head);
            } else {
                // The entries up to the mark before this one are vouched for; which of the later ones was the first to
                // be replaced, nobody can tell.
                let detail = format!(
                    "head {} names another entry {position}: the chain was written anew after entry {}",
                    mark.head, self.report.certain_until
                );
                let position = self.report.certain_until + 1;
                self.report.first_bad = Some(Bad { position, kind: BadKind::Rewritten, detail });
            }
        }
    }

    fn end(mut self) -> ChainReport {
        let there = self.report.entries;
        if self.report.first_bad.is_none()
            && let Some((position, mark)) = self.marks.last_key_value()
            && *position > there
        {
            let detail =
                format!("head {} names entry {position}; the last one that is there is {there}", mark.head);
            self.report.first_bad = Some(Bad { position: there + 1, kind: BadKind::CutOff, detail });
        }
        self.report
    }
}

fn name(chain: Chain) -> String {
    chain.map_or_else(|| "the common chain".to_owned(), |id| format!("the chain of environment {id}"))
}
