//! After an operation was asked for: print it, or wait for it with progress.

use super::{Context, change::only_checked};
use crate::cli::{Format, StartArgs, Wait};
use crate::exit::Exit;
use crate::output::{self, word};
use crate::progress::{Progress, describe, duration, name};
use anyhow::Result;
use std::collections::BTreeSet;
use tenantry_api_types::v1::{Accepted, Environment, Operation, Preview};
use tenantry_client::{Call, Client, WaitFor, Waited};
use tenantry_model::{HookRef, OperationId, OperationState};

/// The call that the flags describe.
pub fn call(start: &StartArgs) -> Call {
    Call { key: start.idempotency_key.clone(), validate_only: start.validate_only, ..Call::default() }
}

/// Prints what was accepted; with `--wait` after its end.
pub async fn finish(
    context: Context,
    client: &Client,
    accepted: Accepted,
    start: &StartArgs,
) -> Result<Exit> {
    let title = |operation: &Operation| {
        format!("{} {}/{}", operation.name, accepted.environment.tenant, accepted.environment.name)
    };
    match (&accepted.operation, start.wait) {
        (Some(operation), Some(until)) => {
            let (exit, operation) = wait(client, operation.id, title(operation), until).await?;
            // What it was when the operation was asked for is not what it is now.
            let environment = client.environment(accepted.environment.id).await?;
            let accepted = Accepted { environment, operation: Some(operation), preview: None };
            show(context, &accepted)?;
            Ok(exit)
        }
        _ => {
            show(context, &accepted)?;
            only_checked(start.validate_only);
            if !start.validate_only
                && let Some(operation) = &accepted.operation
            {
                anstream::eprintln!("watch it with `tenantry op watch {}`", operation.id);
            }
            Ok(Exit::Done)
        }
    }
}

fn show(context: Context, accepted: &Accepted) -> Result<()> {
    output::one(context.format, accepted, |accepted| {
        let mut lines = environment_lines(&accepted.environment);
        if let Some(operation) = &accepted.operation {
            lines.extend(operation_lines(operation));
        }
        lines
    })?;
    match (context.format, &accepted.preview) {
        (Format::Table, Some(preview)) => show_preview(preview),
        _ => Ok(()),
    }
}

/// What `--validate-only` found, for people.
fn show_preview(preview: &Preview) -> Result<()> {
    let ids = |ids: &[OperationId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let regions: Vec<String> = preview.waits_for_regions.iter().map(ToString::to_string).collect();
    let mut text = format!("\n{} would apply generation {}\n", preview.name, preview.generation);
    for (what, which) in [
        ("it would wait for", ids(&preview.waits_for)),
        ("it would cancel", ids(&preview.cancels)),
        ("it would wait for regions", regions.join(" ")),
    ] {
        if !which.is_empty() {
            text.push_str(&format!("{what} {which}\n"));
        }
    }
    if let Some(refusal) = &preview.refusal {
        text.push_str(&format!("there would be no plan: {}\n", refusal.detail));
    }
    for hook in &preview.quarantined {
        let instead = if hook.last_good_in_force { "its last good version runs" } else { "it is left out" };
        text.push_str(&format!("{} is quarantined: {instead}\n", hook.hook));
    }
    output::print(&text)?;
    if preview.steps.is_empty() {
        return Ok(());
    }
    let paths =
        |hooks: &BTreeSet<HookRef>| hooks.iter().map(|hook| hook.path().to_string()).collect::<Vec<_>>();
    output::table(
        &["step", "state", "after"],
        preview
            .steps
            .iter()
            .map(|step| vec![step.hook.path().to_string(), word(&step.state), paths(&step.after).join(" ")]),
    )
}

/// An environment for people.
pub fn environment_lines(environment: &Environment) -> Vec<(&'static str, String)> {
    let labels: Vec<String> =
        environment.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let aliases: Vec<String> = environment.aliases.iter().map(ToString::to_string).collect();
    let mut lines = vec![
        ("environment", format!("{}/{}", environment.tenant, environment.name)),
        ("id", environment.id.to_string()),
        ("region", environment.region.to_string()),
        ("state", word(&environment.state)),
        ("generation", environment.generation.to_string()),
        ("labels", labels.join(" ")),
        ("aliases", aliases.join(" ")),
    ];
    if let Some(retention) = &environment.retention {
        lines.push(("undelete until", retention.until.to_string()));
    }
    lines
}

/// An operation for people.
pub fn operation_lines(operation: &Operation) -> Vec<(&'static str, String)> {
    vec![
        ("operation", operation.id.to_string()),
        ("name", operation.name.to_string()),
        ("progress", word(&operation.state)),
        ("note", operation.note.clone().unwrap_or_default()),
        ("asked by", operation.requested_by.name.clone()),
        ("reason", operation.reason.clone().unwrap_or_default()),
        ("took", duration(operation)),
    ]
}

/// Waits with progress. Tells how to resolve what waits for a person.
pub async fn wait(client: &Client, id: OperationId, title: String, until: Wait) -> Result<(Exit, Operation)> {
    let mut progress = Progress::new(title);
    let until = match until {
        Wait::Decision => WaitFor::DoneOrDecision,
        Wait::Settled => WaitFor::Settled,
    };
    let waited = client.wait_operation(id, until, None, |operation| progress.show(operation)).await?;
    drop(progress);
    let operation = match &waited {
        Waited::Done(operation) | Waited::NeedsDecision(operation) => operation.as_ref().clone(),
    };
    Ok((told(&waited), operation))
}

/// Tells on stderr how a wait ended and what resolves it; answers the exit code.
pub fn told(waited: &Waited) -> Exit {
    match waited {
        Waited::Done(operation) if operation.state == OperationState::Succeeded => Exit::Done,
        Waited::Done(operation) => {
            failures(operation);
            Exit::Failed
        }
        Waited::NeedsDecision(operation) => {
            decisions(operation);
            Exit::NeedsPerson
        }
    }
}

fn failures(operation: &Operation) {
    for step in operation.steps.iter().flatten() {
        if let Some(attempt) = step
            .attempts
            .last()
            .filter(|attempt| attempt.outcome.as_ref().is_some_and(|outcome| !outcome.is_success()))
        {
            anstream::eprintln!("{}: {}", name(step), describe(step));
            if let Some(outcome) = attempt.outcome.as_ref().filter(|outcome| !outcome.message.is_empty()) {
                anstream::eprintln!("  {}", outcome.message);
            }
            anstream::eprintln!("  read its log with `tenantry op logs {} {}`", operation.id, name(step));
        }
    }
}

fn decisions(operation: &Operation) {
    failures(operation);
    for step in operation.steps.iter().flatten().filter(|step| step.waiting) {
        let unknown = step.attempts.last().is_some_and(|attempt| attempt.unknown_since.is_some());
        let verbs: &[&str] = if unknown { &["declare-lost"] } else { &["rerun", "skip", "confirm"] };
        for verb in verbs {
            anstream::eprintln!("  tenantry op {verb} {} {} --reason …", operation.id, name(step));
        }
    }
    anstream::eprintln!("  tenantry op cancel {} --reason …", operation.id);
}
