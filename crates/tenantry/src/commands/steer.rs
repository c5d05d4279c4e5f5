//! The verbs of `tenantry op`: what a person decides about a step or an operation.

use super::approval;
use super::op::show;
use super::resolve::{operation as id_of, step as step_of, until, usage, word};
use super::start::wait;
use super::{Context, connect};
use crate::cli::{Format, OperationVerbArgs, Verb, Wait};
use crate::exit::Exit;
use crate::output;
use anyhow::Result;
use std::collections::BTreeMap;
use tenantry_api_types::v1::{
    CancelOperation, ConfirmStep, ExpectedStep, HoldStep, IgnoreDependency, Operation, ReleaseStep,
    SteerOperation, VerbPreview,
};
use tenantry_client::{Call, Client, OperationVerb, Steered, StepVerb};
use tenantry_model::HookRef;

/// A verb on a step that needs nothing but the step.
pub async fn step(context: Context, args: Verb, verb: StepVerb) -> Result<Exit> {
    let (client, operation, step) = target(&args).await?;
    carry_out(context, &client, &operation, &step, verb, &args).await
}

/// `hold` and `stop`.
pub fn hold(end: Option<&str>) -> Result<HoldStep> {
    Ok(HoldStep { until: end.map(until).transpose()?, ..HoldStep::default() })
}

/// `release`.
pub fn release(hold: Option<&str>) -> Result<ReleaseStep> {
    let hold = hold
        .map(|text| text.parse().map_err(|error| usage(format!("--hold {text} is no UUID: {error}"))))
        .transpose()?;
    Ok(ReleaseStep { hold, ..ReleaseStep::default() })
}

/// `confirm`.
pub fn confirm(outputs: &[String]) -> Result<ConfirmStep> {
    let outputs: BTreeMap<String, String> = outputs
        .iter()
        .map(|entry| {
            let (key, value) =
                entry.split_once('=').ok_or_else(|| usage(format!("--set {entry}: write KEY=VALUE")))?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect::<Result<_>>()?;
    Ok(ConfirmStep { outputs, ..ConfirmStep::default() })
}

/// `ignore-dependency`.
pub async fn ignore_dependency(context: Context, args: Verb, on: Option<&str>) -> Result<Exit> {
    let (client, operation, step) = target(&args).await?;
    let on = on.map(|text| step_of(&operation, text)).transpose()?;
    let verb = StepVerb::IgnoreDependency(IgnoreDependency { on, ..IgnoreDependency::default() });
    carry_out(context, &client, &operation, &step, verb, &args).await
}

async fn target(args: &Verb) -> Result<(Client, Operation, HookRef)> {
    let client = connect(args.connection.clone())?;
    let operation = client.operation(id_of(&args.operation)?).await?;
    let step = step_of(&operation, &args.step)?;
    Ok((client, operation, step))
}

async fn carry_out(
    context: Context,
    client: &Client,
    operation: &Operation,
    step: &HookRef,
    verb: StepVerb,
    args: &Verb,
) -> Result<Exit> {
    let verb = verb.with(args.reason.clone(), expected(args)?);
    let call = Call { key: args.idempotency_key.clone(), validate_only: args.dry_run, ..Call::default() };
    let steered = client.steer(operation.id, step, &verb, &call).await?;
    after(context, client, steered, args.wait).await
}

fn expected(args: &Verb) -> Result<Option<ExpectedStep>> {
    let state = args.expect_state.as_deref().map(|state| word(state, "state")).transpose()?;
    Ok((state.is_some() || args.expect_attempt.is_some())
        .then_some(ExpectedStep { state, attempt: args.expect_attempt }))
}

/// `pause` and `resume`.
pub async fn operation(
    context: Context,
    args: OperationVerbArgs,
    verb: fn(SteerOperation) -> OperationVerb,
) -> Result<Exit> {
    let client = connect(args.connection)?;
    let body = SteerOperation { reason: args.reason, expected_state: None };
    let call = Call { key: args.idempotency_key, validate_only: args.dry_run, ..Call::default() };
    let steered = client.steer_operation(id_of(&args.operation)?, &verb(body), &call).await?;
    after(context, &client, steered, None).await
}

/// `cancel`: one that was waited for has done what was asked when the operation has ended, however.
pub async fn cancel(context: Context, args: OperationVerbArgs, until: Option<Wait>) -> Result<Exit> {
    let client = connect(args.connection)?;
    let reason = args.reason.unwrap_or_default();
    let verb = OperationVerb::Cancel(CancelOperation { reason, expected_state: None });
    let call = Call { key: args.idempotency_key, validate_only: args.dry_run, ..Call::default() };
    let steered = client.steer_operation(id_of(&args.operation)?, &verb, &call).await?;
    match (steered, until) {
        (Steered::Done(operation), Some(until)) => {
            let (_, ended) = wait(&client, operation.id, operation.name.to_string(), until).await?;
            show(context, &ended)?;
            Ok(if ended.done { Exit::Done } else { Exit::NeedsPerson })
        }
        (steered, _) => after(context, &client, steered, None).await,
    }
}

async fn after(context: Context, client: &Client, steered: Steered, until: Option<Wait>) -> Result<Exit> {
    match (steered, until) {
        (Steered::Preview(preview), _) => {
            show_preview(context, &preview)?;
            anstream::eprintln!("only checked: nothing was changed");
            Ok(Exit::Done)
        }
        (Steered::Pending(pending), _) => {
            approval::show(context, &pending)?;
            approval::tell_second_person(&pending);
            Ok(Exit::NeedsPerson)
        }
        (Steered::Done(operation), Some(until)) => {
            let (exit, operation) = wait(client, operation.id, operation.name.to_string(), until).await?;
            show(context, &operation)?;
            Ok(exit)
        }
        (Steered::Done(operation), None) => {
            show(context, &operation)?;
            Ok(Exit::Done)
        }
    }
}

/// What a verb would do, one line for each thing that would change.
pub fn show_preview(context: Context, preview: &VerbPreview) -> Result<()> {
    if context.format != Format::Table {
        return output::document(context.format, preview);
    }
    let attempts = |ids: &[tenantry_model::AttemptId]| -> Vec<String> {
        ids.iter().map(|id| format!("{} attempt {}", id.step.path(), id.number)).collect()
    };
    let steps = |hooks: &[HookRef]| hooks.iter().map(|hook| hook.path().to_string()).collect::<Vec<_>>();
    let dropped = preview.dropped.iter().map(|dropped| {
        let about = dropped.dependency.as_ref().map(|on| format!(" on {}", on.path())).unwrap_or_default();
        let decision = &dropped.decision;
        let reason = decision.reason.as_deref().unwrap_or("no reason given");
        format!("{}: {}{about} by {}: {reason}", dropped.step.path(), decision.verb, decision.by.name)
    });
    let lines: [(&'static str, Vec<String>); 11] = [
        ("would start", attempts(&preview.started)),
        ("would be killed", attempts(&preview.killed)),
        ("would be given up", attempts(&preview.lost)),
        ("would begin again", steps(&preview.reset)),
        ("would become stale", steps(&preview.stale)),
        ("would be settled", steps(&preview.settled)),
        ("would be held", steps(&preview.held)),
        ("would be released", steps(&preview.released)),
        ("would be cancelled", steps(&preview.cancelled)),
        ("decisions dropped", dropped.collect()),
        ("operation would be", preview.operation.iter().map(output::word).collect()),
    ];
    if lines.iter().all(|(_, what)| what.is_empty()) {
        return output::print("nothing would change\n");
    }
    output::one(context.format, preview, |_| {
        lines.into_iter().map(|(heading, what)| (heading, what.join("\n"))).collect()
    })
}
