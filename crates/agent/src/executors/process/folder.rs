//! One attempt's folder, and what it proves: whether a hook may have been started, runs, has ended, or was left.

use crate::shim::{
    files::{self, End, ExitFile, KillFile, ShimFile},
    processes::{self, Process},
};
use jiff::Timestamp;
use rustix::fs::{CWD, Mode, OFlags, mkfifoat};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
};
use tenantry_model::AttemptId;
use uuid::Uuid;

const ATTEMPT: &str = "attempt.json";
const RELEASED: &str = "released";

/// Whose folder it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Identity {
    pub attempt: AttemptId,
    pub nonce: Uuid,
    /// Between SIGTERM and SIGKILL (`terminationGracePeriodSeconds` of the template).
    pub grace_seconds: u64,
}

/// An attempt's folder; need not exist.
#[derive(Clone, Debug)]
pub(super) struct AttemptFolder {
    pub path: PathBuf,
}

/// What the folder proves.
pub(super) enum Condition {
    /// Nothing was started. While the lock is held nothing can be.
    Nothing(File),
    /// The lock is held by a shim.
    Running,
    /// The shim wrote how it ended.
    Ended(ExitFile),
    /// The shim is gone without a word; these processes of the hook live.
    Left(ShimFile, Vec<Process>, File),
}

impl AttemptFolder {
    pub fn identity(&self) -> io::Result<Option<Identity>> {
        files::read(&self.path, ATTEMPT)
    }

    /// Makes the folder; the identity last, so that a folder that has one is whole.
    pub fn create(&self, identity: &Identity) -> io::Result<()> {
        std::fs::create_dir_all(&self.path)?;
        match mkfifoat(CWD, self.path.join(files::CONTROL), Mode::RUSR | Mode::WUSR) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        files::write(&self.path, ATTEMPT, identity, false)
    }

    pub fn condition(&self, nonce: Uuid) -> io::Result<Condition> {
        // The lock first: the shim writes its last file before it lets go.
        let Some(lock) = files::try_lock(&self.path)? else { return Ok(Condition::Running) };
        if let Some(exit) = files::read(&self.path, files::EXIT)? {
            return Ok(Condition::Ended(exit));
        }
        Ok(match self.shim()? {
            None => Condition::Nothing(lock),
            Some(shim) => {
                let left = left_of(&shim, nonce);
                Condition::Left(shim, left, lock)
            }
        })
    }

    pub fn shim(&self) -> io::Result<Option<ShimFile>> {
        files::read(&self.path, files::SHIM)
    }

    pub fn kill(&self) -> io::Result<Option<KillFile>> {
        files::read(&self.path, files::KILL)
    }

    /// Asks the shim to end the hook. A shim that is not there yet finds the file.
    pub fn ask_to_end(&self, grace_seconds: u64) -> io::Result<()> {
        if self.kill()?.is_none() {
            files::write(&self.path, files::KILL, &KillFile { grace_seconds }, true)?;
        }
        let control = rustix::fs::open(
            self.path.join(files::CONTROL),
            OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
            Mode::empty(),
        );
        match control {
            Ok(control) => File::from(control).write_all(b"k"),
            // Nobody listens: not yet, or no more.
            Err(rustix::io::Errno::NXIO | rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes an end that the shim could not write; only while holding the lock.
    pub fn write_end(&self, end: End) -> io::Result<ExitFile> {
        let exit = ExitFile { ended_at: Timestamp::now(), end };
        files::write(&self.path, files::EXIT, &exit, true)?;
        Ok(exit)
    }

    pub fn output_file(&self) -> PathBuf {
        self.path.join("outputs.json")
    }

    pub fn log_file(&self) -> PathBuf {
        self.path.join(files::LOG)
    }

    /// Why the shim itself failed, if it did.
    pub fn shim_error(&self) -> String {
        std::fs::read_to_string(self.path.join("shim-error.txt")).unwrap_or_default().trim().to_owned()
    }

    pub fn mark_released(&self) -> io::Result<()> {
        std::fs::write(self.path.join(RELEASED), b"")
    }

    /// When it was released, if it was.
    pub fn released_at(&self) -> Option<std::time::SystemTime> {
        std::fs::metadata(self.path.join(RELEASED)).ok()?.modified().ok()
    }

    pub fn remove(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Processes of the hook of a shim that is gone: of its session, or with the attempt's mark in their environment
/// (those that began a session of their own).
pub(super) fn left_of(shim: &ShimFile, nonce: Uuid) -> Vec<Process> {
    if shim.boot_id != processes::boot_id() {
        return Vec::new();
    }
    let mark = format!("{}={nonce}", files::MARK);
    let mut all = processes::all();
    // A stranger with the shim's pid: its session is not ours, and ours has no member left, else the kernel would not
    // have given the number away.
    let reused = all.iter().any(|p| p.pid == shim.pid && p.start_time != shim.start_time);
    all.retain(|process| {
        !process.zombie
            && ((!reused && process.session == shim.pid) || processes::has_mark(process.pid, &mark))
    });
    all
}
