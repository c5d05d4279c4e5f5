//! What can go wrong with log files.

use std::{io, path::PathBuf};
use tenantry_model::AttemptId;

/// Why a log could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system refused. Nothing was half done.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what was written: a failing disk, or somebody has edited it.
    #[error(
        "log file {0} is damaged at byte {position}: move it away (mv {0} {0}.damaged) and the rest of this log can \
         be read again, with a note about what is missing",
        path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where its first unreadable record begins.
        position: u64,
    },
    /// An offset that no log reaches.
    #[error("offset {offset} of the log of attempt {attempt} is not possible: a log ends before 2^63 bytes")]
    BadOffset {
        /// Whose log.
        attempt: Box<AttemptId>,
        /// As it was given.
        offset: u64,
    },
    /// The program is shutting down.
    #[error("the log store is shutting down")]
    Stopping,
}

impl LogError {
    /// Makes an error of a file system's answer.
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}
