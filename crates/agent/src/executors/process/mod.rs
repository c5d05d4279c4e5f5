//! Runs attempts as processes of this machine, from the same manifests as a cluster.
//!
//! Each attempt has a folder and a shim of its own ([`crate::shim`]); the folder's lock and files are the truth, so
//! that nothing is lost with the agent. It must never know the manager.

mod config;
mod containers;
mod folder;
mod follow;
mod manifests;
mod mounts;
mod prepare;
mod watch;

pub use config::{ProcessConfig, SecretsBy};
pub use containers::ContainerRuntime;

use crate::{
    AgentError,
    executors::{
        Executor, ExecutorError, Found, KnownAttempt, Sink, StartError, StartRequest, TemplateEvent,
    },
    orders::outcome,
    shim::files::{End, ShimSpec},
};
use async_trait::async_trait;
use folder::{AttemptFolder, Condition, Identity};
use follow::Follower;
use futures::{StreamExt, stream::BoxStream};
use manifests::{ConfigMaps, Folders};
use rustix::fs::{MemfdFlags, memfd_create};
use std::{
    collections::HashSet,
    fs::File,
    io::{self, Write},
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tenantry_failpoints::Point;
use tenantry_hook::attempt_name;
use tenantry_model::{AttemptId, FailureReason, KillCause};
use tokio::process::{Child, Command};
use tokio_util::sync::{CancellationToken, DropGuard};
use watch::Watches;

/// Kubernetes' own default of `terminationGracePeriodSeconds`.
const DEFAULT_GRACE_SECONDS: u64 = 30;
/// How often folders of released attempts are looked at.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// The process executor.
pub struct ProcessExecutor {
    config: ProcessConfig,
    config_maps: ConfigMaps,
    host: String,
    followed: Arc<Mutex<HashSet<AttemptId>>>,
    watches: Watches,
    /// Dropped with the executor: nobody follows then. The hooks go on, and the next agent finds them.
    over: DropGuard,
}

impl ProcessExecutor {
    /// Checks the folders of the configuration and makes its own.
    pub fn new(mut config: ProcessConfig) -> Result<Self, AgentError> {
        for folder in &config.manifests {
            if !folder.is_dir() {
                return Err(AgentError::Executor(format!(
                    "the folder of manifests {} does not exist: create it or name another",
                    folder.display()
                )));
            }
        }
        for folder in [Some(&mut config.folder), Some(&mut config.root), config.object_store.as_mut()] {
            let Some(folder) = folder else { continue };
            std::fs::create_dir_all(&*folder).map_err(AgentError::folder("create", &*folder))?;
            *folder = folder.canonicalize().map_err(AgentError::folder("open", &*folder))?;
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        Ok(Self {
            config,
            config_maps: ConfigMaps::default(),
            host,
            followed: Arc::default(),
            watches: Watches::default(),
            over: CancellationToken::new().drop_guard(),
        })
    }

    /// Removes folders of attempts that were released and are kept no longer.
    async fn sweep(attempts: PathBuf, keep: Duration) {
        loop {
            for entry in std::fs::read_dir(&attempts).into_iter().flatten().flatten() {
                let folder = AttemptFolder { path: entry.path() };
                let is_old = folder.released_at().is_some_and(|at| at.elapsed().is_ok_and(|age| age >= keep));
                let nonce = folder.identity().ok().flatten().map(|identity| identity.nonce);
                if let (true, Some(nonce)) = (is_old, nonce)
                    && matches!(folder.condition(nonce), Ok(Condition::Ended(_) | Condition::Nothing(_)))
                    && let Err(error) = folder.remove()
                {
                    tracing::warn!(folder = %folder.path.display(), %error, "cannot be removed");
                }
            }
            tokio::time::sleep(SWEEP_EVERY).await;
        }
    }

    fn folder(&self, attempt: &AttemptId) -> AttemptFolder {
        AttemptFolder { path: self.config.folder.join(attempt_name(attempt)) }
    }

    /// The folder, if it belongs to exactly this attempt.
    fn folder_of(&self, attempt: &KnownAttempt) -> io::Result<Option<(AttemptFolder, Identity)>> {
        let folder = self.folder(&attempt.attempt);
        let identity = folder.identity()?;
        Ok(identity.filter(|i| i.nonce == attempt.nonce && i.attempt == attempt.attempt).map(|i| (folder, i)))
    }

    fn is_followed(&self, attempt: &AttemptId) -> bool {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner).contains(attempt)
    }

    fn follow(
        &self,
        identity: Identity,
        folder: AttemptFolder,
        offset: u64,
        shim: Option<Child>,
        sink: Arc<dyn Sink>,
    ) {
        let attempt = identity.attempt.clone();
        if !self.followed.lock().unwrap_or_else(PoisonError::into_inner).insert(attempt.clone()) {
            return;
        }
        let set = Arc::clone(&self.followed);
        // Before the first look: what happens after it is told.
        let watch = self.watches.watch(&folder.path);
        let over = self.over.token().clone();
        let follower = Follower::new(identity, folder, sink, offset, self.host.clone(), watch, over);
        tokio::spawn(async move {
            follower.follow(shim).await;
            set.lock().unwrap_or_else(PoisonError::into_inner).remove(&attempt);
        });
    }

    fn prepare_and_spawn(
        &self,
        start: &StartRequest,
        folder: &AttemptFolder,
    ) -> Result<Option<Child>, StartError> {
        let unanswered =
            |e: io::Error| StartError::Unanswered(ExecutorError::platform("start the attempt's shim", e));
        let identity = Identity {
            attempt: start.request.attempt.clone(),
            nonce: start.request.nonce,
            grace_seconds: grace_of(start),
        };
        match folder.identity().map_err(unanswered)? {
            Some(known) if known.attempt != identity.attempt || known.nonce != identity.nonce => {
                let message = format!("{} belongs to another attempt", folder.path.display());
                return Err(StartError::Refused(Box::new(outcome(FailureReason::NameCollision, message))));
            }
            _ => folder.create(&identity).map_err(unanswered)?,
        }
        // From here on nobody else starts it; the shim inherits the lock, so there is no gap.
        match folder.condition(identity.nonce).map_err(unanswered)? {
            Condition::Nothing(lock) => {
                Point::FolderMade.reached();
                let spec = match prepare::prepare(&self.config, &self.config_maps, start, folder) {
                    Ok(spec) => spec,
                    Err(error) => {
                        if let StartError::Refused(refused) = &error {
                            let message = refused.message.clone();
                            folder
                                .write_end(End::NotStarted { killed: false, message })
                                .map_err(unanswered)?;
                        }
                        return Err(error);
                    }
                };
                let shim = self.spawn_shim(&spec, lock, folder).map_err(unanswered)?;
                Point::ShimStarted.reached();
                Ok(Some(shim))
            }
            Condition::Running | Condition::Ended(_) | Condition::Left(..) => Ok(None),
        }
    }

    fn spawn_shim(&self, spec: &ShimSpec, lock: File, folder: &AttemptFolder) -> io::Result<Child> {
        // Values of secrets are in it: it never touches a disk, and no command line shows it.
        let mut memory = File::from(memfd_create("tenantry-shim", MemfdFlags::CLOEXEC)?);
        memory.write_all(&serde_json::to_vec(spec)?)?;
        let (program, args) =
            self.config.shim.split_first().ok_or_else(|| io::Error::other("no shim is configured"))?;
        Command::new(program)
            .args(args)
            .arg(&folder.path)
            .env_clear()
            .current_dir("/")
            .stdin(lock)
            .stdout(memory)
            .stderr(Stdio::null())
            .kill_on_drop(false)
            .spawn()
    }
}

#[async_trait]
impl Executor for ProcessExecutor {
    fn kind(&self) -> tenantry_model::Executor {
        tenantry_model::Executor::Process
    }

    fn watch_templates(&self) -> BoxStream<'static, TemplateEvent> {
        tokio::spawn(Self::sweep(self.config.folder.clone(), self.config.keep_failed));
        let folders = Folders::new(
            self.config.manifests.clone(),
            self.config.domains.clone(),
            self.config_maps.clone(),
        );
        let poll = self.config.manifest_poll;
        futures::stream::unfold((folders, true), move |(mut folders, first)| async move {
            if !first {
                tokio::time::sleep(poll).await;
            }
            // A folder may be large and its disk slow.
            let looked = tokio::task::spawn_blocking(move || {
                let events = folders.look();
                (events, folders)
            });
            let (events, folders) = looked.await.ok()?;
            Some((futures::stream::iter(events), (folders, false)))
        })
        .flatten()
        .boxed()
    }

    async fn start(&self, start: StartRequest, sink: Arc<dyn Sink>) -> Result<(), StartError> {
        let attempt = start.request.attempt.clone();
        if self.is_followed(&attempt) {
            return Ok(());
        }
        let folder = self.folder(&attempt);
        let shim = self.prepare_and_spawn(&start, &folder)?;
        let nonce = start.request.nonce;
        let identity = Identity { attempt, nonce, grace_seconds: grace_of(&start) };
        self.follow(identity, folder, 0, shim, sink);
        Ok(())
    }

    async fn find(&self, attempt: KnownAttempt, sink: Arc<dyn Sink>) -> Result<Found, ExecutorError> {
        if self.is_followed(&attempt.attempt) {
            return Ok(Found::Here);
        }
        let unreadable = |e| ExecutorError::platform("read the attempt's folder", e);
        let Some((folder, identity)) = self.folder_of(&attempt).map_err(unreadable)? else {
            return Ok(Found::Absent);
        };
        if let Condition::Nothing(_) = folder.condition(attempt.nonce).map_err(unreadable)? {
            return Ok(Found::Absent);
        }
        self.follow(identity, folder, attempt.log_from, None, sink);
        Ok(Found::Here)
    }

    async fn kill(&self, attempt: &KnownAttempt, _cause: KillCause) -> Result<Found, ExecutorError> {
        let failed = |e| ExecutorError::platform("end the attempt", e);
        let Some((folder, identity)) = self.folder_of(attempt).map_err(failed)? else {
            return Ok(Found::Absent);
        };
        // A shim of this agent that has not come to its lock's first use is running all the same.
        if !self.is_followed(&attempt.attempt)
            && let Condition::Nothing(_) = folder.condition(attempt.nonce).map_err(failed)?
        {
            return Ok(Found::Absent);
        }
        folder.ask_to_end(identity.grace_seconds).map_err(failed)?;
        Ok(Found::Here)
    }

    async fn release(&self, attempt: &KnownAttempt) -> Result<(), ExecutorError> {
        let failed = |e| ExecutorError::platform("clean up after the attempt", e);
        let Some((folder, _)) = self.folder_of(attempt).map_err(failed)? else { return Ok(()) };
        let removable = !self.is_followed(&attempt.attempt)
            && matches!(
                folder.condition(attempt.nonce).map_err(failed)?,
                Condition::Ended(exit) if exit.end == End::Code(0)
            );
        // Failed ones are kept for a while, and one that still runs (declared lost) until it has ended.
        if removable { folder.remove() } else { folder.mark_released() }.map_err(failed)
    }
}

fn grace_of(start: &StartRequest) -> u64 {
    let grace = start.template.pointer("/spec/template/spec/terminationGracePeriodSeconds");
    grace.and_then(serde_json::Value::as_u64).unwrap_or(DEFAULT_GRACE_SECONDS)
}
