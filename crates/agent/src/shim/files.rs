//! The files of an attempt's folder that agent and shim share, and how each is written.
//!
//! The lock says whether a shim lives; `shim.json` that a hook may have been started; `exit.json` how it ended.

use super::container::Container;
use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Held by the shim from before its start until its end: taken by the agent and handed over as an open file.
pub(crate) const LOCK: &str = "lock";
/// A FIFO: any byte means that `kill.json` is to be read.
pub(crate) const CONTROL: &str = "control";
/// That the hook is to be ended.
pub(crate) const KILL: &str = "kill.json";
/// Who the shim is.
pub(crate) const SHIM: &str = "shim.json";
/// How the hook ended.
pub(crate) const EXIT: &str = "exit.json";
/// stdout and stderr, masked and bounded.
pub(crate) const LOG: &str = "log";

/// Which container the attempt is, where a container engine runs it.
pub(crate) const CONTAINER: &str = "container.json";
/// Written by the engine's program once the container is made, before it is started.
pub(crate) const CONTAINER_ID: &str = "container-id";
/// The variable by which an attempt's processes are told from others.
pub(crate) const MARK: &str = "TENANTRY_ATTEMPT_NONCE";

/// What the shim is to run; handed over in memory, because values of secrets are in it.
#[derive(Serialize, Deserialize)]
pub(crate) struct ShimSpec {
    pub argv: Vec<String>,
    pub env: Vec<(String, String)>,
    pub working_dir: PathBuf,
    /// Values to be masked in the log.
    pub mask: Vec<String>,
    /// Of the log file, in bytes.
    pub log_limit: u64,
    /// `argv` is the program of a container engine: the hook is this container.
    #[serde(default)]
    pub container: Option<Container>,
}

/// Who the shim is. A pid alone is used again; with the start time of the kernel and the boot it is unique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShimFile {
    /// Also the session's id.
    pub pid: i32,
    /// In clock ticks since the boot (`/proc/<pid>/stat`, field 22).
    pub start_time: u64,
    pub boot_id: String,
    pub started_at: Timestamp,
}

/// How the hook ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExitFile {
    pub ended_at: Timestamp,
    pub end: End,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum End {
    Code(i32),
    Signal(i32),
    /// The program could not be started, or a kill was there before.
    NotStarted {
        killed: bool,
        message: String,
    },
    /// The shim ended without a word; nothing of the hook lives. Written by the agent.
    Lost,
}

/// That the hook is to be ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KillFile {
    /// Between SIGTERM and SIGKILL.
    pub grace_seconds: u64,
}

/// Reads a file that may not be there.
pub(crate) fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> io::Result<Option<T>> {
    match std::fs::read(folder.join(name)) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Writes a file whole or not at all; `durable`: also after a loss of power.
pub(crate) fn write<T: Serialize>(folder: &Path, name: &str, content: &T, durable: bool) -> io::Result<()> {
    let temporary = folder.join(format!(".{name}"));
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(content)?)?;
    if durable {
        file.sync_data()?;
    }
    std::fs::rename(&temporary, folder.join(name))
}

/// The lock's file, locked; `None` while somebody else holds it.
pub(crate) fn try_lock(folder: &Path) -> io::Result<Option<File>> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(e) => Err(e.into()),
    }
}
