//! `tenantry manager`, and the part of `up` that is the same.

use super::storage::{self, refused};
use super::{argo, log, notify, private, shutdown_on_signal};
use crate::cli::ManagerArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::settings::{OfGroup, Settings};
use anyhow::{Context, Result};
use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tenantry_api::{ApiConfig, Server, TlsFiles, serve};
use tenantry_engine::VerbKind;
use tenantry_manager::{ArgoSinks, Inbox, Manager, ManagerConfig, ManagerError, Outlet, PURGE};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long requests that run may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// A manager that answers.
pub struct Running {
    /// Its services.
    pub manager: Manager,
    /// Its HTTP server.
    pub server: Server,
    /// Where events for regions of Argo go, until [`Running::begin`].
    argo: ArgoSinks,
    /// Where all other events go, until then.
    outlets: Vec<Outlet>,
    /// Where operations are asked for, until then.
    inbox: Option<Inbox>,
    /// From [`Running::begin`] on.
    loops: Option<JoinHandle<()>>,
}

impl Running {
    /// Opens the data and starts the server. What comes by itself waits for [`Running::begin`]: a start that fails after all
    /// has then nothing to bring to an end.
    pub async fn start<G: OfGroup>(settings: &Settings<G>, data: &Path, listen: SocketAddr) -> Result<Self> {
        // A mistake in them is told before anything is touched.
        let outlets = notify::outlets(settings)?;
        let inbox = notify::inbox(settings)?;
        let (store, logs) = storage::open(settings, data).await?;
        let argo = argo::regions(settings)?;
        let mut config = configuration(settings, data)?;
        config.argo_regions = argo.iter().flat_map(|argo| argo.sinks.keys().cloned()).collect();
        for (region, page) in argo.iter().flat_map(|argo| argo.identities.pages()) {
            config.argo_pages.insert(region.clone(), page.to_owned());
        }
        let manager = Manager::new(store, logs, config);
        manager.declare_argo_regions().await?;
        if let Some(file) = settings.get("platform-schema") {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
            let schema = serde_json::from_str(&text).with_context(|| format!("{file} is no JSON"))?;
            manager.set_platform_schema(&tenantry_manager::Principal::system(), Some(schema)).await?;
        }
        let tls = match (settings.get("tls-cert"), settings.get("tls-key")) {
            (Some(certificate), Some(key)) => {
                Some(TlsFiles { certificate: PathBuf::from(certificate), key: PathBuf::from(key) })
            }
            (None, None) => None,
            _ => return Err(Failure::new(Exit::Usage, "tls-cert and tls-key go together").into()),
        };
        let (identities, argo) = argo.map(|argo| (argo.identities, argo.sinks)).unzip();
        let server = serve(ApiConfig { tls, identities, ..ApiConfig::new(listen) }, manager.clone())
            .await
            .map_err(|error| refused(&error))?;
        Ok(Self { manager, server, argo: argo.unwrap_or_default(), outlets, inbox, loops: None })
    }

    /// Starts the loops.
    pub fn begin(&mut self, shutdown: &CancellationToken) {
        let (manager, shutdown) = (self.manager.clone(), shutdown.clone());
        let (argo, outlets) = (std::mem::take(&mut self.argo), std::mem::take(&mut self.outlets));
        let inbox = self.inbox.take();
        self.loops = Some(tokio::spawn(async move {
            // Each ends by itself when it is told to; neither waits for the other.
            let workflows = async {
                if !argo.is_empty() {
                    manager.deliver_workflows(argo, shutdown.clone()).await;
                }
            };
            let publish = manager.publish(outlets, shutdown.clone());
            let take = async {
                if let Some(inbox) = inbox {
                    manager.take_messages(inbox, shutdown.clone()).await;
                }
            };
            tokio::join!(manager.run(shutdown.clone()), publish, workflows, take);
        }));
    }

    /// Ends: streams first, then the loops. What was committed is on disk already.
    pub async fn stop(self) -> Result<()> {
        self.server.stop(GRACE).await?;
        match self.loops {
            Some(loops) => loops.await.context("a loop of the manager broke off"),
            None => Ok(()),
        }
    }
}

fn configuration<G: OfGroup>(settings: &Settings<G>, data: &Path) -> Result<ManagerConfig> {
    let (purge, verbs): (Vec<String>, Vec<String>) =
        settings.list("four-eyes").into_iter().partition(|word| word == PURGE);
    let four_eyes = four_eyes(&verbs)?;
    let mut config =
        ManagerConfig { four_eyes, purge_four_eyes: !purge.is_empty(), ..ManagerConfig::default() };
    let duration = |key, into: &mut SignedDuration| -> Result<()> {
        if let Some(value) = settings.parse::<SignedDuration>(key)? {
            *into = value;
        }
        Ok(())
    };
    duration("agent-silent", &mut config.agent_silent_after)?;
    duration("absent-grace", &mut config.absent_grace)?;
    duration("workflow-silent", &mut config.workflow_silent_after)?;
    duration("retention", &mut config.default_retention)?;
    duration("purge-reminder", &mut config.purge_reminder)?;
    duration("held-too-long", &mut config.held_too_long)?;
    duration("approval-time", &mut config.approval_time)?;
    duration("replayable", &mut config.replayable)?;
    if let Some(value) = settings.parse("hold-cap")? {
        config.hold_cap = value;
    }
    duration("audit-heads-every", &mut config.audit.heads_every)?;
    duration("keep-answers", &mut config.idempotency_retention)?;
    if !config.idempotency_retention.is_positive() {
        // A request that is repeated after a broken connection would be carried out twice.
        return Err(Failure::new(Exit::Usage, "setting `keep-answers` must be longer than nothing").into());
    }
    config.event_max_age = config.event_max_age.min(config.idempotency_retention);
    duration("event-max-age", &mut config.event_max_age)?;
    if !config.event_max_age.is_positive() || config.event_max_age > config.idempotency_retention {
        // Nobody would remember that an old event was carried out.
        let message =
            "setting `event-max-age` must be longer than nothing and not longer than `keep-answers`";
        return Err(Failure::new(Exit::Usage, message).into());
    }
    let kept = |key, into: &mut Option<SignedDuration>| -> Result<()> {
        if let Some(value) = settings.parse::<SignedDuration>(key)? {
            if value.is_negative() {
                let message = format!("setting `{key}` must not be negative: everything would be old");
                return Err(Failure::new(Exit::Usage, message).into());
            }
            *into = (!value.is_zero()).then_some(value);
        }
        Ok(())
    };
    kept("keep-operations", &mut config.retention.operations)?;
    kept("keep-logs", &mut config.retention.logs)?;
    kept("keep-events", &mut config.retention.events)?;
    kept("keep-attention", &mut config.retention.attention)?;
    if let Some(value) = settings.parse("keep-newest")? {
        config.retention.newest = value;
    }
    config.event_source = notify::source(settings)?;
    config.audit.key_file =
        Some(settings.get("audit-key").map_or_else(|| data.join("audit-key.pem"), PathBuf::from));
    config.audit.heads_to = settings.get("audit-heads").map(PathBuf::from);
    if let Some(value) = settings.parse("audit-heads-after")? {
        config.audit.heads_after = value;
    }
    if let Some(value) = settings.parse("cross-namespace-after")? {
        config.cross_namespace_after = value;
    }
    for region in settings.list("further-regions") {
        config.further_regions.insert(region.parse().context("setting `further-regions`")?);
    }
    Ok(config)
}

/// The verbs that can be set to need a second person: those that change the truth by hand.
fn four_eyes(words: &[String]) -> Result<BTreeSet<VerbKind>> {
    const CAN: [VerbKind; 4] =
        [VerbKind::Confirm, VerbKind::IgnoreDependency, VerbKind::DeclareLost, VerbKind::Skip];
    let read = |word: &String| {
        CAN.into_iter().find(|verb| verb.name() == word).ok_or_else(|| {
            let known: Vec<&str> = CAN.iter().map(|verb| verb.name()).chain([PURGE]).collect();
            let message = format!("setting `four-eyes` knows {}; {word:?} is none of them", known.join(", "));
            Failure::new(Exit::Usage, message).into()
        })
    };
    words.iter().map(read).collect()
}

/// Shows the token that the first start makes. Before it is valid it lies in a file of its own, which goes when it was
/// shown: a crash in between would otherwise leave an installation that nobody can enter.
async fn show_first_token(manager: &Manager, data: &Path) -> Result<()> {
    let file = data.join("first-admin-token");
    let kept = match private::read(&file)? {
        Some(kept) => match manager.verify(&kept, None).await {
            Ok(_) => Some(SecretString::from(kept)),
            // It never came to be valid.
            Err(ManagerError::Unauthenticated(_)) => None,
            Err(error) => return Err(refused(&error)),
        },
        None => None,
    };
    let keep = |secret: &SecretString| {
        private::write(&file, secret.expose_secret()).map_err(|error| format!("{error:#}"))
    };
    let secret = match kept {
        Some(kept) => Some(kept),
        None => {
            let issued = manager.ensure_admin_token_kept(keep).await.map_err(|error| refused(&error))?;
            issued.map(|issued| issued.secret)
        }
    };
    if let Some(secret) = secret {
        anstream::eprintln!("the first start made an admin token; it is shown only now:");
        output::print(&format!("{}\n", secret.expose_secret()))?;
    }
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// Runs until a signal.
pub async fn manager(args: ManagerArgs) -> Result<Exit> {
    let settings =
        args.settings.resolve().map_err(|error| Failure::new(Exit::Usage, format!("{error:#}")))?;
    log::start(&settings)?;
    let shutdown = shutdown_on_signal()?;
    let data = PathBuf::from(settings.need("data")?);
    let listen = settings.parse("listen")?.context("setting `listen` is missing")?;
    let mut running = Running::start(&settings, &data, listen).await?;
    // A store that breaks just now: requests that were taken in meanwhile end in good order.
    if let Err(error) = show_first_token(&running.manager, &data).await {
        running.stop().await?;
        return Err(error);
    }
    running.begin(&shutdown);
    anstream::eprintln!("tenantry manager is ready at {}", running.server.url());
    tokio::select! {
        () = shutdown.cancelled() => {}
        ended = running.server.ended() => {
            ended?;
        }
    }
    running.stop().await?;
    Ok(Exit::Done)
}
