//! `tenantry agent`.

use super::{executor, joined, log, shutdown_on_signal, status};
use crate::cli::{AgentArgs, AgentCommand};
use crate::exit::{Exit, Failure};
use crate::settings::{self, Settings};
use anyhow::{Context, Result};
use std::path::PathBuf;
use tenantry_agent::{Agent, AgentConfig};

/// Runs until a signal. Attempts that run go on running.
pub async fn agent(args: AgentArgs) -> Result<Exit> {
    let (settings, drain) = match args.command {
        Some(AgentCommand::Drain { settings }) => (settings, true),
        None => (args.settings, false),
    };
    let settings: Settings<settings::Agent> =
        settings.resolve().map_err(|error| Failure::new(Exit::Usage, format!("{error:#}")))?;
    log::start(&settings)?;
    let folder = PathBuf::from(settings.need("folder")?);
    if drain {
        return let_go(&settings).await;
    }
    let executor = executor::executor(&settings, &folder).await?;
    let shutdown = shutdown_on_signal()?;
    let certificates = match settings.get("manager-ca-file") {
        Some(file) => vec![std::fs::read(file).with_context(|| format!("cannot read {file}"))?],
        None => Vec::new(),
    };
    let join_token = settings.get("join-token").map(|token| token.to_owned().into());
    let (client, region) =
        joined::client(settings.need("manager-url")?, &certificates, &folder, join_token).await?;
    anstream::eprintln!("tenantry agent speaks for region {region}");
    let config = AgentConfig {
        domains: executor::domains(&settings)?,
        policy: executor::policy(&settings)?,
        rejoin: format!(
            "Make a join token (tenantry region join-token {region}), remove {}, and start this agent again with it.",
            folder.join("credential").display()
        ),
        ..AgentConfig::new(folder.join("agent"), client)
    };
    if let Some(listen) = settings.parse("status-listen")? {
        status::serve(listen, config.status.clone(), shutdown.clone()).await?;
    }
    Agent::run(config, executor, shutdown).await?;
    Ok(Exit::Done)
}

/// Before uninstalling: no object may wait for a finalizer that nobody removes.
async fn let_go(settings: &Settings<settings::Agent>) -> Result<Exit> {
    let namespaces = executor::namespaces(settings)?;
    let drained = executor::kubernetes(settings).await?.drain(&namespaces).await?;
    anstream::eprintln!("let go of {} object(s)", drained.released);
    if drained.still_running > 0 {
        anstream::eprintln!("{} attempt(s) run on, and nobody will read their end", drained.still_running);
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
}
