//! `tenantry hook run`: one hook alone on this machine, through the process executor that a laptop's region uses.

use super::Context;
use super::resolve::{name, usage};
use crate::cli::HookCommand;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::wanted::{EnvironmentFile, pairs};
use anyhow::{Context as _, Result};
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tenantry_agent::executors::process::{ProcessConfig, ProcessExecutor, SecretsBy};
use tenantry_agent::executors::{Executor, Sink, StartError, StartRequest, TemplateEvent};
use tenantry_hook::{
    AnnotationDomains, AttemptRequest, Before, ChangesetDocument, EnvironmentDocument, Hook, ObjectStoreUse,
    RegionPolicy, parse, read_manifest,
};
use tenantry_model::{
    Actor, AttemptId, Environment, EnvironmentId, EnvironmentSpec, EnvironmentState, Fact, HookRef,
    Operation, OperationDefinition, OperationId, OperationState, Outcome, with_causes,
};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Runs the hook; ends with 0 when it did, with 1 when it failed.
pub async fn run(context: Context, command: HookCommand) -> Result<Exit> {
    let HookCommand::Run {
        file,
        environment,
        operation,
        name: wanted,
        secrets,
        volumes,
        parameters,
        annotation_domains,
    } = command
    else {
        return Ok(Exit::Usage);
    };
    let domains = AnnotationDomains::new(annotation_domains).map_err(usage)?;
    let (template, hook) = select(&file, wanted.as_deref(), &domains)?;
    let operation_name = name(&operation)?;
    if !hook.operations.contains(&operation_name) {
        let known: Vec<String> = hook.operations.iter().map(ToString::to_string).collect();
        return Err(usage(format!(
            "{} is not registered for {operation}, only for {}",
            hook.path,
            known.join(", ")
        )));
    }

    let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
    let root = scratch.path().join("root");
    map_folders(&root.join("secrets"), &hook, &secrets, "secret")?;
    map_folders(&root.join("volumes"), &hook, &volumes, "volume")?;

    let environment = environment_of(EnvironmentFile::read(&environment)?)?;
    let operation = operation_of(&environment, operation_name, pairs(&parameters, "parameter")?);
    let request = request(&environment, &operation, &hook)?;

    // ConfigMaps of the manifest's folder are found as a region finds them.
    let folder =
        file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut config = ProcessConfig::new(vec![folder.to_owned()], scratch.path().join("attempts"), root)
        .context("cannot find this program's own file")?;
    config.domains = domains;
    config.secrets_by = SecretsBy::Flag;
    config.object_store = Some(scratch.path().join("objects"));
    let executor = ProcessExecutor::new(config)?;
    let mut templates = executor.watch_templates();
    while let Some(event) = futures::StreamExt::next(&mut templates).await {
        if event == TemplateEvent::Complete {
            break;
        }
    }

    let (sender, facts) = mpsc::unbounded_channel();
    let outcome = match executor
        .start(StartRequest { request, hook, template, earlier_try: false }, Arc::new(Console { sender }))
        .await
    {
        Ok(()) => ended(facts).await?,
        Err(StartError::Refused(outcome)) => return Err(Failure::new(Exit::Refused, outcome.message).into()),
        Err(error) => return Err(Failure::new(Exit::Failed, with_causes(&error)).into()),
    };
    report(context, &outcome)
}

fn select(file: &Path, wanted: Option<&str>, domains: &AnnotationDomains) -> Result<(Value, Hook)> {
    let text =
        std::fs::read_to_string(file).map_err(|error| usage(format!("{}: {error}", file.display())))?;
    let said = |problems: Vec<String>| Failure::new(Exit::Refused, problems.join("\n"));
    let manifests = read_manifest(&text, &file.display().to_string(), domains).map_err(|findings| {
        said(
            findings
                .into_iter()
                .map(|f| format!("{}:{}: {}\n  {}", f.file, f.line, f.message, f.remedy))
                .collect(),
        )
    })?;
    let named = |template: &Value| {
        template.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let known: Vec<String> = manifests.iter().map(|(_, template)| named(template)).collect();
    let mut found =
        manifests.into_iter().filter(|(_, template)| wanted.is_none_or(|wanted| named(template) == wanted));
    let (line, template) = match (found.next(), found.next()) {
        (Some(one), None) => one,
        (None, _) => {
            return Err(usage(format!("{} holds these hooks: {}", file.display(), known.join(", "))));
        }
        (Some(_), Some(_)) => {
            return Err(usage(format!(
                "{} holds several hooks, choose one with --name: {}",
                file.display(),
                known.join(", ")
            )));
        }
    };
    let hook = parse(&template, domains, &RegionPolicy::default()).map_err(|problems| {
        let place = format!("{}:{line}", file.display());
        said(
            problems
                .into_iter()
                .map(|p| format!("{place}{}: {}\n  {}", p.pointer, p.message, p.remedy))
                .collect(),
        )
    })?;
    Ok((template, hook))
}

/// Makes `root/<namespace>/<name>` stand for the folder that was given.
fn map_folders(root: &Path, hook: &Hook, flags: &[String], flag: &str) -> Result<()> {
    let folder = root.join(hook.path.namespace.as_str());
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for entry in flags {
        let (name, target) =
            entry.split_once('=').ok_or_else(|| usage(format!("--{flag} {entry}: write NAME=FOLDER")))?;
        let target = PathBuf::from(target)
            .canonicalize()
            .map_err(|error| usage(format!("--{flag} {entry}: {target}: {error}")))?;
        let link = folder.join(name);
        std::os::unix::fs::symlink(&target, &link)
            .with_context(|| format!("cannot make {}", link.display()))?;
    }
    Ok(())
}

fn environment_of(file: EnvironmentFile) -> Result<Environment> {
    let now = Timestamp::now();
    Ok(Environment {
        id: file.id.unwrap_or_else(|| EnvironmentId(Uuid::now_v7())),
        tenant: file.tenant.map_or_else(|| name("laptop"), Ok)?,
        name: file.name.map_or_else(|| name("try"), Ok)?,
        aliases: file.aliases.unwrap_or_default(),
        labels: file.labels.unwrap_or_default(),
        region: file.region.map_or_else(|| name("local"), Ok)?,
        spec: EnvironmentSpec {
            apps: file.apps.unwrap_or_default(),
            settings: file.settings.unwrap_or_default(),
        },
        state: EnvironmentState::Active,
        generation: 1,
        revision: 1,
        version: 1,
        retention: None,
        created_at: now,
        updated_at: now,
    })
}

fn operation_of(
    environment: &Environment,
    name: tenantry_model::OperationName,
    parameters: serde_json::Map<String, Value>,
) -> Operation {
    let now = Timestamp::now();
    Operation {
        id: OperationId(Uuid::now_v7()),
        environment: environment.id,
        definition: OperationDefinition::undefined(name.clone()),
        name,
        batch: None,
        state: OperationState::Running,
        note: None,
        problem: None,
        generation: environment.generation,
        parameters,
        scheduled_time: None,
        requested_by: Actor::system(),
        reason: None,
        created_at: now,
        started_at: Some(now),
        ended_at: None,
        deadline_at: None,
        late: false,
        traceparent: None,
        cancel: None,
        pause: None,
        replay: None,
        cause: None,
        revision: 1,
    }
}

fn request(environment: &Environment, operation: &Operation, hook: &Hook) -> Result<AttemptRequest> {
    let step = HookRef::new(environment.region.clone(), hook.path.clone());
    Ok(AttemptRequest {
        attempt: AttemptId { operation: operation.id, step, number: 1 },
        nonce: Uuid::new_v4(),
        environment: environment.id,
        operation_name: operation.name.clone(),
        batch: None,
        scheduled_time: None,
        traceparent: None,
        environment_file: EnvironmentDocument::new(environment, operation, &BTreeMap::new()).to_yaml()?,
        changeset_file: ChangesetDocument::new(environment, Before::None).to_yaml()?,
        object_store: Some(ObjectStoreUse { operation: operation.id, read_only: false }),
    })
}

async fn ended(mut facts: mpsc::UnboundedReceiver<Fact>) -> Result<Outcome> {
    while let Some(fact) = facts.recv().await {
        match fact {
            Fact::Ended { outcome, .. } | Fact::NotStarted { outcome } => return Ok(outcome),
            Fact::Starting { .. } | Fact::Running { .. } | Fact::Unknown { .. } => {}
        }
    }
    anyhow::bail!("the executor ended without saying how the hook ended")
}

fn report(context: Context, outcome: &Outcome) -> Result<Exit> {
    if let Some(reason) = &outcome.reason {
        let code = outcome.exit_code.map(|code| format!(" (exit code {code})")).unwrap_or_default();
        let message = format!("{}{code}: {}", output::word(reason), outcome.message);
        return Err(Failure::new(Exit::Failed, message.trim_end_matches(": ")).into());
    }
    anstream::eprintln!("succeeded");
    if !outcome.outputs.is_empty() {
        let lines: Vec<String> =
            outcome.outputs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        match context.format {
            crate::cli::Format::Table => anstream::eprintln!("outputs: {}", lines.join(" ")),
            // stdout belongs to the hook's own log.
            _ => anstream::eprintln!("{}", serde_json::to_string(&outcome.outputs)?),
        }
    }
    Ok(Exit::Done)
}

/// Prints the hook's log on stdout and passes its facts on.
struct Console {
    sender: mpsc::UnboundedSender<Fact>,
}

#[async_trait]
impl Sink for Console {
    async fn fact(&self, _: &AttemptId, fact: Fact) {
        // Nobody listens any more once the end has been told.
        let _ = self.sender.send(fact);
    }

    async fn log(&self, _: &AttemptId, _: u64, bytes: Bytes) {
        if let Err(error) = output::bytes(&bytes) {
            anstream::eprintln!("tenantry: {error}");
        }
    }

    async fn log_end(&self, _: &AttemptId, _: u64) {}
}
