//! Consistency of everything that is stored: rows against rows, chains against heads, logs against attempts.
//!
//! Reads only, in pages, each a transaction of its own, so that it runs beside the work; what belongs together is
//! read together, so that work that goes on is never taken for a fault. It must never repair: it names a way out.

mod audit;
mod environments;
mod letters;
mod logs;
mod operations;
mod regions;
mod rules;
mod schedules;
mod steering;

use crate::{Manager, ManagerError, outbox};
use schedules::Fired;
use std::collections::BTreeMap;
use tenantry_api_types::v1::{CheckLine, Finding, Severity};
use tenantry_model::{EnvironmentId, ScheduleId, with_causes};
use tenantry_store::{EventFilter, StoreError};
use tokio::sync::mpsc::Sender;

/// How to check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Read every log segment and the whole database file too.
    pub deep: bool,
}

/// Things between two lines of progress.
const PROGRESS: u64 = 500;
/// Events that are read at a time.
const EVENTS: u32 = 1000;

/// Why a section ends early.
enum Stop {
    /// Nobody reads the answer any more.
    Gone,
    /// The section's rows cannot be read.
    Failed(ManagerError),
}

impl<E: Into<ManagerError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

type Checked<T = ()> = std::result::Result<T, Stop>;

struct Checker<'m> {
    manager: &'m Manager,
    lines: Sender<CheckLine>,
    section: &'static str,
    checked: BTreeMap<String, u64>,
    errors: u64,
    warnings: u64,
    /// The newest firing of each schedule, from its event.
    fired: BTreeMap<ScheduleId, Fired>,
}

impl Manager {
    /// Checks everything; each finding is a line, the last line says how many there were. Ends early when nobody
    /// receives the lines any more.
    pub async fn check(&self, options: CheckOptions, lines: Sender<CheckLine>) {
        let mut checker = Checker {
            manager: self,
            lines,
            section: "",
            checked: BTreeMap::new(),
            errors: 0,
            warnings: 0,
            fired: BTreeMap::new(),
        };
        // Whoever asked has gone away: there is nobody to tell.
        let _ = checker.all(options).await;
    }
}

impl Checker<'_> {
    async fn all(&mut self, options: CheckOptions) -> std::result::Result<(), Stop> {
        if options.deep {
            let done = self.database().await;
            self.settle(done).await?;
        }
        let done = self.environments().await;
        self.settle(done).await?;
        let done = self.operations().await;
        self.settle(done).await?;
        let done = self.commands().await;
        self.settle(done).await?;
        let done = self.attentions().await;
        self.settle(done).await?;
        let done = self.letters().await;
        self.settle(done).await?;
        let done = self.steering().await;
        self.settle(done).await?;
        let done = self.events().await;
        self.settle(done).await?;
        // After the events, which say what has fired.
        let done = self.schedules().await;
        self.settle(done).await?;
        let done = self.audit().await;
        self.settle(done).await?;
        let done = self.logs(options.deep).await;
        self.settle(done).await?;
        let (errors, warnings) = (self.errors, self.warnings);
        let checked = std::mem::take(&mut self.checked);
        self.line(CheckLine::End { errors, warnings, checked }).await
    }

    /// A section whose rows cannot be read is a finding; the others are looked at all the same.
    async fn settle(&mut self, done: Checked) -> Checked {
        let error = match done {
            Ok(()) => return Ok(()),
            Err(Stop::Gone) => return Err(Stop::Gone),
            Err(Stop::Failed(error)) => error,
        };
        let row = match &error {
            ManagerError::Store(StoreError::Damaged { table, key, .. }) => format!("{table} {key}"),
            _ => self.section.to_owned(),
        };
        let message = with_causes(&error);
        let remedy = "stop the manager and put a backup in the data folder's place; look at the disk and the \
                      kernel's log before; if the row alone is damaged, keep a copy of the folder for analysis";
        self.error("unreadable", row, message, remedy).await
    }

    fn begin(&mut self, section: &'static str) {
        self.section = section;
        self.checked.insert(section.to_owned(), 0);
    }

    /// One more thing was looked at.
    async fn count(&mut self) -> Checked {
        let done = self.checked.entry(self.section.to_owned()).or_default();
        *done += 1;
        if done.is_multiple_of(PROGRESS) {
            let line = CheckLine::Progress { section: self.section.to_owned(), done: *done };
            return self.line(line).await;
        }
        Ok(())
    }

    async fn error(&mut self, check: &str, row: String, message: String, remedy: &str) -> Checked {
        self.errors += 1;
        self.find(Severity::Error, check, row, message, remedy).await
    }

    async fn warning(&mut self, check: &str, row: String, message: String, remedy: &str) -> Checked {
        self.warnings += 1;
        self.find(Severity::Warning, check, row, message, remedy).await
    }

    async fn find(
        &mut self,
        severity: Severity,
        check: &str,
        row: String,
        message: String,
        remedy: &str,
    ) -> Checked {
        let remedy = remedy.to_owned();
        self.line(CheckLine::Finding(Finding { severity, check: check.to_owned(), row, message, remedy }))
            .await
    }

    async fn line(&mut self, line: CheckLine) -> Checked {
        self.lines.send(line).await.map_err(|_| Stop::Gone)
    }

    /// The medium's own judgement.
    async fn database(&mut self) -> Checked {
        self.begin("database");
        for fault in self.manager.store.integrity().await? {
            let remedy = "stop the manager and put a backup in the data folder's place; look at the disk";
            self.error("database", "database".to_owned(), fault, remedy).await?;
        }
        self.count().await
    }

    /// Positions grow, and versions of an environment never fall.
    async fn events(&mut self) -> Checked {
        self.begin("events");
        let mut versions: BTreeMap<EnvironmentId, u64> = BTreeMap::new();
        let mut after = 0;
        loop {
            let mut read = self.manager.store.read().await?;
            let events = read.events(&EventFilter::default(), after, EVENTS).await?;
            let Some(last) = events.last() else { return Ok(()) };
            let newest = last.position;
            let mut present: BTreeMap<EnvironmentId, Option<u64>> = BTreeMap::new();
            for event in events {
                self.count().await?;
                let row = format!("event {}", event.position);
                if event.position <= after {
                    let message = format!("its position does not follow {after}");
                    self.error("event-order", row.clone(), message, RESTORE).await?;
                }
                after = event.position;
                if event.kind == outbox::SCHEDULE_FIRED {
                    self.fired.extend(Fired::of(&event));
                }
                let Some(id) = event.environment else { continue };
                let before = versions.insert(id, event.version).unwrap_or_default();
                if event.version < before {
                    let message =
                        format!("version {} of environment {id} comes after version {before}", event.version);
                    self.error("event-version", row.clone(), message, RESTORE).await?;
                }
                if let std::collections::btree_map::Entry::Vacant(entry) = present.entry(id) {
                    entry.insert(read.environment(id).await?.map(|row| row.version));
                }
                match present.get(&id).copied().flatten() {
                    None => {
                        let message = format!("its environment {id} does not exist");
                        self.error("event-version", row, message, RESTORE).await?;
                    }
                    Some(now) if now < event.version => {
                        let message = format!(
                            "it carries version {} of environment {id}, which is at {now}",
                            event.version
                        );
                        self.error("event-version", row, message, RESTORE).await?;
                    }
                    Some(_) => {}
                }
            }
            after = newest;
        }
    }
}

/// The way out when rows contradict each other and no verb repairs it.
const RESTORE: &str = "rows were changed by other means, or this is a defect: keep a copy of the data folder, report \
                       it, and restore a backup if work is blocked by it";
