//! Making and changing environments. The upsert that brings a change about is part of the same transaction: there
//! is no moment at which a wish is stored that nobody carries out.

use super::check::{check_aliases, check_labels};
use super::{ChangeOptions, EnvironmentAnswer, EnvironmentChange, NewEnvironment};
use crate::error::{ManagerError, Result};
use crate::operations::Wish;
use crate::repeat::repeating;
use crate::tenants::check_revision;
use crate::work::{Note, Work};
use crate::{KeptAnswer, Manager, OperationAnswer, Principal, outbox};
use serde_json::{Map, Value, json};
use tenantry_failpoints::Point;
use tenantry_hook::generation_document;
use tenantry_model::{Environment, EnvironmentId, EnvironmentState, OperationName, RegionName, differences};
use uuid::Uuid;

/// The operation that brings an environment to its wanted generation.
pub(super) const UPSERT: &str = "lifecycle.upsert";

impl Manager {
    /// Makes an environment and requests its first upsert.
    pub async fn create_environment(
        &self,
        who: &Principal,
        new: NewEnvironment,
        options: ChangeOptions,
    ) -> Result<EnvironmentAnswer> {
        check_labels(&new.labels, &self.config)?;
        check_aliases(&new.aliases, &self.config)?;
        repeating(|| async {
            let (new, options) = (new.clone(), options.clone());
            let mut work = self.begin(who).await?;
            work.check_spec(&new.spec).await?;
            if work.tx.tenant(&new.tenant).await?.is_none() {
                return Err(ManagerError::not_found("tenant", &new.tenant));
            }
            work.check_region(&new.region).await?;
            let id = new.id.unwrap_or_else(|| EnvironmentId(Uuid::now_v7()));
            if work.tx.environment(id).await?.is_some() {
                return Err(ManagerError::Exists(format!("environment {id}")));
            }
            let environment = Environment {
                id,
                tenant: new.tenant,
                name: new.name,
                aliases: new.aliases,
                labels: new.labels,
                region: new.region,
                spec: new.spec,
                state: EnvironmentState::Provisioning,
                generation: 1,
                revision: 1,
                version: 1,
                retention: None,
                created_at: work.now,
                updated_at: work.now,
            };
            work.insert(environment.clone()).await?;
            work.tx.put_generation(id, 1, &generation_document(&environment)).await?;
            let after = outbox::environment(&environment);
            work.event(outbox::ENVIRONMENT_CHANGED, None, after.clone()).await?;
            let target = format!("environments/{id}");
            let reason = options.reason.as_deref();
            let note = Note { action: "environment.create", target, reason, before: Value::Null, after };
            work.audit(note).await?;
            work.reconcile_and_commit(options, Point::EnvironmentCreate).await
        })
        .await
    }

    /// Changes what is wished. The generation is raised only by a real difference.
    pub async fn update_environment(
        &self,
        who: &Principal,
        id: EnvironmentId,
        change: EnvironmentChange,
        options: ChangeOptions,
    ) -> Result<EnvironmentAnswer> {
        repeating(|| async {
            let (change, options) = (change.clone(), options.clone());
            let mut work = self.begin_one(who).await?;
            work.lock(id).await?;
            let before = work.environment()?.clone();
            check_revision(|| format!("environment {id}"), before.revision, options.expected_revision)?;
            let hint = match before.state {
                EnvironmentState::Provisioning | EnvironmentState::Active | EnvironmentState::Suspended => {
                    None
                }
                EnvironmentState::Decommissioned => Some("; undelete it first"),
                EnvironmentState::Purged => Some("; its name is free for a new one"),
                EnvironmentState::Migrating => Some(""),
            };
            if let Some(hint) = hint {
                return Err(ManagerError::EnvironmentState {
                    what: "an update".to_owned(),
                    environment: id.to_string(),
                    state: before.state,
                    hint: hint.to_owned(),
                });
            }
            let mut after = before.clone();
            if let Some(labels) = change.labels {
                check_labels(&labels, &self.config)?;
                after.labels = labels;
            }
            if let Some(aliases) = change.aliases {
                check_aliases(&aliases, &self.config)?;
                after.aliases = aliases;
            }
            if let Some(spec) = change.spec {
                work.check_spec(&spec).await?;
                after.spec = spec;
            }
            if let Some(region) = change.region.filter(|region| *region != before.region) {
                work.check_region(&region).await?;
                if !work.tx.applied(id).await?.is_empty() {
                    return Err(ManagerError::RegionFixed(id.to_string()));
                }
                after.region = region;
            }
            if after == before {
                let environment = Box::new(before.clone());
                work.unchanged(KeptAnswer::Accepted { environment, operation: None }).await?;
                return Ok(EnvironmentAnswer { environment: before, operation: None });
            }
            work.store_change(&before, after, options.reason.as_deref()).await?;
            work.reconcile_and_commit(options, Point::EnvironmentUpdate).await
        })
        .await
    }
}

impl Work<'_> {
    async fn check_region(&mut self, region: &RegionName) -> Result<()> {
        match self.tx.region(region).await? {
            Some(_) => Ok(()),
            None => Err(ManagerError::not_found("region", region)),
        }
    }

    async fn store_change(
        &mut self,
        before: &Environment,
        mut after: Environment,
        reason: Option<&str>,
    ) -> Result<()> {
        after.generation += 1;
        after.revision += 1;
        after.updated_at = self.now;
        let (old, new) = (generation_document(before), generation_document(&after));
        let changes = differences(&old, &new);
        self.tx.put_generation(after.id, after.generation, &new).await?;
        let data = outbox::environment(&after);
        let note = Note {
            action: "environment.update",
            target: format!("environments/{}", after.id),
            reason,
            before: json!({ "generation": before.generation, "aliases": before.aliases }),
            after: json!({ "generation": after.generation, "aliases": after.aliases, "changes": changes }),
        };
        self.put_environment(after).await?;
        self.event(outbox::ENVIRONMENT_CHANGED, None, data).await?;
        self.audit(note).await
    }

    /// Requests the upsert. With `validate_only` everything was checked against the store's own rules, and this unit
    /// is dropped.
    async fn reconcile_and_commit(
        mut self,
        options: ChangeOptions,
        point: Point,
    ) -> Result<EnvironmentAnswer> {
        let operation = if options.reconcile {
            Some(self.ask(upsert(options.reason)?, options.validate_only).await?)
        } else {
            None
        };
        let environment = self.environment()?.clone();
        if !options.validate_only {
            let requested = match &operation {
                Some(OperationAnswer::Requested(operation)) => Some(operation.clone()),
                _ => None,
            };
            let kept = Box::new(environment.clone());
            self.answer(KeptAnswer::Accepted { environment: kept, operation: requested }, point).await?;
        }
        Ok(EnvironmentAnswer { environment, operation })
    }
}

pub(super) fn upsert(reason: Option<String>) -> Result<Wish> {
    wish(UPSERT, Map::new(), reason)
}

pub(super) fn wish(name: &str, parameters: Map<String, Value>, reason: Option<String>) -> Result<Wish> {
    let name: OperationName = name.parse()?;
    Ok(Wish { name, parameters, reason, on_conflict: None, scheduled_time: None, cause: None })
}
