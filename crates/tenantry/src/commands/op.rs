//! `tenantry op …`

use super::resolve::{environment, name, operation as id_of, step as step_of, word};
use super::start::{call, finish, operation_lines};
use super::{Context, connect, connect::all, steer};
use crate::cli::{Format, OpCommand};
use crate::exit::{Exit, Failure};
use crate::output::{self, Rows};
use crate::progress::{describe, duration};
use crate::wanted::pairs;
use anyhow::Result;
use futures::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use tenantry_api_types::v1::{
    LogQuery, Operation, OperationsQuery, ReplayOperation, RerunStep, RunOperation, SteerStep, Step,
};
use tenantry_client::{Client, OperationVerb, StepVerb};
use tenantry_model::{AttemptId, EnvironmentId, ReplayVersions};

/// A line of `op list`: people know environments by name, not by id.
#[derive(serde::Serialize)]
#[serde(transparent)]
struct Line<'a> {
    operation: &'a Operation,
    #[serde(skip)]
    environment: String,
}

impl Rows for Line<'_> {
    const HEADINGS: &'static [&'static str] =
        &["operation", "name", "environment", "state", "created", "took"];
    fn cells(&self) -> Vec<String> {
        vec![
            self.operation.id.to_string(),
            self.operation.name.to_string(),
            self.environment.clone(),
            output::word(&self.operation.state),
            format!("{:.0}", self.operation.created_at),
            duration(self.operation),
        ]
    }
}

/// At most this many names are looked up for a table; other environments are shown by id.
const MOST_NAMES: usize = 100;

async fn lines<'a>(client: &Client, operations: &'a [Operation]) -> Vec<Line<'a>> {
    let ids: BTreeSet<EnvironmentId> = operations.iter().map(|operation| operation.environment).collect();
    let names: BTreeMap<EnvironmentId, String> = futures::stream::iter(ids.into_iter().take(MOST_NAMES))
        .map(|id| async move {
            // A name is a courtesy: without it the id says the same.
            let found = client.environment(id).await.ok()?;
            Some((id, format!("{}/{}", found.tenant, found.name)))
        })
        .buffer_unordered(16)
        .filter_map(std::future::ready)
        .collect()
        .await;
    let name = |id: EnvironmentId| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
    operations.iter().map(|operation| Line { operation, environment: name(operation.environment) }).collect()
}

/// Runs the command.
pub async fn run(context: Context, command: OpCommand) -> Result<Exit> {
    match command {
        OpCommand::Run { name: operation, environment: text, parameters, conflict, start, connection } => {
            let client = connect(connection)?;
            let body = RunOperation {
                operation: name(&operation)?,
                reason: start.reason.clone(),
                parameters: pairs(&parameters, "parameter")?,
                on_conflict: conflict.policy(),
                expected_state: None,
                scheduled_time: None,
            };
            let id = environment(&client, &text).await?.id;
            let accepted = client.run_operation(id, &body, &call(&start)).await?;
            finish(context, &client, accepted, &start).await
        }
        OpCommand::List { environment: text, name: operation, state, unfinished, limit, connection } => {
            let client = connect(connection)?;
            let mut query = OperationsQuery { unfinished, ..OperationsQuery::default() };
            if let Some(text) = text {
                query.environment = Some(environment(&client, &text).await?.id);
            }
            query.name = operation.as_deref().map(name).transpose()?;
            query.state = state.as_deref().map(|state| word(state, "state")).transpose()?;
            let items = all(limit, |page_size, page_token| {
                let query = OperationsQuery { page_size: Some(page_size), page_token, ..query.clone() };
                let client = &client;
                async move { client.operations(&query).await }
            })
            .await?;
            match context.format {
                Format::Table => output::list(context.format, &lines(&client, &items).await)?,
                format => output::document(format, &items)?,
            }
            Ok(Exit::Done)
        }
        OpCommand::Get { operation, connection } => {
            let operation = connect(connection)?.operation(id_of(&operation)?).await?;
            show(context, &operation)?;
            Ok(Exit::Done)
        }
        OpCommand::Watch { operation, until, connection } => {
            let client = connect(connection)?;
            crate::watch::watch(&client, id_of(&operation)?, until, context.format).await
        }
        OpCommand::Logs { operation, step, attempt, follow, connection } => {
            let client = connect(connection)?;
            let operation = client.operation(id_of(&operation)?).await?;
            logs(&client, &operation, step.as_deref(), attempt, follow).await
        }
        OpCommand::Hold { until, verb } => {
            steer::step(context, verb, StepVerb::Hold(steer::hold(until.as_deref())?)).await
        }
        OpCommand::Stop { until, verb } => {
            steer::step(context, verb, StepVerb::Stop(steer::hold(until.as_deref())?)).await
        }
        OpCommand::Release { hold, verb } => {
            steer::step(context, verb, StepVerb::Release(steer::release(hold.as_deref())?)).await
        }
        OpCommand::Rerun { with_successors, verb } => {
            let body = RerunStep { with_successors, ..RerunStep::default() };
            steer::step(context, verb, StepVerb::Rerun(body)).await
        }
        OpCommand::Kill(args) => steer::step(context, args, StepVerb::Kill(SteerStep::default())).await,
        OpCommand::Skip(args) => steer::step(context, args, StepVerb::Skip(SteerStep::default())).await,
        OpCommand::DeclareLost(args) => {
            steer::step(context, args, StepVerb::DeclareLost(SteerStep::default())).await
        }
        OpCommand::Confirm { outputs, verb } => {
            steer::step(context, verb, StepVerb::Confirm(steer::confirm(&outputs)?)).await
        }
        OpCommand::IgnoreDependency { on, verb } => {
            steer::ignore_dependency(context, verb, on.as_deref()).await
        }
        OpCommand::Pause(args) => steer::operation(context, args, OperationVerb::Pause).await,
        OpCommand::Resume(args) => steer::operation(context, args, OperationVerb::Resume).await,
        OpCommand::Cancel { verb, wait } => steer::cancel(context, verb, wait).await,
        OpCommand::Replay { operation, from, current_hooks, set, conflict, start, connection } => {
            let client = connect(connection)?;
            let original = client.operation(id_of(&operation)?).await?;
            let from = from.iter().map(|text| step_of(&original, text)).collect::<Result<_>>()?;
            let versions = if current_hooks { ReplayVersions::Current } else { ReplayVersions::Frozen };
            let reason = start.reason.clone();
            let set = pairs(&set, "set")?;
            let body = ReplayOperation { reason, from, versions, set, on_conflict: conflict.policy() };
            let accepted = client.replay(original.id, &body, &call(&start)).await?;
            finish(context, &client, accepted, &start).await
        }
    }
}

pub(super) fn show(context: Context, operation: &Operation) -> Result<()> {
    output::one(context.format, operation, |operation| {
        let mut lines = operation_lines(operation);
        lines.insert(2, ("environment", operation.environment.to_string()));
        lines.extend(history(operation));
        lines
    })?;
    if let (Format::Table, Some(steps)) = (context.format, &operation.steps) {
        output::print("\n")?;
        output::table(&["step", "state", "attempt", "object", "after"], steps.iter().map(row))?;
    }
    Ok(())
}

/// What a person did to the operation as a whole, and its links.
fn history(operation: &Operation) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(pause) = &operation.pause {
        lines.push(("paused by", format!("{} since {:.0}: {}", pause.by.name, pause.at, pause.reason)));
    }
    if let Some(replay) = &operation.replay {
        lines.push(("replays", format!("{} with {} hooks", replay.of, output::word(&replay.versions))));
        let from: Vec<String> = replay.from.iter().map(|hook| hook.path().to_string()).collect();
        lines.push(("from", from.join(" ")));
        let told = |value: &Option<serde_json::Value>| {
            value.as_ref().map_or("nothing".to_owned(), ToString::to_string)
        };
        for (name, change) in &replay.changed {
            lines.push(("changed", format!("{name}: {} → {}", told(&change.before), told(&change.after))));
        }
    }
    for workflow in &operation.workflows {
        let name = workflow.name.as_deref().unwrap_or("no name yet");
        let mut line = format!("{name} in {}: {}", workflow.region, output::word(&workflow.state));
        for more in workflow.note.iter().chain(&workflow.url) {
            line.push_str(", ");
            line.push_str(more);
        }
        lines.push(("workflow", line));
    }
    let ids: Vec<String> = operation.replays.iter().map(ToString::to_string).collect();
    lines.push(("replayed by", ids.join(" ")));
    lines
}

fn row(step: &Step) -> Vec<String> {
    let after: Vec<String> = step.after.iter().map(|hook| hook.path().to_string()).collect();
    let object = step.attempts.last().and_then(|attempt| attempt.object.clone()).unwrap_or_default();
    vec![step.hook.path().to_string(), describe(step), step.attempt.to_string(), object, after.join(" ")]
}

async fn logs(
    client: &Client,
    operation: &Operation,
    step: Option<&str>,
    attempt: Option<u32>,
    follow: bool,
) -> Result<Exit> {
    let steps: Vec<&Step> = match step {
        Some(text) => {
            let hook = step_of(operation, text)?;
            operation.steps.iter().flatten().filter(|step| step.hook == hook).collect()
        }
        None => operation.steps.iter().flatten().filter(|step| step.attempt > 0).collect(),
    };
    let several = steps.len() > 1;
    for step in steps {
        let number = attempt.unwrap_or(step.attempt);
        if number == 0 || number > step.attempt {
            let message = match step.attempt {
                0 => format!("step {} has not started yet: it has no log", step.hook.path()),
                newest => format!("step {} has attempts 1 to {newest}", step.hook.path()),
            };
            return Err(Failure::new(Exit::NotFound, message).into());
        }
        if several {
            anstream::eprintln!("== {} attempt {number}", step.hook.path());
        }
        let id = AttemptId { operation: operation.id, step: step.hook.clone(), number };
        if follow { follow_log(client, &id).await? } else { read_log(client, &id).await? }
    }
    Ok(Exit::Done)
}

async fn read_log(client: &Client, id: &AttemptId) -> Result<()> {
    let mut offset = 0;
    loop {
        let range = client.log(id, &LogQuery { offset, limit: None }).await?;
        output::bytes(&range.bytes)?;
        // What is not complete has nothing more for now: without --follow this is the end.
        if range.complete || range.next_offset == offset {
            return Ok(());
        }
        offset = range.next_offset;
    }
}

async fn follow_log(client: &Client, id: &AttemptId) -> Result<()> {
    let mut ranges = std::pin::pin!(client.follow_log(id, 0));
    while let Some(range) = ranges.next().await {
        let range = range?;
        output::bytes(&range.bytes)?;
        if range.complete {
            break;
        }
    }
    Ok(())
}
