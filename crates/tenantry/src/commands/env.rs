//! `tenantry env …`

use super::resolve::{environment, name, usage, word};
use super::start::{call, environment_lines, finish};
use super::{Context, connect, connect::all};
use crate::cli::{EnvCommand, EnvOperation, StartArgs, Wanted};
use crate::exit::Exit;
use crate::output::{self, Rows};
use crate::wanted;
use anyhow::Result;
use jiff::Timestamp;
use serde_json::Map;
use tenantry_api_types::v1::{
    Accepted, CreateEnvironment, DecommissionEnvironment, Environment, EnvironmentsQuery, RestoreEnvironment,
    StartOperation, UpdateEnvironment,
};
use tenantry_client::{Call, Client};
use tenantry_model::{EnvironmentId, EnvironmentSpec, EnvironmentState};

impl Rows for Environment {
    const HEADINGS: &'static [&'static str] = &["environment", "id", "region", "state", "generation"];
    fn cells(&self) -> Vec<String> {
        vec![
            format!("{}/{}", self.tenant, self.name),
            self.id.to_string(),
            self.region.to_string(),
            output::word(&self.state),
            self.generation.to_string(),
        ]
    }
}

/// Runs the command.
pub async fn run(context: Context, command: EnvCommand) -> Result<Exit> {
    match command {
        EnvCommand::Create { name, region, wanted, start, connection } => {
            let client = connect(connection)?;
            let body = create_body(name.as_deref(), region.as_deref(), &wanted, &start)?;
            let accepted = client.create_environment(&body, &call(&start)).await?;
            finish(context, &client, accepted, &start).await
        }
        EnvCommand::Get { environment: text, connection } => {
            let client = connect(connection)?;
            let found = environment(&client, &text).await?;
            output::one(context.format, &found, detail)?;
            Ok(Exit::Done)
        }
        EnvCommand::List { tenant, region, state, show_purged, retention_over, limit, connection } => {
            let client = connect(connection)?;
            let query = EnvironmentsQuery {
                tenant: tenant.as_deref().map(name).transpose()?,
                region: region.as_deref().map(name).transpose()?,
                state: if retention_over {
                    Some(EnvironmentState::Decommissioned)
                } else {
                    state.as_deref().map(|state| word(state, "state")).transpose()?
                },
                show_purged,
                ..EnvironmentsQuery::default()
            };
            let mut items = all(limit, |page_size, page_token| {
                let query = EnvironmentsQuery { page_size: Some(page_size), page_token, ..query.clone() };
                let client = &client;
                async move { client.environments(&query).await }
            })
            .await?;
            if retention_over {
                let now = Timestamp::now();
                items.retain(|found| found.retention.as_ref().is_none_or(|retention| retention.until <= now));
            }
            output::list(context.format, &items)?;
            Ok(Exit::Done)
        }
        EnvCommand::Update { environment: text, wanted, if_match, start, connection } => {
            let client = connect(connection)?;
            let now = environment(&client, &text).await?;
            let body = update_body(&now, &wanted, &start)?;
            let call = Call { if_match: Some(if_match.unwrap_or_else(|| now.etag.clone())), ..call(&start) };
            let accepted = client.update_environment(now.id, &body, &call).await?;
            finish(context, &client, accepted, &start).await
        }
        EnvCommand::Reconcile(args) => simple(context, args, Lifecycle::Reconcile).await,
        EnvCommand::Suspend(args) => simple(context, args, Lifecycle::Suspend).await,
        EnvCommand::Resume(args) => simple(context, args, Lifecycle::Resume).await,
        EnvCommand::Backup(args) => simple(context, args, Lifecycle::Backup).await,
        EnvCommand::Decommission { retention, operation } => {
            let EnvOperation { environment: text, conflict, start, connection } = operation;
            let client = connect(connection)?;
            let id = environment(&client, &text).await?.id;
            let retention = retention
                .map(|text| text.parse().map_err(|error| usage(format!("--retention {text}: {error}"))))
                .transpose()?;
            let body = DecommissionEnvironment {
                retention,
                reason: start.reason.clone(),
                on_conflict: conflict.policy(),
                ..DecommissionEnvironment::default()
            };
            let accepted = client.decommission(id, &body, &call(&start)).await?;
            finish(context, &client, accepted, &start).await
        }
        EnvCommand::Purge(args) => super::purge::run(context, args).await,
        EnvCommand::Undelete(args) => simple(context, args, Lifecycle::Undelete).await,
        EnvCommand::Restore {
            backup,
            operation: EnvOperation { environment: text, conflict, start, connection },
        } => {
            let client = connect(connection)?;
            let now = environment(&client, &text).await?;
            let backup = backup.as_deref().map(super::resolve::operation).transpose()?;
            let body = RestoreEnvironment {
                backup,
                reason: start.reason.clone(),
                on_conflict: conflict.policy(),
                ..RestoreEnvironment::default()
            };
            let accepted = client.restore(now.id, &body, &call(&start)).await?;
            finish(context, &client, accepted, &start).await
        }
    }
}

#[derive(Clone, Copy)]
enum Lifecycle {
    Reconcile,
    Suspend,
    Resume,
    Backup,
    Undelete,
}

async fn simple(context: Context, args: EnvOperation, lifecycle: Lifecycle) -> Result<Exit> {
    let EnvOperation { environment: text, conflict, start, connection } = args;
    let client = connect(connection)?;
    let id = environment(&client, &text).await?.id;
    let body = StartOperation {
        reason: start.reason.clone(),
        on_conflict: conflict.policy(),
        ..StartOperation::default()
    };
    let accepted = request(&client, id, lifecycle, &body, &call(&start)).await?;
    finish(context, &client, accepted, &start).await
}

async fn request(
    client: &Client,
    id: EnvironmentId,
    lifecycle: Lifecycle,
    body: &StartOperation,
    call: &Call,
) -> tenantry_client::Result<Accepted> {
    match lifecycle {
        Lifecycle::Reconcile => client.reconcile(id, body, call).await,
        Lifecycle::Suspend => client.suspend(id, body, call).await,
        Lifecycle::Resume => client.resume(id, body, call).await,
        Lifecycle::Backup => client.backup(id, body, call).await,
        Lifecycle::Undelete => client.undelete(id, body, call).await,
    }
}

fn create_body(
    name_flag: Option<&str>,
    region: Option<&str>,
    flags: &Wanted,
    start: &StartArgs,
) -> Result<CreateEnvironment> {
    let file = wanted::read(flags, None)?;
    let (tenant, own) = match name_flag {
        Some(text) => {
            let (tenant, own) =
                text.split_once('/').ok_or_else(|| usage(format!("{text}: write TENANT/NAME")))?;
            (Some(name(tenant)?), Some(name(own)?))
        }
        None => (file.tenant, file.name),
    };
    let mut labels = file.labels.unwrap_or_default();
    wanted::label(&mut labels, &flags.labels)?;
    let region = match region {
        Some(text) => Some(name(text)?),
        None => file.region,
    };
    Ok(CreateEnvironment {
        id: file.id,
        tenant: tenant.ok_or_else(|| usage("which tenant? give TENANT/NAME, or `tenant` in the file"))?,
        name: own.ok_or_else(|| usage("which name? give TENANT/NAME, or `name` in the file"))?,
        aliases: file.aliases.unwrap_or_default(),
        labels,
        region: region.ok_or_else(|| usage("which region? give --region, or `region` in the file"))?,
        spec: EnvironmentSpec {
            apps: file.apps.unwrap_or_default(),
            settings: file.settings.unwrap_or_default(),
        },
        reason: start.reason.clone(),
    })
}

fn update_body(now: &Environment, flags: &Wanted, start: &StartArgs) -> Result<UpdateEnvironment> {
    let file = wanted::read(flags, Some(&now.spec))?;
    if file.tenant.as_ref().is_some_and(|tenant| *tenant != now.tenant) {
        return Err(usage("an environment cannot change its tenant"));
    }
    let labels = if file.labels.is_some() || !flags.labels.is_empty() {
        let mut labels = file.labels.unwrap_or_else(|| now.labels.clone());
        wanted::label(&mut labels, &flags.labels)?;
        Some(labels)
    } else {
        None
    };
    let spec = (file.apps.is_some() || file.settings.is_some()).then(|| EnvironmentSpec {
        apps: file.apps.unwrap_or_else(|| now.spec.apps.clone()),
        settings: file.settings.unwrap_or_else(|| now.spec.settings.clone()),
    });
    if file.name.as_ref().is_some_and(|name| *name != now.name) {
        return Err(usage("an environment cannot change its name; an alias gives it a further one"));
    }
    let region = file.region.filter(|region| *region != now.region);
    if file.aliases.is_none() && labels.is_none() && spec.is_none() && region.is_none() {
        return Err(usage("nothing to change: give --file, --set, --label or --alias"));
    }
    Ok(UpdateEnvironment { aliases: file.aliases, labels, region, spec, reason: start.reason.clone() })
}

fn detail(environment: &Environment) -> Vec<(&'static str, String)> {
    let mut lines = environment_lines(environment);
    let document =
        |value: &Map<String, serde_json::Value>| serde_saphyr::to_string(value).unwrap_or_default();
    if !environment.spec.apps.is_empty() {
        lines.push(("apps", document(&environment.spec.apps)));
    }
    if !environment.spec.settings.is_empty() {
        lines.push(("settings", document(&environment.spec.settings)));
    }
    if let Some(status) = &environment.status {
        let running: Vec<String> = status.unfinished.iter().map(ToString::to_string).collect();
        let dirty: Vec<String> =
            status.applied.iter().filter(|row| row.dirty).map(|row| row.hook.to_string()).collect();
        lines.push(("running", running.join("\n")));
        lines.push(("dirty hooks", dirty.join("\n")));
    }
    lines.push(("etag", environment.etag.clone()));
    lines
}
