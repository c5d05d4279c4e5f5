//! Environments: what hooks have applied, and who holds the lock.

use super::{Checked, Checker, RESTORE};
use tenantry_engine::{conflicting_holders, startable};
use tenantry_model::{Environment, EnvironmentSpec, EnvironmentState, Page, Schedule, ScheduleTarget};
use tenantry_store::{EnvironmentFilter, Read};

impl Checker<'_> {
    pub(super) async fn environments(&mut self) -> Checked {
        self.begin("environments");
        let all = EnvironmentFilter { purged: true, ..EnvironmentFilter::default() };
        let mut page = Page { after: None, limit: 200 };
        loop {
            let mut read = self.manager.store.read().await?;
            let part = read.environments(&all, &page).await?;
            for environment in part.items {
                self.environment(&mut *read, &environment).await?;
                self.count().await?;
            }
            match part.next {
                Some(next) => page.after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn environment(&mut self, read: &mut dyn Read, environment: &Environment) -> Checked {
        let id = environment.id;
        let row = format!("environment {id}");
        for applied in read.applied(id).await? {
            if applied.generation.is_some_and(|generation| generation > environment.generation) {
                let message = format!(
                    "hook {} has applied generation {}, and the environment is at {}",
                    applied.hook,
                    applied.generation.unwrap_or_default(),
                    environment.generation
                );
                self.error("applied-generation", row.clone(), message, RESTORE).await?;
            }
        }
        let purged = environment.state == EnvironmentState::Purged;
        if purged {
            self.purged(read, environment, &row).await?;
        }
        if !purged && read.generation(id, environment.generation).await?.is_none() {
            let message = format!("the view of its generation {} is missing", environment.generation);
            self.error("generation-view", row.clone(), message, RESTORE).await?;
        }
        let unfinished = read.unfinished(id).await?;
        for (one, other) in conflicting_holders(&unfinished) {
            let message = format!("operations {one} and {other} hold its lock together");
            let remedy = "cancel one of them: tenantry op cancel ID --reason …";
            self.error("lock-holders", row.clone(), message, remedy).await?;
        }
        for waiting in startable(&unfinished) {
            let message = format!("operation {waiting} could have the lock, and waits");
            let remedy = "any operation of the environment brings it on; or cancel it and ask again";
            self.error("lock-forgotten", row.clone(), message, remedy).await?;
        }
        if purged && !unfinished.is_empty() {
            let message = "it is purged and has unfinished operations".to_owned();
            self.error("purged-with-work", row, message, "cancel them: tenantry op cancel ID --reason …")
                .await?;
        }
        Ok(())
    }

    /// Nothing of what it was wished to be is kept, and nothing waits to be done for it.
    async fn purged(&mut self, read: &mut dyn Read, environment: &Environment, row: &str) -> Checked {
        let id = environment.id;
        let mut left = Vec::new();
        if environment.spec != EnvironmentSpec::default() {
            left.push("its spec".to_owned());
        }
        if !environment.labels.is_empty() || !environment.aliases.is_empty() {
            left.push("labels or aliases".to_owned());
        }
        if read.generation(id, environment.generation).await?.is_some() {
            left.push("generations".to_owned());
        }
        if !read.applied(id).await?.is_empty() {
            left.push("what hooks have applied".to_owned());
        }
        let own = |schedule: &Schedule| schedule.target == ScheduleTarget::Environment(id);
        left.extend(
            read.schedules().await?.into_iter().filter(own).map(|found| format!("schedule {}", found.name)),
        );
        if left.is_empty() {
            return Ok(());
        }
        let message = format!("it is purged and still has {}", left.join(", "));
        self.error("purged-with-data", row.to_owned(), message, RESTORE).await
    }
}
