//! What an auditor must be told: each way to falsify a log, and what stays certain.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says where it broke")]

use jiff::Timestamp;
use serde_json::json;
use tenantry_audit::{
    BadKind, ChainMark, Head, Line, PublicKey, Report, SignedHead, Signer, Verifier, follow,
};
use tenantry_model::{Actor, EnvironmentId};
use tenantry_store::AuditEntry;
use uuid::Uuid;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn next(head: Option<&AuditEntry>, environment: Option<EnvironmentId>, what: &str) -> AuditEntry {
    let entry = AuditEntry {
        position: 0,
        environment,
        at: at(1),
        actor: Actor::system(),
        action: "test.change".to_owned(),
        target: what.to_owned(),
        reason: None,
        origin: None,
        request: None,
        before: json!(null),
        after: json!({ "what": what, "share": 0.1 }),
        hash: String::new(),
        previous: String::new(),
    };
    follow(head, entry)
}

/// A chain of ten entries that heads name at 4 and at 8, and one of three that the first head names at 3.
struct Log {
    installation: Uuid,
    signer: Signer,
    long: Vec<AuditEntry>,
    short: Vec<AuditEntry>,
    heads: Vec<SignedHead>,
}

impl Log {
    fn new() -> Self {
        let environment = Some(EnvironmentId(Uuid::now_v7()));
        let chain = |environment, count: u32| {
            let mut entries: Vec<AuditEntry> = Vec::new();
            for n in 1..=count {
                entries.push(next(entries.last(), environment, &format!("entry {n}")));
            }
            entries
        };
        let mut log = Self {
            installation: Uuid::now_v7(),
            signer: Signer::generate().unwrap(),
            long: chain(environment, 10),
            short: chain(None, 3),
            heads: Vec::new(),
        };
        let marks = vec![mark(&log.long[3]), mark(&log.short[2])];
        log.seal(marks, None);
        let marks = vec![mark(&log.long[7])];
        log.seal(marks, None);
        log
    }

    fn seal(&mut self, chains: Vec<ChainMark>, next: Option<Signer>) {
        let number = self.heads.len() as u64 + 1;
        let head = Head {
            installation: self.installation,
            number,
            at: at(i64::try_from(number).unwrap()),
            previous: self.heads.last().map(SignedHead::hash).unwrap_or_default(),
            chains,
            next_key: next.as_ref().map(|key| key.public().to_pem()),
        };
        self.heads.push(self.signer.sign(&head).unwrap());
        if let Some(next) = next {
            self.signer = next;
        }
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = vec![Line::Export { version: 1, installation: self.installation, at: at(100) }];
        lines.extend(self.heads.iter().cloned().map(Line::Head));
        let entries = self.short.iter().chain(&self.long).cloned();
        lines.extend(entries.map(|entry| Line::Entry(Box::new(entry))));
        let entries = (self.short.len() + self.long.len()) as u64;
        lines.push(Line::End { heads: self.heads.len() as u64, entries });
        lines
    }

    fn verify(&self) -> Report {
        judge(self.signer.public().clone(), self.lines())
    }
}

fn mark(entry: &AuditEntry) -> ChainMark {
    ChainMark { environment: entry.environment, position: entry.position, hash: entry.hash.clone() }
}

fn judge(key: PublicKey, lines: Vec<Line>) -> Report {
    let mut verifier = Verifier::new([key]);
    for line in lines {
        verifier.line(line);
    }
    verifier.finish()
}

/// The first bad position of the only bad chain, what is wrong there, and what is certain before it.
fn only_bad(report: &Report) -> (u64, BadKind, u64) {
    assert_eq!((report.bad_chains, report.bad.len()), (1, 1), "{report:?}");
    assert!(!report.is_intact());
    let chain = &report.bad[0];
    let bad = chain.first_bad.as_ref().unwrap();
    (bad.position, bad.kind, chain.certain_until)
}

#[test]
fn an_untouched_log_is_intact_and_certain_up_to_its_newest_head() {
    let report = Log::new().verify();
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.chains, report.entries, report.certain_entries), (2, 13, 11));
    assert_eq!((report.heads, report.last_head), (2, Some(2)));
}

#[test]
fn a_changed_entry_is_found_and_what_was_sealed_before_stays_certain() {
    let mut log = Log::new();
    log.long[5].reason = Some("never said".to_owned());
    assert_eq!(only_bad(&log.verify()), (6, BadKind::Changed, 4));
}

#[test]
fn a_changed_entry_with_a_hash_that_fits_breaks_the_next_link() {
    let mut log = Log::new();
    let before = log.long[8].clone();
    log.long[9] =
        next(Some(&AuditEntry { hash: "0".repeat(64), ..before }), log.long[0].environment, "forged");
    assert_eq!(only_bad(&log.verify()), (10, BadKind::Unlinked, 8));
}

#[test]
fn a_removed_entry_is_found() {
    let mut log = Log::new();
    log.long.remove(5);
    assert_eq!(only_bad(&log.verify()), (6, BadKind::Removed, 4));
}

#[test]
fn swapped_entries_are_found() {
    let mut log = Log::new();
    log.long.swap(1, 2);
    assert_eq!(only_bad(&log.verify()).0, 2);
    let mut log = Log::new();
    let (two, three) = (log.long[1].position, log.long[2].position);
    log.long.swap(1, 2);
    (log.long[1].position, log.long[2].position) = (two, three);
    assert_eq!(only_bad(&log.verify()), (2, BadKind::Changed, 0));
    let mut log = Log::new();
    log.long.insert(6, log.long[2].clone());
    assert_eq!(only_bad(&log.verify()), (7, BadKind::Reordered, 4));
}

#[test]
fn a_cut_tail_is_found_by_the_heads_alone() {
    let mut log = Log::new();
    log.long.truncate(6);
    assert_eq!(only_bad(&log.verify()), (7, BadKind::CutOff, 4));
    let without_heads: Vec<Line> =
        log.lines().into_iter().filter(|line| !matches!(line, Line::Head(_))).collect();
    let report = judge(log.signer.public().clone(), without_heads);
    assert_eq!(report.bad_chains, 0, "a chain alone cannot know that it was longer");
}

#[test]
fn a_chain_that_is_gone_altogether_is_found() {
    let mut log = Log::new();
    log.short.clear();
    assert_eq!(only_bad(&log.verify()), (1, BadKind::CutOff, 0));
}

#[test]
fn a_chain_that_was_written_anew_is_found_by_the_heads() {
    let mut log = Log::new();
    log.long.truncate(5);
    for n in 6..=10 {
        log.long.push(next(log.long.last(), log.long[0].environment, &format!("invented {n}")));
    }
    assert_eq!(only_bad(&log.verify()), (5, BadKind::Rewritten, 4));
}

#[test]
fn heads_of_a_foreign_key_are_not_believed() {
    let log = Log::new();
    let report = judge(Signer::generate().unwrap().public().clone(), log.lines());
    assert!(!report.is_intact() && report.heads == 0 && report.certain_entries == 0, "{report:?}");
    assert!(report.faults[0].contains("no trusted key"), "{:?}", report.faults);
}

#[test]
fn a_changed_head_a_missing_head_and_a_second_history_are_found() {
    let mut log = Log::new();
    log.heads[1].payload = log.heads[1].payload.replace("\"position\":8", "\"position\":7");
    assert!(log.verify().faults[0].contains("signature does not fit"));

    let mut log = Log::new();
    let marks = vec![mark(&log.long[9])];
    log.seal(marks, None);
    log.heads.remove(1);
    assert!(log.verify().faults.iter().any(|fault| fault.contains("heads 2 to 2 are missing")));

    // Whoever holds the key can write another history; a head kept elsewhere contradicts it.
    let mut log = Log::new();
    let kept = log.heads[1].clone();
    log.heads.pop();
    let marks = vec![mark(&log.long[6])];
    log.seal(marks, None);
    let mut verifier = Verifier::new([log.signer.public().clone()]);
    verifier.head(&kept);
    for line in log.lines() {
        verifier.line(line);
    }
    let report = verifier.finish();
    assert!(report.faults.iter().any(|fault| fault.contains("two different heads")), "{report:?}");
}

#[test]
fn a_new_key_is_believed_because_the_old_one_signed_it() {
    let mut log = Log::new();
    let first = log.signer.public().clone();
    log.seal(Vec::new(), Some(Signer::generate().unwrap()));
    let marks = vec![mark(&log.long[9])];
    log.seal(marks, None);
    let report = judge(first, log.lines());
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.heads, report.certain_entries), (4, 13));
}

#[test]
fn an_old_key_is_not_believed_after_it_announced_another() {
    let mut log = Log::new();
    let first = log.signer.public().clone();
    let stolen = Signer::from_pem(&log.signer.to_pem().unwrap()).unwrap();
    log.seal(Vec::new(), Some(Signer::generate().unwrap()));
    log.signer = stolen;
    let marks = vec![mark(&log.long[9])];
    log.seal(marks, None);
    let report = judge(first, log.lines());
    assert!(report.faults[0].contains("announced another"), "{report:?}");
    assert_eq!(report.certain_entries, 11);
}

#[test]
fn an_export_that_was_cut_is_no_whole_export() {
    let log = Log::new();
    let mut lines = log.lines();
    lines.pop();
    assert!(judge(log.signer.public().clone(), lines).faults[0].contains("no last line"));
    let mut lines = log.lines();
    lines.remove(4);
    assert!(!judge(log.signer.public().clone(), lines).is_intact());
}

#[test]
fn heads_that_are_newer_than_an_export_say_nothing_about_it() {
    let log = Log::new();
    let mut older = log.lines();
    older.retain(|line| !matches!(line, Line::Head(head) if head.head().unwrap().number == 2));
    older.retain(
        |line| !matches!(line, Line::Entry(entry) if entry.environment.is_some() && entry.position > 6),
    );
    older[0] = Line::Export { version: 1, installation: log.installation, at: at(1) };
    *older.last_mut().unwrap() = Line::End { heads: 1, entries: 9 };
    let mut verifier = Verifier::new([log.signer.public().clone()]);
    for head in &log.heads {
        verifier.head(head);
    }
    for line in older {
        verifier.line(line);
    }
    let report = verifier.finish();
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.later_heads, report.certain_entries), (1, 7));
}

#[test]
fn keys_survive_their_files() {
    let signer = Signer::generate().unwrap();
    let again = Signer::from_pem(&signer.to_pem().unwrap()).unwrap();
    assert_eq!(signer.public(), again.public());
    let two = format!("{}\n{}", signer.public().to_pem(), Signer::generate().unwrap().public().to_pem());
    let read = PublicKey::all_from_pem(&two).unwrap();
    assert_eq!((read.len(), &read[0]), (2, signer.public()));
    assert!(Signer::from_pem("nonsense").is_err() && PublicKey::all_from_pem("").is_err());
}
