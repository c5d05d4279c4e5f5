//! What a purge does to rows: what goes, what is left of the environment, what belongs to others from then on.

use super::Purged;
use crate::error::Result;
use crate::outbox;
use crate::runner::WRITES_BACKUP;
use crate::work::{Note, Work};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::{
    Environment, EnvironmentId, EnvironmentSpec, EnvironmentState, HookRef, OperationId, OperationState,
    Page, ScheduleName, ScheduleTarget, Scope,
};
use tenantry_store::{AttentionFilter, OperationFilter};

/// Most backups that an answer names.
const MOST_BACKUPS: u32 = 1000;

impl Work<'_> {
    /// Makes the locked environment a tombstone. Everything was checked.
    pub(super) async fn purge(
        &mut self,
        early: bool,
        reason: &str,
        approval: Option<Value>,
    ) -> Result<Purged> {
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
