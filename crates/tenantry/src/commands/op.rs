//! `tenantry op …`

use super::resolve::{environment, name, operation as id_of, step as step_of, usage, word};
use super::start::{call, finish, operation_lines, wait};
use super::{Context, connect, connect::all};
use crate::cli::{Format, OpCommand, Verb};
use crate::exit::{Exit, Failure};
use crate::output::{self, Rows};
use crate::progress::{describe, duration};
use crate::wanted::pairs;
use anyhow::Result;
use futures::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use tenantry_api_types::v1::{
    CancelOperation, ConfirmStep, ExpectedStep, LogQuery, Operation, OperationsQuery, RunOperation,
    SteerStep, Step,
};
use tenantry_client::{Call, Client, StepVerb};
use tenantry_model::{AttemptId, EnvironmentId, HookRef};

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
        OpCommand::Run { name: operation, environment: text, parameters, start, connection } => {
            let client = connect(connection)?;
            let body = RunOperation {
                operation: name(&operation)?,
                reason: start.reason.clone(),
                parameters: pairs(&parameters, "parameter")?,
                on_conflict: None,
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
        OpCommand::Rerun(args) => steer(context, args, StepVerb::Rerun).await,
        OpCommand::Kill(args) => steer(context, args, StepVerb::Kill).await,
        OpCommand::Skip(args) => steer(context, args, StepVerb::Skip).await,
        OpCommand::DeclareLost(args) => steer(context, args, StepVerb::DeclareLost).await,
        OpCommand::Confirm { outputs, verb } => confirm(context, verb, &outputs).await,
        OpCommand::Cancel { operation, reason, wait: until, connection } => {
            let client = connect(connection)?;
            let body = CancelOperation { reason, expected_state: None };
            let operation = client.cancel(id_of(&operation)?, &body, &Call::default()).await?;
            match until {
                // A cancel that was waited for has done what was asked when the operation has ended, however.
                Some(until) => {
                    let (_, ended) = wait(&client, operation.id, operation.name.to_string(), until).await?;
                    show(context, &ended)?;
                    Ok(if ended.done { Exit::Done } else { Exit::NeedsPerson })
                }
                None => {
                    show(context, &operation)?;
                    Ok(Exit::Done)
                }
            }
        }
    }
}

fn show(context: Context, operation: &Operation) -> Result<()> {
    output::one(context.format, operation, |operation| {
        let mut lines = operation_lines(operation);
        lines.insert(2, ("environment", operation.environment.to_string()));
        lines
    })?;
    if let (Format::Table, Some(steps)) = (context.format, &operation.steps) {
        output::print("\n")?;
        output::table(&["step", "state", "attempt", "object", "after"], steps.iter().map(row))?;
    }
    Ok(())
}

fn row(step: &Step) -> Vec<String> {
    let after: Vec<String> = step.after.iter().map(|hook| hook.path().to_string()).collect();
    let object = step.attempts.last().and_then(|attempt| attempt.object.clone()).unwrap_or_default();
    vec![step.hook.path().to_string(), describe(step), step.attempt.to_string(), object, after.join(" ")]
}

async fn steer(context: Context, args: Verb, verb: StepVerb) -> Result<Exit> {
    let (client, operation, step) = target(&args).await?;
    let body = SteerStep { reason: args.reason.clone(), expected: expected(&args)? };
    let call = Call { key: args.idempotency_key.clone(), ..Call::default() };
    let operation = client.steer(operation.id, &step, verb, &body, &call).await?;
    after_verb(context, &client, operation, &args).await
}

async fn confirm(context: Context, args: Verb, outputs: &[String]) -> Result<Exit> {
    let (client, operation, step) = target(&args).await?;
    let outputs: BTreeMap<String, String> = outputs
        .iter()
        .map(|entry| {
            let (key, value) =
                entry.split_once('=').ok_or_else(|| usage(format!("--set {entry}: write KEY=VALUE")))?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect::<Result<_>>()?;
    let body = ConfirmStep { reason: args.reason.clone(), expected: expected(&args)?, outputs };
    let call = Call { key: args.idempotency_key.clone(), ..Call::default() };
    let operation = client.confirm(operation.id, &step, &body, &call).await?;
    after_verb(context, &client, operation, &args).await
}

async fn target(args: &Verb) -> Result<(Client, Operation, HookRef)> {
    let client = connect(args.connection.clone())?;
    let operation = client.operation(id_of(&args.operation)?).await?;
    let step = step_of(&operation, &args.step)?;
    Ok((client, operation, step))
}

fn expected(args: &Verb) -> Result<Option<ExpectedStep>> {
    let state = args.expect_state.as_deref().map(|state| word(state, "state")).transpose()?;
    Ok((state.is_some() || args.expect_attempt.is_some())
        .then_some(ExpectedStep { state, attempt: args.expect_attempt }))
}

async fn after_verb(context: Context, client: &Client, operation: Operation, args: &Verb) -> Result<Exit> {
    match args.wait {
        Some(until) => {
            let (exit, operation) = wait(client, operation.id, operation.name.to_string(), until).await?;
            show(context, &operation)?;
            Ok(exit)
        }
        None => {
            show(context, &operation)?;
            Ok(Exit::Done)
        }
    }
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
