//! `tenantry up`: manager and agent in one process, over the same HTTP as between two machines.

use super::{executor, joined, log, manager::Running, private, shutdown_on_signal};
use crate::cli::UpArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tenantry_agent::{Agent, AgentConfig};
use tenantry_manager::{Manager, ManagerError, Principal};
use tenantry_model::{AgentSessionId, RegionName};

/// How long "ready" waits for the hooks of the region.
const HOOKS_DEADLINE: Duration = Duration::from_secs(10);
/// How often it looks whether they are there; a read of one row in memory.
const HOOKS_POLL: Duration = Duration::from_millis(20);

/// Runs until a signal.
pub async fn up(args: UpArgs) -> Result<Exit> {
    let settings =
        args.settings.resolve().map_err(|error| Failure::new(Exit::Usage, format!("{error:#}")))?;
    log::start(&settings)?;
    let shutdown = shutdown_on_signal()?;
    let region: RegionName =
        args.region.parse().map_err(|error| Failure::new(Exit::Usage, format!("--region: {error}")))?;
    // Dropped last: the folder goes when everything in it has ended.
    let scratch =
        args.temporary.then(tempfile::tempdir).transpose().context("cannot make a temporary folder")?;
    let (data, listen) = match &scratch {
        Some(folder) => (folder.path().to_owned(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        None => (
            PathBuf::from(settings.need("data")?),
            settings.parse("listen")?.context("setting `listen` is missing")?,
        ),
    };
    let folder = data.join("agent");
    let executor = executor::executor(&settings, &folder).await?;
    let mut running = Running::start(&settings, &data, listen).await?;
    running.begin(&shutdown);
    let url = running.server.url();
    let token = admin_token(&running.manager, &data).await?;

    let told_before = session(&running.manager, &region).await;
    let join_token = join(&running.manager, &region, &folder).await?;
    let (client, _) = joined::client(&url, &[], &folder, join_token).await?;
    let config = AgentConfig {
        domains: executor::domains(&settings)?,
        policy: executor::policy(&settings)?,
        ..AgentConfig::new(folder.join("agent"), client)
    };
    let mut agent = tokio::spawn(Agent::run(config, executor, shutdown.clone()));

    let greeting = async {
        let known = hooks_known(&running.manager, &region, told_before).await;
        if let Some(file) = &args.env_file {
            let token = token.as_deref().unwrap_or_default();
            private::write(file, &format!("TENANTRY_URL={url}\nTENANTRY_TOKEN={token}\n"))?;
        }
        greet(&url, token.as_deref(), &region, known)?;
        std::future::pending::<Result<()>>().await
    };
    let mut agent_ended = None;
    tokio::select! {
        () = shutdown.cancelled() => {}
        ended = running.server.ended() => ended?,
        ended = &mut agent => agent_ended = Some(ended),
        failed = greeting => failed?,
    }
    shutdown.cancel();
    let agent_ended = match agent_ended {
        Some(ended) => ended,
        None => agent.await,
    };
    running.stop().await?;
    agent_ended.context("the agent broke off")??;
    Ok(Exit::Done)
}

/// The admin token. A laptop keeps it in a file beside the data that only its owner may read, so that a second `up`
/// can print it again.
async fn admin_token(manager: &Manager, data: &Path) -> Result<Option<String>> {
    let file = data.join("admin-token");
    let keep = |secret: &SecretString| {
        private::write(&file, secret.expose_secret()).map_err(|error| format!("{error:#}"))
    };
    manager.ensure_admin_token_kept(keep).await?;
    private::read(&file)
}

/// Makes the region on the first start, and a join token when the agent has no credential yet.
async fn join(manager: &Manager, region: &RegionName, folder: &Path) -> Result<Option<SecretString>> {
    if joined::has_joined(folder)? {
        return Ok(None);
    }
    match manager.create_region(&Principal::system(), region.clone()).await {
        Ok(_) | Err(ManagerError::Exists { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Some(manager.create_join_token(&Principal::system(), region).await?.secret))
}

/// Who last spoke for the region; nobody for one that is not there yet.
async fn session(manager: &Manager, region: &RegionName) -> Option<AgentSessionId> {
    manager.region(region).await.ok().and_then(|row| row.session)
}

/// Waits until the agent of this life has told its hooks: who reads "ready" may ask what an operation would run. Not for
/// ever, because a cluster that does not answer is seen best in a manager that does.
async fn hooks_known(manager: &Manager, region: &RegionName, before: Option<AgentSessionId>) -> bool {
    let told = async {
        loop {
            match manager.region(region).await {
                Ok(row) if row.session != before && row.inventory_complete => break,
                _ => tokio::time::sleep(HOOKS_POLL).await,
            }
        }
    };
    tokio::time::timeout(HOOKS_DEADLINE, told).await.is_ok()
}

fn greet(url: &str, token: Option<&str>, region: &RegionName, known: bool) -> Result<()> {
    let token = token.unwrap_or("(shown at the first start)");
    if !known {
        tracing::warn!(%region, "the hooks of the region are not known yet: operations wait for them");
    }
    output::print(&format!(
        "tenantry is ready at {url}\n\n  export TENANTRY_URL={url}\n  export TENANTRY_TOKEN={token}\n\nTry:\n  \
         tenantry hook list\n  \
         tenantry tenant create acme && tenantry env create -f examples/saas/environment.yaml --region {region} --wait\n  \
         tenantry op list\n"
    ))
}
