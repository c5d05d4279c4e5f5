//! One program that keeps running: started, signalled by its pid, ended whatever happens.

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::wait::{PATIENCE, within};

/// A running program; dropping it ends it with SIGKILL.
#[derive(Debug)]
pub struct Program {
    child: Child,
    name: String,
    /// Its standard output.
    pub out: PathBuf,
    /// Its standard error; several lives append to one file.
    pub log: PathBuf,
}

impl Program {
    /// Starts it; `NAME.out` and `NAME.log` in `folder` take what it writes.
    pub fn start(name: &str, folder: &Path, command: &mut Command) -> Result<Self> {
        let (out, log) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.log")));
        let append = |path: &Path| -> Result<File> {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .with_context(|| format!("open {}", path.display()))
        };
        command.stdin(Stdio::null()).stdout(append(&out)?).stderr(append(&log)?);
        let mut running = running();
        ensure!(!running.ending, "the test run is ending");
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        running.pids.insert(child.id());
        drop(running);
        Ok(Self { child, name: name.to_owned(), out, log })
    }

    /// Its pid.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a pid")?;
        kill_process(pid, signal).with_context(|| format!("{signal:?} to {}", self.name))
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        running().pids.remove(&self.child.id());
        self.child.kill().with_context(|| format!("kill {}", self.name))?;
        self.child.wait().with_context(|| format!("wait for {}", self.name))?;
        Ok(())
    }

    /// SIGTERM, and waits for its end.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(PATIENCE)
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let name = self.name.clone();
        within(limit, format!("the end of {name}"), || self.ended())
    }

    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            // Its pid may be somebody else's from now on.
            running().pids.remove(&self.child.id());
        }
        Ok(status)
    }

    /// It has not ended; otherwise an error with the end of its log.
    pub fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!("{} ended with {status}:\n{}", self.name, self.tail());
        }
        Ok(())
    }

    /// All that it wrote on standard error.
    pub fn log_text(&self) -> Result<String> {
        let bytes = std::fs::read(&self.log).with_context(|| format!("read {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// All that it wrote on standard output.
    pub fn out_text(&self) -> Result<String> {
        std::fs::read_to_string(&self.out).with_context(|| format!("read {}", self.out.display()))
    }

    /// The end of its log.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = self.log_text().unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// Programs that run: a signal ends this process without dropping anything.
static RUNNING: Mutex<Running> = Mutex::new(Running { pids: BTreeSet::new(), ending: false });

struct Running {
    pids: BTreeSet<u32>,
    /// From now on nothing begins: a test that goes on meanwhile would start again what has just been ended.
    ending: bool,
}

fn running() -> MutexGuard<'static, Running> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends all programs that run with SIGKILL.
pub(crate) fn kill_all() {
    let mut running = running();
    running.ending = true;
    for pid in std::mem::take(&mut running.pids) {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // It may have ended already.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        running().pids.remove(&self.child.id());
        // A stopped process (SIGSTOP) is killed as well. It may have ended already: then there is nothing to do.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
