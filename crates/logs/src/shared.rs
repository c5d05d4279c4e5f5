//! A folder of logs that several processes write to: the lock of each operation's logs, and the folder's name.

use crate::LogError;
use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};
use tenantry_model::OperationId;

const LOCKS: &str = "locks";
const NAME: &str = "folder-id";
/// Operations share this many lock files: enough that two seldom meet, and few enough to lie in one folder for ever.
const LOCK_FILES: u128 = 256;

/// Held until it is dropped, or the process ends in whatever way.
pub fn lock(root: &Path, operation: OperationId) -> Result<File, LogError> {
    let folder = root.join(LOCKS);
    // The last bits of a UUIDv7 are random.
    let path = folder.join(format!("{:02x}", operation.0.as_u128() % LOCK_FILES));
    let open = || OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    let file = match open() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(&folder).map_err(LogError::io("make", &folder))?;
            open()
        }
        other => other,
    }
    .map_err(LogError::io("open", &path))?;
    file.lock().map_err(LogError::io("lock", &path))?;
    Ok(file)
}

/// What the folder calls itself; `fresh` if it has no name yet. Two processes that look at one folder see one name.
pub fn folder_name(root: &Path, fresh: &str) -> Result<String, LogError> {
    fs::create_dir_all(root).map_err(LogError::io("make", root))?;
    let (path, mine) = (root.join(NAME), root.join(format!("{NAME}.{fresh}")));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&mine)
        .map_err(LogError::io("write", &mine))?;
    file.write_all(fresh.as_bytes()).map_err(LogError::io("write", &mine))?;
    file.sync_all().map_err(LogError::io("write to disk", &mine))?;
    // A link appears whole or not at all, and only once.
    let named = fs::hard_link(&mine, &path);
    fs::remove_file(&mine).map_err(LogError::io("remove", &mine))?;
    match named {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(LogError::io("write", path)(error)),
        _ => {
            let name = fs::read_to_string(&path).map_err(LogError::io("read", &path))?;
            Ok(name.trim().to_owned())
        }
    }
}
