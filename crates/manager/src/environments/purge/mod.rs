//! Purge: the end of an environment, after which its name and aliases are free and nothing brings it back.
//!
//! One transaction about rows of tenantry's own: no hook runs, nothing outside is touched. So a crash leaves it either
//! not purged or purged, and there is nothing to be cleaned up after it.

mod rows;
mod types;

pub use types::*;

use crate::definitions::{PURGED_AFTER, meaning};
use crate::error::{ManagerError, Result};
use crate::operations::check_reason;
use crate::repeat::repeating;
use crate::tenants::check_revision;
use crate::work::Work;
use crate::{KeptAnswer, Manager, Principal};
use serde_json::Value;
use std::collections::BTreeMap;
use tenantry_failpoints::Point;
use tenantry_model::{ApprovalTarget, Environment, EnvironmentId, EnvironmentState, GuardedVerb};
use tenantry_mutants::{self as mutants, Mutant};

/// The verb, as approvals and the setting `four-eyes` name it.
pub const PURGE: &str = "purge";

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
        if environment.name != wish.name && !mutants::on(Mutant::PurgeAnyName) {
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
            EnvironmentState::Active if mutants::on(Mutant::PurgeInUse) => None,
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
        let before_retention_ends = before_retention_ends || mutants::on(Mutant::PurgeWithinRetention);
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
}

/// As people name it.
pub(super) fn path(environment: &Environment) -> String {
    format!("{}/{}", environment.tenant, environment.name)
}
