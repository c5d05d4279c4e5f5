//! `tenantry agent`, and how settings become an executor.

use super::{joined, log, shutdown_on_signal};
use crate::cli::{AgentArgs, AgentCommand};
use crate::exit::{Exit, Failure};
use crate::settings::{self, OfGroup, Settings};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tenantry_agent::executors::Executor;
use tenantry_agent::executors::kubernetes::{KubernetesConfig, KubernetesExecutor};
use tenantry_agent::executors::process::{ProcessConfig, ProcessExecutor};
use tenantry_agent::{Agent, AgentConfig};
use tenantry_hook::{AnnotationDomains, RegionPolicy};

/// The executor that the settings name. `folder` is the agent's own.
pub async fn executor<G: OfGroup>(settings: &Settings<G>, folder: &Path) -> Result<Arc<dyn Executor>> {
    match settings.need("executor")? {
        "process" => {
            let templates = settings
                .need("templates")
                .map_err(|error| Failure::new(Exit::Usage, format!("{error:#}")))?;
            let root = settings.get("root").map_or_else(|| folder.join("root"), PathBuf::from);
            let objects = settings.get("object-store").map_or_else(|| folder.join("objects"), PathBuf::from);
            let mut config =
                ProcessConfig::new(vec![PathBuf::from(templates)], folder.join("attempts"), root)
                    .context("cannot find this program's own file")?;
            config.domains = domains(settings)?;
            config.object_store = Some(objects);
            Ok(Arc::new(ProcessExecutor::new(config)?))
        }
        "kubernetes" => {
            let mut config = KubernetesConfig { domains: domains(settings)?, ..KubernetesConfig::default() };
            config.kubeconfig = settings.get("kubeconfig").map(PathBuf::from);
            config.namespaces = settings.list("namespaces");
            config.policy.object_store_claim = settings.get("object-store-claim").map(str::to_owned);
            Ok(Arc::new(KubernetesExecutor::connect(config).await?))
        }
        other => {
            Err(Failure::new(Exit::Usage, format!("executor {other:?}: use process or kubernetes")).into())
        }
    }
}

/// How the agent is configured besides its executor.
pub fn domains<G: OfGroup>(settings: &Settings<G>) -> Result<AnnotationDomains> {
    AnnotationDomains::new(settings.list("annotation-domains")).context("setting `annotation-domains`")
}

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
    let executor = executor(&settings, &folder).await?;
    if drain {
        let released = executor.drain().await?;
        anstream::eprintln!("let go of {released} object(s)");
        return Ok(Exit::Done);
    }
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
        domains: domains(&settings)?,
        policy: RegionPolicy::default(),
        ..AgentConfig::new(folder.join("agent"), client)
    };
    Agent::run(config, executor, shutdown).await?;
    Ok(Exit::Done)
}
