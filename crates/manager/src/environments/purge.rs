//! Purge: the end of an environment, after which its name and aliases are free and nothing brings it back.
//!
//! One transaction about rows of tenantry's own: no hook runs, nothing outside is touched. So a crash leaves it either
//! not purged or purged, and there is nothing to be cleaned up after it.

use crate::definitions::{PURGED_AFTER, meaning};
use crate::error::{ManagerError, Result};
use crate::operations::check_reason;
use crate::repeat::repeating;
use crate::runner::WRITES_BACKUP;
use crate::tenants::check_revision;
use crate::work::{Note, Work};
use crate::{KeptAnswer, Manager, Principal, outbox};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_failpoints::Point;
use tenantry_model::{
    Alias, Approval, ApprovalTarget, Environment, EnvironmentId, EnvironmentName, EnvironmentSpec,
    EnvironmentState, GuardedVerb, HookRef, OperationId, OperationState, Page, ScheduleName, ScheduleTarget,
    Scope,
};
use tenantry_store::{AttentionFilter, OperationFilter};

/// The verb, as approvals and the setting `four-eyes` name it.
pub const PURGE: &str = "purge";
/// Most backups that an answer names.
const MOST_BACKUPS: u32 = 1000;

/// A wish to purge an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeWish {
    /// The environment's own name, typed again.
    pub name: EnvironmentName,
    /// Although it could still be undeleted.
    pub before_retention_ends: bool,
    /// Why.
    pub reason: String,
    /// The revision that the caller saw.
    pub expected_revision: Option<u64>,
    /// Say what would go, change nothing.
    pub validate_only: bool,
}

/// Answer to it.
#[derive(Clone, Debug, PartialEq)]
pub enum PurgeAnswer {
    /// It is purged.
    Done(Box<Purged>),
    /// `validate_only`: what would go.
    Preview(Box<Purged>),
    /// It waits for a second person.
    Pending(Box<Approval>),
}

/// What went, or would go, and what of the environment's is left to others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Purged {
    /// What is left of it.
    pub environment: Environment,
    /// Aliases that others may have now.
    pub aliases: BTreeSet<Alias>,
    /// How many generations of its wish were forgotten.
    pub generations: u64,
    /// The hooks whose applied generations were forgotten.
    pub hooks: Vec<HookRef>,
    /// Schedules for this environment alone; they were deleted.
    pub schedules: Vec<ScheduleName>,
    /// How many things do not wait for a person any more.
    pub attentions: u64,
    /// Its backups that succeeded, the newest first: what they wrote is where the hooks wrote it.
    pub backups: Vec<OperationId>,
}

/// Why an environment cannot be purged, or not yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PurgeRefusal {
    /// Another name was typed.
    #[error("environment {environment} is named {expected}, and {stated} was typed: is it the right one?")]
    OtherName {
        /// Which environment.
        environment: String,
        /// Its name.
        expected: EnvironmentName,
        /// As typed.
        stated: EnvironmentName,
    },
    /// It can still be undeleted.
    #[error(
        "environment {environment} can be undeleted until {until:.0}; wait for that, or say that it is to go before \
         (beforeRetentionEnds; --now)"
    )]
    Retained {
        /// Which environment.
        environment: String,
        /// The end of its retention.
        until: Timestamp,
    },
    /// Work goes on.
    #[error(
        "environment {environment} has {} unfinished operation(s): wait for their end or cancel them: {}",
        .operations.len(),
        .operations.iter().take(10).map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    Unfinished {
        /// Which environment.
        environment: String,
        /// The operations.
        operations: Vec<OperationId>,
    },
}

impl PurgeRefusal {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherName { .. } => "purge-other-name",
            Self::Retained { .. } => "purge-too-early",
            Self::Unfinished { .. } => "purge-unfinished",
        }
    }
}

impl Manager {
    /// Purges a decommissioned environment whose retention has ended, or asks for the second person who does.
    ///
    /// # Errors
    /// `Purge` for another name, within the retention and while operations are unfinished, `EnvironmentState` for one
    /// that is not decommissioned.
    pub async fn purge_environment(
        &self,
        who: &Principal,
        id: EnvironmentId,
        wish: PurgeWish,
    ) -> Result<PurgeAnswer> {
        if wish.reason.trim().is_empty() {
            return Err(ManagerError::field("/reason", "a purge needs a reason"));
        }
        check_reason(Some(&wish.reason))?;
        repeating(|| self.purge_once(who, id, &wish)).await
    }

    async fn purge_once(&self, who: &Principal, id: EnvironmentId, wish: &PurgeWish) -> Result<PurgeAnswer> {
        let mut work = self.begin_one(who).await?;
        work.lock(id).await?;
        let environment = work.environment()?;
        if environment.name != wish.name {
            let (expected, stated) = (environment.name.clone(), wish.name.clone());
            return Err(PurgeRefusal::OtherName { environment: path(environment), expected, stated }.into());
        }
        let revision = environment.revision;
        check_revision(|| format!("environment {id}"), revision, wish.expected_revision)?;
        work.can_be_purged(wish.before_retention_ends).await?;
        if wish.validate_only {
            let purged = work.purge(wish.before_retention_ends, &wish.reason, None).await?;
            return Ok(PurgeAnswer::Preview(Box::new(purged)));
        }
        if work.purge_needs_two().await? {
            let target = ApprovalTarget::Environment {
                environment_revision: revision,
                before_retention_ends: wish.before_retention_ends,
            };
            let approval = work
                .ask_second_person(target, PURGE, BTreeMap::new(), None, Some(wish.reason.clone()))
                .await?;
            let approval = Box::new(approval);
            work.answer(KeptAnswer::Waits(approval.clone()), Point::PurgeAsk).await?;
            return Ok(PurgeAnswer::Pending(approval));
        }
        let purged = Box::new(work.purge(wish.before_retention_ends, &wish.reason, None).await?);
        work.answer(KeptAnswer::Purged(purged.clone()), Point::EnvironmentPurge).await?;
        Ok(PurgeAnswer::Done(purged))
    }
}

impl Work<'_> {
    /// Carries out what the first person asked for, if the environment is as that person saw it.
    pub(crate) async fn purge_approved(
        &mut self,
        seen: u64,
        before_retention_ends: bool,
        reason: &str,
        approval: Value,
    ) -> Result<Purged> {
        let environment = self.environment()?;
        let (id, present) = (environment.id, environment.revision);
        check_revision(|| format!("environment {id}"), present, Some(seen))?;
        self.can_be_purged(before_retention_ends).await?;
        self.purge(before_retention_ends, reason, Some(approval)).await
    }

    /// The installation's setting, or the present definition of what a purge finishes.
    async fn purge_needs_two(&mut self) -> Result<bool> {
        if self.manager.config.purge_four_eyes {
            return Ok(true);
        }
        let found = meaning(&mut *self.tx, &PURGED_AFTER.parse()?).await?;
        Ok(found.is_some_and(|definition| definition.four_eyes.contains(&GuardedVerb::Purge)))
    }

    async fn can_be_purged(&mut self, before_retention_ends: bool) -> Result<()> {
        let environment = self.environment()?.clone();
        let hint = match environment.state {
            EnvironmentState::Decommissioned => None,
            EnvironmentState::Purged => Some("; nothing is left to purge"),
            _ => Some("; decommission it first"),
        };
        if let Some(hint) = hint {
            return Err(ManagerError::EnvironmentState {
                what: PURGE.to_owned(),
                environment: environment.id.to_string(),
                state: environment.state,
                hint: hint.to_owned(),
            });
        }
        let until = environment.retention.as_ref().map(|retention| retention.until);
        if let Some(until) = until.filter(|until| *until > self.now && !before_retention_ends) {
            return Err(PurgeRefusal::Retained { environment: path(&environment), until }.into());
        }
        let unfinished = self.tx.unfinished(environment.id).await?;
        if unfinished.is_empty() {
            return Ok(());
        }
        let operations = unfinished.into_iter().map(|operation| operation.id).collect();
        Err(PurgeRefusal::Unfinished { environment: path(&environment), operations }.into())
    }

    /// Makes the locked environment a tombstone. Everything was checked.
    async fn purge(&mut self, early: bool, reason: &str, approval: Option<Value>) -> Result<Purged> {
        let before = self.environment()?.clone();
        let id = before.id;
        let hooks: Vec<HookRef> = self.tx.applied(id).await?.into_iter().map(|row| row.hook).collect();
        let backups = self.backups(id).await?;
        let schedules = self.schedules_of(id).await?;
        let attentions = self.attentions_of(&before).await?;
        let after = Environment {
            aliases: BTreeSet::new(),
            labels: BTreeMap::new(),
            spec: EnvironmentSpec::default(),
            state: EnvironmentState::Purged,
            retention: None,
            revision: before.revision + 1,
            updated_at: self.now,
            ..before.clone()
        };
        self.tx.forget_environment(id).await?;
        self.put_environment(after.clone()).await?;
        let shown = outbox::environment(&after);
        self.event(outbox::ENVIRONMENT_CHANGED, None, shown.clone()).await?;
        let names: Vec<&ScheduleName> = schedules.iter().map(|schedule| &schedule.name).collect();
        let mut told = json!({
            "environment": shown,
            "generations": before.generation,
            "hooks": hooks,
            "schedules": names,
            "beforeRetentionEnds": early,
        });
        if let (Some(approval), Some(members)) = (approval, told.as_object_mut()) {
            members.insert("approval".to_owned(), approval);
        }
        self.audit(Note {
            action: "environment.purge",
            target: format!("environments/{id}"),
            reason: Some(reason),
            before: outbox::environment(&before),
            after: told,
        })
        .await?;
        let mut gone = Vec::new();
        for schedule in schedules {
            self.remove_schedule(&schedule, Some("its environment is purged")).await?;
            gone.push(schedule.name);
        }
        for key in &attentions {
            self.settle_attention(key).await?;
        }
        Ok(Purged {
            // With the version that the events of this unit carry.
            environment: self.environment()?.clone(),
            aliases: before.aliases,
            generations: before.generation,
            hooks,
            schedules: gone,
            attentions: attentions.len() as u64,
            backups,
        })
    }

    async fn backups(&mut self, id: EnvironmentId) -> Result<Vec<OperationId>> {
        let filter = OperationFilter {
            environment: Some(id),
            name: Some(WRITES_BACKUP.parse()?),
            state: Some(OperationState::Succeeded),
            ..OperationFilter::default()
        };
        let page = Page { after: None, limit: MOST_BACKUPS };
        Ok(self.tx.operations(&filter, &page).await?.items.into_iter().map(|row| row.id).collect())
    }

    /// Those for this environment alone; one that selects environments goes on without it.
    async fn schedules_of(&mut self, id: EnvironmentId) -> Result<Vec<tenantry_model::Schedule>> {
        let mut found = Vec::new();
        for schedule in self.tx.schedules().await? {
            if schedule.target == ScheduleTarget::Environment(id) {
                found.extend(self.tx.lock_schedule(schedule.id).await?);
            }
        }
        Ok(found)
    }

    /// Keys of what waits for a person about it.
    async fn attentions_of(&mut self, environment: &Environment) -> Result<Vec<String>> {
        let scopes = Some(vec![Scope::Tenant(environment.tenant.clone())]);
        let filter = AttentionFilter { scopes, ..AttentionFilter::default() };
        let mut page = Page { after: None, limit: 1000 };
        let mut keys = Vec::new();
        loop {
            let part = self.tx.attentions(&filter, &page).await?;
            let own = part.items.into_iter().filter(|row| row.environment == Some(environment.id));
            keys.extend(own.map(|row| row.key));
            match part.next {
                Some(next) => page.after = Some(next),
                None => return Ok(keys),
            }
        }
    }
}

/// As people name it.
fn path(environment: &Environment) -> String {
    format!("{}/{}", environment.tenant, environment.name)
}
