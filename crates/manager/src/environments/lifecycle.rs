//! The lifecycle methods: each is an operation with preconditions of its own.

use super::change::{UPSERT, wish};
use super::{Lifecycle, LifecycleOptions};
use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::runner::{BACKUP_PARAMETER, RETENTION_PARAMETER};
use crate::tenants::check_revision;
use crate::work::Work;
use crate::{Manager, OperationAnswer, Principal};
use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use tenantry_failpoints::Point;
use tenantry_model::{EnvironmentId, EnvironmentState, Operation, OperationId, OperationState, Page};
use tenantry_store::OperationFilter;

const SUSPEND: &str = "lifecycle.suspend";
const RESUME: &str = "lifecycle.resume";
const BACKUP: &str = "lifecycle.backup";
const RESTORE: &str = "lifecycle.restore";
const DECOMMISSION: &str = "lifecycle.decommission";

impl Manager {
    /// Suspend, resume, backup, restore, decommission, undelete, reconcile.
    pub async fn lifecycle(
        &self,
        who: &Principal,
        id: EnvironmentId,
        what: Lifecycle,
        options: LifecycleOptions,
    ) -> Result<OperationAnswer> {
        repeating(|| async {
            let options = options.clone();
            let mut work = self.begin_one(who).await?;
            work.lock(id).await?;
            let revision = work.environment()?.revision;
            check_revision(|| format!("environment {id}"), revision, options.expected_revision)?;
            let mut parameters = Map::new();
            let name = match what {
                Lifecycle::Reconcile => {
                    work.not_decommissioned("reconcile")?;
                    UPSERT
                }
                Lifecycle::Undelete => {
                    work.can_be_undeleted()?;
                    UPSERT
                }
                Lifecycle::Suspend => SUSPEND,
                Lifecycle::Resume => RESUME,
                Lifecycle::Backup => BACKUP,
                Lifecycle::Restore { backup } => {
                    let backup = work.backup(backup).await?;
                    parameters.insert(BACKUP_PARAMETER.to_owned(), json!(backup));
                    RESTORE
                }
                Lifecycle::Decommission { retention } => {
                    let retention = self.retention(retention)?;
                    parameters.insert(RETENTION_PARAMETER.to_owned(), Value::String(retention.to_string()));
                    DECOMMISSION
                }
            };
            let mut wish = wish(name, parameters, options.reason)?;
            wish.on_conflict = options.on_conflict;
            let answer = work.ask(wish, options.validate_only).await?;
            work.accept(&answer, Point::LifecycleRequest).await?;
            Ok(answer)
        })
        .await
    }

    fn retention(&self, asked: Option<SignedDuration>) -> Result<SignedDuration> {
        let limit = self.config.max_retention;
        let retention = asked.unwrap_or(self.config.default_retention);
        if retention.is_negative() || retention > limit {
            return Err(ManagerError::field("/retention", format!("must be between 0 and {limit:#}")));
        }
        Ok(retention)
    }
}

impl Work<'_> {
    fn not_decommissioned(&self, what: &str) -> Result<()> {
        let environment = self.environment()?;
        if environment.state != EnvironmentState::Decommissioned {
            return Ok(());
        }
        Err(ManagerError::EnvironmentState {
            what: what.to_owned(),
            environment: environment.id.to_string(),
            state: environment.state,
            hint: "; undelete it first".to_owned(),
        })
    }

    fn can_be_undeleted(&self) -> Result<()> {
        let environment = self.environment()?;
        let hint = match (environment.state, &environment.retention) {
            (EnvironmentState::Decommissioned, Some(retention)) if retention.until > self.now => {
                return Ok(());
            }
            (EnvironmentState::Decommissioned, Some(retention)) => {
                format!("; its retention ended at {}", retention.until)
            }
            (EnvironmentState::Purged, _) => "; what is purged cannot be brought back".to_owned(),
            _ => "; only a decommissioned environment can be undeleted".to_owned(),
        };
        Err(ManagerError::EnvironmentState {
            what: "undelete".to_owned(),
            environment: environment.id.to_string(),
            state: environment.state,
            hint,
        })
    }

    /// The backup that a restore reads: the one named, or the newest that succeeded.
    async fn backup(&mut self, named: Option<OperationId>) -> Result<OperationId> {
        let environment = self.environment()?.id;
        let Some(id) = named else {
            let filter = OperationFilter {
                environment: Some(environment),
                name: Some(BACKUP.parse()?),
                state: Some(OperationState::Succeeded),
                ..OperationFilter::default()
            };
            let newest = self.tx.operations(&filter, &Page { after: None, limit: 1 }).await?;
            let newest = newest.items.first().map(|operation| operation.id);
            return newest.ok_or_else(|| {
                ManagerError::Backup(format!("environment {environment} has no backup that succeeded"))
            });
        };
        let usable = |operation: &Operation| {
            operation.environment == environment
                && operation.name.as_str() == BACKUP
                && operation.state == OperationState::Succeeded
        };
        match self.tx.operation(id).await? {
            Some(operation) if usable(&operation) => Ok(id),
            _ => Err(ManagerError::Backup(format!(
                "operation {id} is no backup of environment {environment} that succeeded"
            ))),
        }
    }
}
