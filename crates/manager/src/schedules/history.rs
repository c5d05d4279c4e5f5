//! How long the steps of past runs took, kept in memory: an operation that has succeeded never changes.

use crate::error::Result;
use jiff::SignedDuration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tenantry_model::{Attempt, Operation, OperationId, OperationState, Page, Step, StepState};
use tenantry_schedule::{PastRun, StepLeft};
use tenantry_store::{OperationFilter, Read};

/// Most past runs that are kept; beyond it everything is read anew.
const CAPACITY: usize = 4000;

/// A past run.
#[derive(Debug)]
pub(crate) struct Past {
    /// What each step took: its last attempt, without the time it waited for people or for a retry.
    pub(super) took: PastRun,
    /// Its steps as if none had begun: what an operation has before it that is not planned yet.
    pub(super) steps: Vec<StepLeft>,
}

/// Past runs that were read lately.
#[derive(Debug, Default)]
pub(crate) struct PastRuns(Mutex<HashMap<OperationId, Arc<Past>>>);

impl PastRuns {
    /// The newest `limit` runs of the same name for the same environment that have succeeded, the newest first.
    pub(super) async fn before(
        &self,
        read: &mut (dyn Read + '_),
        operation: &Operation,
        limit: u32,
    ) -> Result<Vec<Arc<Past>>> {
        let filter = OperationFilter {
            environment: Some(operation.environment),
            name: Some(operation.name.clone()),
            state: Some(OperationState::Succeeded),
            ..OperationFilter::default()
        };
        let found = read.operations(&filter, &Page { after: None, limit }).await?;
        let mut past = Vec::with_capacity(found.items.len());
        for id in found.items.iter().map(|operation| operation.id) {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
            past.push(match known {
                Some(known) => known,
                None => self.keep(id, taken(&read.steps(id).await?, &read.attempts(id).await?)),
            });
        }
        Ok(past)
    }

    fn keep(&self, id: OperationId, past: Past) -> Arc<Past> {
        let past = Arc::new(past);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= CAPACITY {
            kept.clear();
        }
        kept.insert(id, Arc::clone(&past));
        past
    }
}

fn taken(steps: &[Step], attempts: &[Attempt]) -> Past {
    let time = |step: &Step| -> Option<SignedDuration> {
        let last = last_attempt(step, attempts)?;
        Some(last.ended_at?.duration_since(last.created_at))
    };
    let ran = |step: &&Step| step.state == StepState::Succeeded;
    Past {
        took: steps.iter().filter(ran).filter_map(|step| Some((step.hook.clone(), time(step)?))).collect(),
        steps: steps
            .iter()
            .map(|step| StepLeft {
                hook: step.hook.clone(),
                after: step.after.clone(),
                done: false,
                running_since: None,
            })
            .collect(),
    }
}

/// The newest attempt of a step.
pub(super) fn last_attempt<'a>(step: &Step, attempts: &'a [Attempt]) -> Option<&'a Attempt> {
    attempts.iter().find(|attempt| attempt.id.step == step.hook && attempt.id.number == step.attempt)
}
