//! Files of a bounded size, and what tells that one was changed.

use crate::ConfigError;
use std::{fs::File, io::Read, os::unix::fs::MetadataExt, path::Path};

/// The longest document and the longest keys file: 1 MiB.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The whole file as text.
pub(crate) fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    // One byte more than allowed, so that a file that grows meanwhile is found out too.
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text))
        .map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(ConfigError::TooLong { path: path.to_owned() });
    }
    Ok(text)
}

/// Differs when the file was replaced (another inode, as a mounted Secret or `mv` does it) or written in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// The time of change and not that of modification: `cp --preserve` sets the latter back.
    changed: (i64, i64),
}

impl Stamp {
    /// None: there is no file, or none that this program may look at.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        Some(Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}
