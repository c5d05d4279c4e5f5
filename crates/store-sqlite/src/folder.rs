//! The data folder: made, found writable, and held by one process only. It knows files and locks, no SQL.

use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process,
};
use tenantry_store::{Result, StoreError};

const DATABASE: &str = "tenantry.db";
const LOCK: &str = "tenantry.lock";

/// A data folder that is ours until this is dropped, or the process ends in whatever way: the kernel lets go of the
/// lock, so a stale lock file means nothing.
#[derive(Debug)]
pub struct Folder {
    /// The database's file; exists.
    pub database: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes a folder that holds a database already; makes nothing.
    pub fn take_existing(folder: &Path) -> Result<Self> {
        let database = folder.join(DATABASE);
        if !database.is_file() {
            return Err(StoreError::Unavailable {
                what: format!(
                    "{} holds no database {DATABASE}: name the data folder of a manager",
                    folder.display()
                ),
                source: Box::new(io::Error::from(ErrorKind::NotFound)),
            });
        }
        Self::take(folder)
    }

    /// Makes the folder if it is not there (for its owner only: the database holds customers' settings), takes its
    /// lock, and makes sure of the database's file.
    pub fn take(folder: &Path) -> Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|e| unusable(folder, "make", e))?;
        let mut lock = private(&folder.join(LOCK)).map_err(|error| unusable(folder, "write to", error))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(in_use(folder, &mut lock)),
            Err(errno) => return Err(unusable(folder, "lock", errno.into())),
        }
        let note = |lock: &mut File| {
            lock.set_len(0)?;
            lock.rewind()?;
            lock.write_all(process::id().to_string().as_bytes())
        };
        note(&mut lock).map_err(|error| unusable(folder, "write to", error))?;
        let database = folder.join(DATABASE);
        // Made here and not by SQLite, so that it and its WAL, which takes over its mode, are the owner's only.
        private(&database).map_err(|error| unusable(folder, "write to", error))?;
        Ok(Self { database, _lock: lock })
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn in_use(folder: &Path, lock: &mut File) -> StoreError {
    let mut text = String::new();
    // The other process may be between taking the lock and writing its pid.
    let holder = match lock.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => format!("process {}", text.trim()),
        _ => "another process".to_owned(),
    };
    StoreError::InUse(format!(
        "the data folder {} is in use by {holder}: stop it, or give this manager a folder of its own",
        folder.display()
    ))
}

fn unusable(folder: &Path, what: &str, error: io::Error) -> StoreError {
    let advice = match error.kind() {
        ErrorKind::ReadOnlyFilesystem => {
            "it is mounted read-only; mount it writable or choose another folder"
        }
        ErrorKind::PermissionDenied => "this user may not; give it to this user or choose another folder",
        ErrorKind::StorageFull => "the disk is full; free space",
        _ => "check the path",
    };
    StoreError::Unavailable {
        what: format!("cannot {what} the data folder {}: {advice}", folder.display()),
        source: Box::new(error),
    }
}
