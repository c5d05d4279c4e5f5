//! One unit of work: a write transaction, the environment it has locked, who acts and when.
//!
//! Audit entries, events and the answer under a request's key go through here, so that no change can be made without
//! them. Nothing is visible before [`Work::commit`]; a dropped unit has never happened.

use crate::error::{ManagerError, Result};
use crate::{KeptAnswer, Manager, Principal, audit};
use jiff::Timestamp;
use serde_json::Value;
use tenantry_engine::Run;
use tenantry_failpoints::Point;
use tenantry_model::{Environment, EnvironmentId, OperationId};
use tenantry_store::{EventRecord, Signal, StoreError, Write};

pub(crate) struct Work<'m> {
    pub(crate) manager: &'m Manager,
    pub(crate) tx: Box<dyn Write + 'm>,
    pub(crate) who: &'m Principal,
    pub(crate) now: Timestamp,
    environment: Option<Locked>,
    /// What the first audit entry is about.
    pub(crate) target: Option<String>,
    /// Operations as they are once this unit is committed.
    pub(crate) runs: Vec<Run>,
    /// A schedule has another next time, or a run is due: the loop that fires looks again after the commit.
    pub(crate) wakes_schedules: bool,
    /// Its answer is kept as if it were given then, if that is later than now.
    pub(crate) kept_from: Option<Timestamp>,
}

/// Commits a transaction. The only place that does, so that none is without a failpoint.
pub(crate) async fn commit(tx: Box<dyn Write + '_>, name: Point) -> std::result::Result<(), StoreError> {
    tx.commit().await?;
    name.reached();
    Ok(())
}

struct Locked {
    row: Environment,
    raised: bool,
}

/// What goes into the audit log about one change.
pub(crate) struct Note<'a> {
    pub(crate) action: &'a str,
    pub(crate) target: String,
    pub(crate) reason: Option<&'a str>,
    pub(crate) before: Value,
    pub(crate) after: Value,
}

impl Manager {
    /// A unit that nobody else writes beside.
    pub(crate) async fn begin<'m>(&'m self, who: &'m Principal) -> Result<Work<'m>> {
        self.unit(self.store.write().await?, who).await
    }

    /// A unit about one environment, which it locks before it looks at what it changes, or about commands, timers,
    /// leases and kept answers ([`tenantry_store::Store::write_one`]): others go on beside it.
    pub(crate) async fn begin_one<'m>(&'m self, who: &'m Principal) -> Result<Work<'m>> {
        self.unit(self.store.write_one().await?, who).await
    }

    async fn unit<'m>(&'m self, mut tx: Box<dyn Write + 'm>, who: &'m Principal) -> Result<Work<'m>> {
        if let Some(fence) = &who.fence {
            tx.check_lease(fence).await?;
        }
        Ok(Work {
            manager: self,
            tx,
            who,
            now: self.now(),
            environment: None,
            target: None,
            runs: Vec::new(),
            wakes_schedules: false,
            kept_from: None,
        })
    }
}

impl Work<'_> {
    /// Locks the environment that this unit is about; a unit is about one at most.
    pub(crate) async fn lock(&mut self, id: EnvironmentId) -> Result<()> {
        if self.environment.as_ref().is_some_and(|locked| locked.row.id == id) {
            return Ok(());
        }
        let row =
            self.tx.lock_environment(id).await?.ok_or_else(|| ManagerError::not_found("environment", id))?;
        self.environment = Some(Locked { row, raised: false });
        Ok(())
    }

    /// Locks the environment of an operation.
    pub(crate) async fn lock_of(&mut self, id: OperationId) -> Result<EnvironmentId> {
        let unknown = || ManagerError::not_found("operation", id);
        if self.environment.is_some() {
            let operation = self.tx.operation(id).await?.ok_or_else(unknown)?;
            self.lock(operation.environment).await?;
            return Ok(operation.environment);
        }
        let row = self.tx.lock_environment_of(id).await?.ok_or_else(unknown)?;
        let environment = row.id;
        self.environment = Some(Locked { row, raised: false });
        Ok(environment)
    }

    /// A new environment: nobody else can know it yet, so that it counts as locked.
    pub(crate) async fn insert(&mut self, row: Environment) -> Result<()> {
        self.tx.put_environment(&row).await?;
        self.environment = Some(Locked { row, raised: true });
        Ok(())
    }

    pub(crate) fn environment(&self) -> Result<&Environment> {
        self.environment
            .as_ref()
            .map(|locked| &locked.row)
            .ok_or_else(|| ManagerError::Internal("no environment is locked".to_owned()))
    }

    /// Stores new contents of the locked environment; its version is raised once per unit.
    pub(crate) async fn put_environment(&mut self, mut row: Environment) -> Result<()> {
        let raised = self.environment.as_ref().is_some_and(|locked| locked.raised);
        row.version = self.environment()?.version + u64::from(!raised);
        self.tx.put_environment(&row).await?;
        self.environment = Some(Locked { row, raised: true });
        Ok(())
    }

    /// Raises the environment's version, once per unit: events of one transaction share one version.
    async fn raise(&mut self) -> Result<u64> {
        let Some(locked) = &mut self.environment else { return Ok(0) };
        if !locked.raised {
            locked.row.version = self.tx.raise_version(&locked.row).await?;
            locked.raised = true;
        }
        Ok(locked.row.version)
    }

    /// Puts an event about the locked environment into the outbox.
    pub(crate) async fn event(
        &mut self,
        kind: &str,
        operation: Option<OperationId>,
        data: Value,
    ) -> Result<()> {
        let version = self.raise().await?;
        let environment = self.environment.as_ref().map(|locked| locked.row.id);
        self.append(kind, environment, version, operation, data).await
    }

    /// Puts an event about something that belongs to no environment into the outbox.
    pub(crate) async fn common_event(&mut self, kind: &str, data: Value) -> Result<()> {
        self.append(kind, None, 0, None, data).await
    }

    async fn append(
        &mut self,
        kind: &str,
        environment: Option<EnvironmentId>,
        version: u64,
        operation: Option<OperationId>,
        data: Value,
    ) -> Result<()> {
        let record = EventRecord {
            position: 0,
            kind: kind.to_owned(),
            environment,
            version,
            operation,
            at: self.now,
            data,
        };
        self.tx.append_event(&record).await?;
        Ok(())
    }

    /// Appends to the chain of the locked environment, or to the one of what belongs to none.
    pub(crate) async fn audit(&mut self, note: Note<'_>) -> Result<()> {
        let environment = self.environment.as_ref().map(|locked| locked.row.id);
        self.target.get_or_insert_with(|| note.target.clone());
        let head = self.tx.audit_head(environment).await?;
        let entry = audit::entry(head.as_ref(), environment, self.now, self.who, note);
        self.tx.append_audit(&entry).await?;
        Ok(())
    }

    /// Makes the unit visible and durable, with what its request is answered, now and whenever it comes again.
    pub(crate) async fn answer(mut self, answer: KeptAnswer, name: Point) -> Result<()> {
        self.claim(&answer).await?;
        self.target = None;
        self.commit(name).await
    }

    /// Nothing had to be changed: only the answer is kept.
    pub(crate) async fn unchanged(self, answer: KeptAnswer) -> Result<()> {
        self.answer(answer, Point::NothingToChange).await
    }

    /// Makes the unit visible and durable at once. A change that nobody gave an answer to claims its request's key all
    /// the same. When the caller only wants to know whether it could be done, this was all: the unit is dropped. The
    /// failpoint is the unit's name: what was done.
    pub(crate) async fn commit(mut self, name: Point) -> Result<()> {
        if self.who.only_checks {
            return Ok(());
        }
        if let Some(target) = self.target.take() {
            self.claim(&KeptAnswer::Secret { target }).await?;
        }
        commit(self.tx, name).await?;
        for run in self.runs {
            self.manager.runs.keep(run);
        }
        if self.wakes_schedules {
            self.manager.store.tell(Signal::Schedules);
        }
        Ok(())
    }
}
