//! Which steps of running operations a hold catches, and which it holds.

use crate::Manager;
use crate::error::Result;
use std::collections::{BTreeMap, BTreeSet};
use tenantry_engine::hold_matches;
use tenantry_model::{Environment, EnvironmentId, Hold, HookRef, OperationId, OperationState, Page, Step};
use tenantry_store::{OperationFilter, Read};

/// Steps by operation.
pub(super) type Reach = BTreeMap<OperationId, BTreeSet<HookRef>>;

impl Manager {
    /// The steps that are not done of all running operations that `hold` fits.
    pub(super) async fn would_hold(&self, hold: &Hold) -> Result<Reach> {
        self.reach(hold, |environment, name, step| {
            !step.is_done() && hold_matches(hold, environment, name, &step.hook)
        })
        .await
    }

    /// The steps that `hold` is on.
    pub(super) async fn holds_now(&self, hold: &Hold) -> Result<Reach> {
        self.reach(hold, |_, _, step| step.holds.iter().any(|on| on.id == Some(hold.id))).await
    }

    /// Looks at every running operation of the hold's name, a page in a transaction, so that a long look does not
    /// keep one state alive.
    async fn reach(
        &self,
        hold: &Hold,
        fits: impl Fn(&Environment, &tenantry_model::OperationName, &Step) -> bool + Send + Sync,
    ) -> Result<Reach> {
        let filter = OperationFilter {
            name: hold.predicate.operation.clone(),
            unfinished: true,
            ..OperationFilter::default()
        };
        let mut environments: BTreeMap<EnvironmentId, Environment> = BTreeMap::new();
        let (mut reach, mut page) = (Reach::new(), Page { after: None, limit: 200 });
        loop {
            let mut read = self.store.read().await?;
            let part = read.operations(&filter, &page).await?;
            for operation in part.items {
                if !matches!(operation.state, OperationState::Running | OperationState::Paused) {
                    continue;
                }
                let Some(environment) = known(&mut environments, &mut *read, operation.environment).await?
                else {
                    continue;
                };
                let steps = read.steps(operation.id).await?;
                let fitting: BTreeSet<HookRef> = steps
                    .into_iter()
                    .filter(|step| fits(environment, &operation.name, step))
                    .map(|step| step.hook)
                    .collect();
                if !fitting.is_empty() {
                    reach.insert(operation.id, fitting);
                }
            }
            match part.next {
                Some(next) => page.after = Some(next),
                None => return Ok(reach),
            }
        }
    }
}

async fn known<'e>(
    environments: &'e mut BTreeMap<EnvironmentId, Environment>,
    read: &mut (dyn Read + '_),
    id: EnvironmentId,
) -> Result<Option<&'e Environment>> {
    if !environments.contains_key(&id)
        && let Some(found) = read.environment(id).await?
    {
        environments.insert(id, found);
    }
    Ok(environments.get(&id))
}
