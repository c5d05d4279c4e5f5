//! Follows one attempt until it is over: its log, its start, its end. One task, no thread.
//!
//! It only reads the attempt's folder, so it goes on the same whether this agent or an earlier one started the shim. The
//! kernel tells when to look; looking now and then all the same makes up for what it does not tell.

use super::{
    folder::{AttemptFolder, Condition, Identity},
    watch::Watch,
};
use crate::{
    executors::Sink,
    orders::outcome,
    shim::{
        container::{Container, Wish},
        files::{self, End, ExitFile},
        processes,
    },
};
use bytes::Bytes;
use rustix::process::Signal;
use std::{collections::BTreeMap, fs::File, io, os::unix::fs::FileExt, sync::Arc, time::Duration};
use tenantry_hook::parse_outputs;
use tenantry_model::{Fact, FailureReason, Outcome};
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

/// Between two looks while something happens: a hook that writes line by line costs no more than this. It grows while
/// nothing happens.
const FAST: Duration = Duration::from_millis(2);
/// Longest time between two looks at a folder of which the kernel tells nothing.
const UNTOLD: Duration = Duration::from_millis(50);
/// The same where changes are told: what was told too early (a lock is let go just after its file is closed) or never.
const TOLD: Duration = Duration::from_secs(1);
/// Between two looks at what a shim that is gone has left.
const LEFT: Duration = Duration::from_millis(250);
/// Read from the log at once.
const CHUNK: usize = 256 * 1024;

pub(super) struct Follower {
    pub identity: Identity,
    pub folder: AttemptFolder,
    pub sink: Arc<dyn Sink>,
    pub offset: u64,
    pub host: String,
    pub watch: Watch,
    /// Nobody wants to know any more; whoever ends the agent may remove the folder.
    pub over: CancellationToken,
    running_told: bool,
    left_told: bool,
    wish: Wish,
    log: Option<File>,
}

impl Follower {
    pub fn new(
        identity: Identity,
        folder: AttemptFolder,
        sink: Arc<dyn Sink>,
        offset: u64,
        host: String,
        watch: Watch,
        over: CancellationToken,
    ) -> Self {
        let (running_told, left_told, log) = (false, false, None);
        let wish = Wish::new(folder.path.clone(), None);
        Self { identity, folder, sink, offset, host, watch, over, running_told, left_told, wish, log }
    }

    /// Until the end is told. `shim`: if this process started it.
    pub async fn follow(mut self, mut shim: Option<Child>) {
        let mut pause = FAST;
        loop {
            // Local files of some bytes: quicker than a way to another thread and back.
            let look = self.look(shim.is_some()).await;
            let quiet = matches!(look, Ok(Look::Nothing));
            match look {
                Ok(Look::Over) => return,
                Ok(Look::News) => pause = FAST,
                // The end of an own shim is told by the kernel as well.
                Ok(Look::Nothing) if self.watch.is_told() && shim.is_some() => pause = TOLD,
                Ok(Look::Nothing) => {
                    pause = (pause * 2).min(if self.watch.is_told() { TOLD } else { UNTOLD });
                }
                Ok(Look::Left) => pause = LEFT,
                Err(_) if self.over.is_cancelled() => return,
                Err(error) => {
                    let attempt = &self.identity.attempt;
                    tracing::error!(%attempt, %error, "the attempt's folder cannot be read; looking again");
                    pause = Duration::from_secs(1);
                }
            }
            tokio::select! {
                () = self.over.cancelled() => return,
                () = ended(&mut shim) => shim = None,
                () = self.watch.changed(), if quiet => pause = FAST,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn look(&mut self, own_shim_lives: bool) -> io::Result<Look> {
        let mut news = self.tell_running().await?;
        news |= self.tell_log().await?;
        if own_shim_lives {
            return Ok(if news { Look::News } else { Look::Nothing });
        }
        let exit = match self.folder.condition(self.identity.nonce)? {
            Condition::Running => return Ok(if news { Look::News } else { Look::Nothing }),
            Condition::Ended(exit) => exit,
            Condition::Nothing(_lock) => {
                let why = self.folder.shim_error();
                let message = format!("the shim ended before it started the hook: {why}");
                self.folder.write_end(End::NotStarted { killed: false, message })?
            }
            Condition::Left(_, left, _lock) if left.is_empty() => {
                let end = self.end_of_container().await?.unwrap_or(End::Lost);
                self.folder.write_end(end)?
            }
            Condition::Left(shim, left, _lock) => {
                self.end_what_is_left(&left);
                if !self.left_told {
                    let why = format!(
                        "the shim (pid {}) is gone without a word; {} of the hook's processes still run",
                        shim.pid,
                        left.len()
                    );
                    self.sink.fact(&self.identity.attempt, Fact::Unknown { why }).await;
                    self.left_told = true;
                }
                return Ok(Look::Left);
            }
        };
        self.tell_running().await?;
        while self.tell_log().await? {}
        self.sink.log_end(&self.identity.attempt, self.end_of_log()?).await;
        self.tell_end(exit).await?;
        Ok(Look::Over)
    }

    /// The engine's record outlives the shim. It is asked on another thread: it may take as long as the container does.
    async fn end_of_container(&mut self) -> io::Result<Option<End>> {
        let folder = self.folder.path.clone();
        let Some(container) = files::read::<Container>(&folder, files::CONTAINER)? else { return Ok(None) };
        // With the grace that has passed already.
        let mut wish = std::mem::replace(&mut self.wish, Wish::new(folder, None));
        let settled = tokio::task::spawn_blocking(move || container.settle(None, &mut wish)).await;
        settled.map(Some).map_err(io::Error::other)
    }

    async fn tell_running(&mut self) -> io::Result<bool> {
        if self.running_told {
            return Ok(false);
        }
        let Some(shim) = self.folder.shim()? else { return Ok(false) };
        self.running_told = true;
        let fact = Fact::Running {
            object: format!("process {} ({})", shim.pid, self.folder.path.display()),
            started_at: shim.started_at,
            node: Some(self.host.clone()),
            images: BTreeMap::new(),
        };
        self.sink.fact(&self.identity.attempt, fact).await;
        Ok(true)
    }

    async fn tell_log(&mut self) -> io::Result<bool> {
        if self.log.is_none() {
            match File::open(self.folder.log_file()) {
                Ok(file) => self.log = Some(file),
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        let Some(log) = &self.log else { return Ok(false) };
        let there = log.metadata()?.len().saturating_sub(self.offset);
        let mut bytes = vec![0; usize::try_from(there).unwrap_or(CHUNK).min(CHUNK)];
        let read = log.read_at(&mut bytes, self.offset)?;
        if read == 0 {
            return Ok(false);
        }
        bytes.truncate(read);
        let attempt = &self.identity.attempt;
        self.sink.log(attempt, self.offset, Bytes::from(bytes)).await;
        let end = self.offset + read as u64;
        // The spool may have no room: the text stays here until it has.
        let kept = self.sink.log_kept(attempt).map_or(end, |kept| kept.min(end));
        let news = kept > self.offset;
        self.offset = self.offset.max(kept);
        Ok(news)
    }

    /// Where the text ends, whether or not all of it could be told.
    fn end_of_log(&self) -> io::Result<u64> {
        self.log.as_ref().map_or(Ok(self.offset), |log| Ok(log.metadata()?.len().max(self.offset)))
    }

    /// The shim cannot end its hook any more: a kill is carried out from here.
    fn end_what_is_left(&mut self, left: &[processes::Process]) {
        let Some(grace) = self.wish.grace_left() else { return };
        let signal = if grace.is_zero() { Signal::KILL } else { Signal::TERM };
        for process in left {
            processes::signal(process, signal);
        }
    }

    async fn tell_end(&self, exit: ExitFile) -> io::Result<()> {
        let started_at = self.folder.shim()?.map(|shim| shim.started_at);
        let outcome = match exit.end {
            End::NotStarted { killed, message } => {
                let reason = if killed { FailureReason::Killed } else { FailureReason::CannotStart };
                let outcome = outcome(reason, message);
                self.sink.fact(&self.identity.attempt, Fact::NotStarted { outcome }).await;
                return Ok(());
            }
            End::Code(code) => self.judge(code)?,
            End::Signal(signal) => Outcome {
                exit_code: Some(128 + signal),
                ..outcome(FailureReason::HookFailed, format!("ended by signal {signal}{}", name_of(signal)))
            },
            End::Lost => outcome(
                FailureReason::Lost,
                "nobody saw its end (the shim, or the container's engine, went down): the hook is over, its exit code is not known",
            ),
        };
        let fact = Fact::Ended { started_at, ended_at: exit.ended_at, outcome, images: BTreeMap::new() };
        self.sink.fact(&self.identity.attempt, fact).await;
        Ok(())
    }

    fn judge(&self, code: i32) -> io::Result<Outcome> {
        let written = match std::fs::read(self.folder.output_file()) {
            Ok(bytes) => parse_outputs(&bytes),
            // Removed by the hook: no outputs.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(e) => return Err(e),
        };
        let mut ended = if code == 0 {
            Outcome { reason: None, exit_code: Some(0), message: String::new(), outputs: BTreeMap::new() }
        } else {
            outcome(FailureReason::HookFailed, format!("the hook ended with code {code}"))
        };
        ended.exit_code = Some(code);
        match written {
            Ok(outputs) => ended.outputs = outputs,
            Err(problem) if code == 0 => {
                ended.reason = Some(FailureReason::BadOutput);
                ended.message = format!("{}; {}", problem.message, problem.remedy);
            }
            Err(_) => {}
        }
        Ok(ended)
    }
}

/// Resolves when a shim of this process has ended; for ever pending for another's.
async fn ended(shim: &mut Option<Child>) {
    match shim {
        // An error means that there is no such child any more.
        Some(child) => drop(child.wait().await),
        None => std::future::pending().await,
    }
}

enum Look {
    Over,
    News,
    Nothing,
    Left,
}

fn name_of(signal: i32) -> String {
    let known = [(1, "HUP"), (2, "INT"), (6, "ABRT"), (9, "KILL"), (11, "SEGV"), (13, "PIPE"), (15, "TERM")];
    known
        .iter()
        .find(|(number, _)| *number == signal)
        .map_or_else(String::new, |(_, name)| format!(" (SIG{name})"))
}
