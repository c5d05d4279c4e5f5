//! Operation definitions: the built-in ones, and what platforms define themselves.

use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::work::{Note, Work};
use crate::{KeptAnswer, Manager, Principal, outbox, schema};
use serde_json::Value;
use std::collections::BTreeMap;
use tenantry_failpoints::Point;
use tenantry_model::{GuardedVerb, OperationDefinition, OperationName};
use tenantry_store::Read;

/// The first part of names that only tenantry gives a meaning.
pub(crate) const RESERVED: &str = "lifecycle.";

/// What a purge finishes: its definition says whether that needs a second person.
pub(crate) const PURGED_AFTER: &str = "lifecycle.decommission";

/// What the shipped Sensor takes, either side of 0.
const MOST_PRIORITY: i32 = 1_000_000;

/// What a name means, by a store's rows.
pub(crate) async fn meaning(
    read: &mut (dyn Read + '_),
    name: &OperationName,
) -> Result<Option<OperationDefinition>> {
    let stored = read.definition(name).await?;
    Ok(stored.or_else(|| built_in(name)).or_else(|| {
        (!name.as_str().starts_with(RESERVED)).then(|| OperationDefinition::undefined(name.clone()))
    }))
}

fn built_in(name: &OperationName) -> Option<OperationDefinition> {
    OperationDefinition::built_in().into_iter().find(|definition| definition.name == *name)
}

impl Manager {
    /// What the name means now (a `team.operation` that nobody defined has a meaning too).
    pub async fn definition(&self, name: &OperationName) -> Result<OperationDefinition> {
        let found = meaning(&mut *self.store.read().await?, name).await?;
        found.ok_or_else(|| ManagerError::not_found("operation definition", name))
    }

    /// All built-in and stored definitions, by name.
    pub async fn definitions(&self) -> Result<Vec<OperationDefinition>> {
        let mut all: BTreeMap<OperationName, OperationDefinition> =
            OperationDefinition::built_in().into_iter().map(|d| (d.name.clone(), d)).collect();
        for stored in self.store.read().await?.definitions().await? {
            all.insert(stored.name.clone(), stored);
        }
        Ok(all.into_values().collect())
    }

    /// Stores a definition. Of a built-in one, only description, parameters, required hooks, empty-plan rule, deadlines,
    /// priority and what needs a second person can be set. Tells whether the name had none before.
    pub async fn put_definition(
        &self,
        who: &Principal,
        mut definition: OperationDefinition,
    ) -> Result<(OperationDefinition, bool)> {
        const LIMIT: usize = 1000;
        check(&definition)?;
        let name = definition.name.clone();
        let built_in = built_in(&name);
        definition.built_in = built_in.is_some();
        if let Some(shipped) = &built_in {
            let mut allowed = definition.clone();
            allowed.lock = shipped.lock;
            allowed.on_conflict = shipped.on_conflict;
            allowed.from_states.clone_from(&shipped.from_states);
            allowed.effect = shipped.effect;
            allowed.converges = shipped.converges;
            if allowed != definition {
                return Err(ManagerError::BuiltIn(format!(
                    "{name} is built in: its lock, conflict policy, states, effect and convergence are fixed"
                )));
            }
        } else if name.as_str().starts_with(RESERVED) {
            return Err(ManagerError::BuiltIn(format!(
                "names that begin with {RESERVED} are reserved: use TEAM.OPERATION"
            )));
        }
        repeating(|| async {
            let definition = definition.clone();
            let mut work = self.begin(who).await?;
            let before = work.tx.definition(&name).await?;
            if before.is_none() && work.tx.definitions().await?.len() >= LIMIT {
                return Err(ManagerError::field("/name", format!("there are {LIMIT} definitions already")));
            }
            work.tx.put_definition(&definition).await?;
            work.definition_changed("definition.put", &name, before.as_ref(), Some(&definition)).await?;
            let made = before.is_none() && built_in.is_none();
            work.answer(
                KeptAnswer::Definition { definition: Box::new(definition.clone()), made },
                Point::DefinitionPut,
            )
            .await?;
            Ok((definition, made))
        })
        .await
    }

    /// Removes a stored definition (of a built-in one: its changes).
    pub async fn delete_definition(&self, who: &Principal, name: &OperationName) -> Result<()> {
        repeating(|| async {
            let mut work = self.begin(who).await?;
            let before = work.tx.definition(name).await?;
            if !work.tx.delete_definition(name).await? {
                return Err(match built_in(name) {
                    Some(_) => ManagerError::BuiltIn(format!("{name} is built in and cannot be deleted")),
                    None => ManagerError::not_found("operation definition", name),
                });
            }
            work.definition_changed("definition.delete", name, before.as_ref(), None).await?;
            work.answer(KeptAnswer::Gone, Point::DefinitionDelete).await
        })
        .await
    }
}

impl Work<'_> {
    async fn definition_changed(
        &mut self,
        action: &str,
        name: &OperationName,
        before: Option<&OperationDefinition>,
        after: Option<&OperationDefinition>,
    ) -> Result<()> {
        let data = outbox::definition(name, after);
        let (before, after) = (shown(before), shown(after));
        self.common_event(outbox::DEFINITION_CHANGED, data).await?;
        self.audit(Note { action, target: format!("definitions/{name}"), reason: None, before, after }).await
    }
}

fn shown(definition: Option<&OperationDefinition>) -> Value {
    serde_json::to_value(definition).unwrap_or_default()
}

fn check(definition: &OperationDefinition) -> Result<()> {
    if let Some(parameters) = &definition.parameters {
        schema::compile("the schema of the parameters", parameters)?;
    }
    if definition.from_states.is_empty() {
        return Err(ManagerError::field("/fromStates", "must name at least one state"));
    }
    if definition.required_hooks.len() > 200 {
        return Err(ManagerError::field("/requiredHooks", "must name at most 200 hooks"));
    }
    if definition.description.chars().count() > 1000 {
        return Err(ManagerError::field("/description", "must have at most 1000 characters"));
    }
    if definition.deadline.is_some_and(|time| !time.is_positive()) {
        return Err(ManagerError::field("/deadline", "must be longer than nothing"));
    }
    if definition.four_eyes.contains(&GuardedVerb::Purge) && definition.name.as_str() != PURGED_AFTER {
        let message = format!("purge is no verb on an operation: it can only be in {PURGED_AFTER}");
        return Err(ManagerError::field("/fourEyes", message));
    }
    if definition.priority.is_some_and(|priority| !(-MOST_PRIORITY..=MOST_PRIORITY).contains(&priority)) {
        let message = format!("must be within {MOST_PRIORITY} of 0");
        return Err(ManagerError::field("/priority", message));
    }
    if !definition.unknown_deadline.is_positive() {
        return Err(ManagerError::field("/unknownDeadline", "must be longer than nothing"));
    }
    Ok(())
}
