//! What people type → what the API wants: environments by name, steps without their region.

use crate::exit::{Exit, Failure};
use anyhow::Result;
use tenantry_api_types::v1::{Environment, Operation};
use tenantry_client::Client;
use tenantry_model::{EnvironmentId, HookPath, HookRef, InvalidName, OperationId};

/// A usage error about a name.
pub fn usage(error: impl std::fmt::Display) -> anyhow::Error {
    Failure::new(Exit::Usage, error.to_string()).into()
}

/// Parses a name, with the name's own rule as the message.
pub fn name<T: std::str::FromStr<Err = InvalidName>>(text: &str) -> Result<T> {
    text.parse().map_err(usage)
}

/// Parses an enumerated word the way the API spells it.
pub fn word<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<T> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|error| usage(format!("{what} {text:?}: {error}")))
}

/// An environment by id or `tenant/name`.
pub async fn environment(client: &Client, text: &str) -> Result<Environment> {
    if let Ok(id) = text.parse::<EnvironmentId>() {
        return Ok(client.environment(id).await?);
    }
    match text.split_once('/') {
        Some((tenant, own)) => Ok(client.environment_by_name(&name(tenant)?, &name(own)?).await?),
        None => {
            let found = client.environment_by_alias(&name(text)?).await?;
            found.ok_or_else(|| {
                Failure::new(Exit::NotFound, format!("no environment has the alias {text}")).into()
            })
        }
    }
}

/// An operation's id.
pub fn operation(text: &str) -> Result<OperationId> {
    text.parse().map_err(|error| {
        usage(format!("operation {text:?} is no UUID ({error}); `tenantry op list` shows the ids"))
    })
}

/// A moment: RFC 3339, or a time from now (`8h`).
pub fn until(text: &str) -> Result<jiff::Timestamp> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let length: jiff::SignedDuration = text.parse().map_err(|_| {
        usage(format!("{text:?} is neither a time (2026-11-21T06:00:00Z) nor a length of time (8h)"))
    })?;
    jiff::Timestamp::now().checked_add(length).map_err(usage)
}

/// A step of an operation, by `namespace/name`, `region/namespace/name` or `region.namespace.name`.
pub fn step(operation: &Operation, text: &str) -> Result<HookRef> {
    let steps = operation.steps.as_deref().unwrap_or_default();
    let found: Vec<&HookRef> = steps
        .iter()
        .map(|step| &step.hook)
        .filter(|hook| hook.to_string() == text || hook.path().to_string() == text || hook.slug() == text)
        .collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let known: Vec<String> = steps.iter().take(20).map(|step| step.hook.path().to_string()).collect();
            let message =
                format!("operation {} has no step {text}; its steps: {}", operation.id, known.join(", "));
            Err(Failure::new(Exit::NotFound, message).into())
        }
        several => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(usage(format!("{text} is not one step: name its region: {}", names.join(", "))))
        }
    }
}

/// A hook by `region/namespace/name`, or by `namespace/name` when one region has it.
pub async fn hook(client: &Client, text: &str) -> Result<HookRef> {
    if text.matches('/').count() == 2 {
        return name(text);
    }
    let path: HookPath = name(text)?;
    let mut found = Vec::new();
    for region in super::connect::all(1000, |page_size, page_token| {
        let query = tenantry_api_types::v1::PageQuery { page_size: Some(page_size), page_token };
        async move { client.regions(&query).await }
    })
    .await?
    {
        let hook = HookRef::new(region.name, path.clone());
        match client.hook(&hook).await {
            Ok(_) => found.push(hook),
            Err(error) if error.problem().is_some_and(|problem| problem.status == 404) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failure::new(
            Exit::NotFound,
            format!("no region has a hook {path}; `tenantry hook list` shows all"),
        )
        .into()),
        several => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(usage(format!("{path} is in several regions: name one: {}", names.join(", "))))
        }
    }
}
