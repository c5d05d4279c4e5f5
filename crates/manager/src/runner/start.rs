//! The body of a start: everything an attempt needs besides its template, which only the region has.

use super::actions::Context;
use crate::error::{ManagerError, Result};
use crate::work::Work;
use serde_json::Value;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tenantry_api_types::agent::StartOrder;
use tenantry_engine::Run;
use tenantry_hook::{AttemptRequest, Before, ChangesetDocument, EnvironmentDocument, ObjectStoreUse};
use tenantry_model::{AttemptId, Environment, EnvironmentId, HookRef, Operation, Step};

/// The environment as it was at the generation that the operation applies.
pub(super) struct Wanted(Environment);

impl Work<'_> {
    /// The body of the start command of `attempt`, as the protocol's JSON.
    pub(super) async fn start_order(
        &mut self,
        run: &Run,
        attempt: &AttemptId,
        context: &mut Context,
    ) -> Result<Value> {
        let operation = run.operation();
        let step = run.steps().get(&attempt.step).ok_or_else(|| defect("start of an unknown step"))?;
        let row = run
            .attempts()
            .get(&(attempt.step.clone(), attempt.number))
            .ok_or_else(|| defect("start of an unknown attempt"))?;
        let wanted = self.wanted(operation, context).await?;
        let applied = self.applied_hook(&attempt.step, context).await?;
        let changeset = match applied {
            Some(row) if row.dirty => ChangesetDocument::new(&wanted, Before::Unknown),
            Some(row) if row.generation.is_some() => {
                let generation = row.generation.unwrap_or_default();
                match self.kept_generation(wanted.id, generation, context).await? {
                    Some(document) => ChangesetDocument::new(&wanted, Before::Known(generation, document)),
                    None => ChangesetDocument::new(&wanted, Before::Unknown),
                }
            }
            _ => ChangesetDocument::new(&wanted, Before::None),
        };
        let outputs = ancestors_outputs(run.steps(), step);
        let environment = EnvironmentDocument::new(&wanted, operation, &outputs);
        let order = StartOrder {
            hook: attempt.step.path(),
            hash: step.template_hash.clone(),
            request: AttemptRequest {
                attempt: attempt.clone(),
                nonce: row.nonce,
                environment: wanted.id,
                operation_name: operation.name.clone(),
                batch: operation.batch,
                scheduled_time: operation.scheduled_time,
                traceparent: operation.traceparent.as_deref().and_then(child_of),
                environment_file: environment.to_yaml().map_err(|error| defect(&error.to_string()))?,
                changeset_file: changeset.to_yaml().map_err(|error| defect(&error.to_string()))?,
                object_store: ObjectStoreUse::of(operation.id, &operation.name, &operation.parameters),
            },
            timeout: step.policy.timeout,
        };
        serde_json::to_value(order).map_err(|error| defect(&error.to_string()))
    }

    /// The hooks of one environment have mostly applied the same generation.
    async fn kept_generation<'c>(
        &mut self,
        id: EnvironmentId,
        generation: u64,
        context: &'c mut Context,
    ) -> Result<Option<&'c Value>> {
        let entry = match context.generations.entry(generation) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(self.tx.generation(id, generation).await?),
        };
        Ok(entry.as_ref())
    }

    async fn wanted(&mut self, operation: &Operation, context: &mut Context) -> Result<Environment> {
        if let Some(Wanted(environment)) = &context.wanted {
            return Ok(environment.clone());
        }
        let environment = self.environment_at(operation.generation).await?;
        context.wanted = Some(Wanted(environment.clone()));
        Ok(environment)
    }

    /// The locked environment as it was at a generation: what an operation plans and applies, whatever clients have
    /// wished since.
    pub(crate) async fn environment_at(&mut self, generation: u64) -> Result<Environment> {
        let mut environment = self.environment()?.clone();
        if environment.generation != generation {
            let document = self.tx.generation(environment.id, generation).await?.ok_or_else(|| {
                defect(&format!("generation {generation} of {} is not kept", environment.id))
            })?;
            restore_generation(&mut environment, generation, &document)?;
        }
        Ok(environment)
    }
}

/// Puts an environment back to what [`tenantry_hook::generation_document`] kept of a generation.
fn restore_generation(environment: &mut Environment, generation: u64, document: &Value) -> Result<()> {
    let part = |pointer: &str| document.pointer(pointer).cloned().unwrap_or_default();
    let damaged = |error: serde_json::Error| defect(&format!("a kept generation cannot be read: {error}"));
    environment.labels = serde_json::from_value(part("/metadata/labels")).map_err(damaged)?;
    environment.region = serde_json::from_value(part("/metadata/region")).map_err(damaged)?;
    environment.spec = serde_json::from_value(part("/spec")).map_err(damaged)?;
    environment.generation = generation;
    Ok(())
}

/// Outputs of all declared ancestors, by `namespace/name`, or `region/namespace/name` for another region.
fn ancestors_outputs(
    steps: &BTreeMap<HookRef, Step>,
    step: &Step,
) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut outputs = BTreeMap::new();
    // Most operations have none, and a late step of a large one has thousands of ancestors.
    if steps.values().all(|step| step.outputs.is_empty()) {
        return outputs;
    }
    let mut seen = BTreeSet::new();
    let mut queue: VecDeque<&HookRef> = step.after.iter().collect();
    while let Some(hook) = queue.pop_front() {
        let Some(ancestor) = steps.get(hook).filter(|_| seen.insert(hook)) else { continue };
        queue.extend(&ancestor.after);
        if !ancestor.outputs.is_empty() {
            let name =
                if hook.region == step.hook.region { hook.path().to_string() } else { hook.to_string() };
            outputs.insert(name, ancestor.outputs.clone());
        }
    }
    outputs
}

/// The prefix that a backup writes or a restore reads.
/// A child of a W3C `traceparent`: the same trace, a span of its own. `None` for a text that is none.
fn child_of(parent: &str) -> Option<String> {
    let parts: Vec<&str> = parent.split('-').collect();
    let [version, trace, _, flags] = parts[..] else { return None };
    let well_formed = [(version, 2), (trace, 32), (flags, 2)]
        .iter()
        .all(|(part, length)| part.len() == *length && part.bytes().all(|b| b.is_ascii_hexdigit()));
    let span = tenantry_model::hex(&uuid::Uuid::new_v4().as_bytes()[..8]);
    well_formed.then(|| format!("{version}-{trace}-{span}-{flags}"))
}

fn defect(what: &str) -> ManagerError {
    ManagerError::Internal(what.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;

    #[test]
    fn a_child_keeps_the_trace_and_gets_a_span_of_its_own() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let child = child_of(parent).unwrap();
        assert!(child.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && child.ends_with("-01"));
        assert_ne!(child, parent);
        assert_eq!(child_of("nonsense"), None);
    }
}
