//! Facts about attempts, in any order, more than once, at any time: also from an agent that lost its session.

use super::agent;
use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::runner::Moved;
use crate::{Manager, Principal};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_engine::{Event, Rejected};
use tenantry_failpoints::Point;
use tenantry_model::{AttemptId, Observation, OperationId, RegionName};

/// Operations whose facts are taken in at a time: they have nothing in common, and while one commits the next is
/// written. Fewer than the store has connections, so that one agent's report leaves some for others.
const AT_ONCE: usize = 4;

impl Manager {
    /// Takes in facts; when it returns, all are committed. Answers with the attempts that are not known or not of
    /// this region: facts about them are dropped.
    pub async fn agent_observe(
        &self,
        region: &RegionName,
        observations: Vec<Observation>,
    ) -> Result<Vec<AttemptId>> {
        let mut unknown = BTreeSet::new();
        let mut by_operation: BTreeMap<OperationId, Vec<Observation>> = BTreeMap::new();
        for observation in observations {
            if observation.attempt.step.region == *region {
                by_operation.entry(observation.attempt.operation).or_default().push(observation);
            } else {
                unknown.insert(observation.attempt);
            }
        }
        let who = agent(region, None);
        let mut taken = stream::iter(by_operation)
            .map(|(operation, observations)| self.take_facts_of(&who, operation, observations))
            .buffer_unordered(AT_ONCE);
        while let Some(refused) = taken.try_next().await? {
            unknown.extend(refused);
        }
        Ok(unknown.into_iter().collect())
    }

    /// Answers with the attempts that are not known.
    async fn take_facts_of(
        &self,
        who: &Principal,
        operation: OperationId,
        observations: Vec<Observation>,
    ) -> Result<Vec<AttemptId>> {
        let attempts: Vec<AttemptId> = observations.iter().map(|o| o.attempt.clone()).collect();
        let events: Vec<Event> = observations.into_iter().map(Event::Observed).collect();
        let moved = match repeating(|| self.take_facts(who, operation, &events)).await {
            Ok(moved) => moved,
            Err(ManagerError::NotFound { .. }) => return Ok(attempts),
            Err(error) => return Err(error),
        };
        let refused = attempts.into_iter().zip(&moved.rejected);
        let unknown = refused.filter_map(|(attempt, rejected)| {
            matches!(rejected, Some(Rejected::UnknownAttempt(_))).then_some(attempt)
        });
        Ok(unknown.collect())
    }

    async fn take_facts(&self, who: &Principal, operation: OperationId, events: &[Event]) -> Result<Moved> {
        let mut work = self.begin_one(who).await?;
        let moved = work.advance(operation, events.to_vec()).await?;
        // Repeated facts change nothing, and nothing is written for them.
        if moved.changed {
            work.commit(Point::FactsTake).await?;
        }
        Ok(moved)
    }
}
