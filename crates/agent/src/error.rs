//! What can go wrong with an agent as a whole. Trouble with one attempt is a fact, not an error of the agent.

use std::{io::ErrorKind, path::PathBuf};

/// Why an agent cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The agent's folder cannot be used: missing rights, a full or read-only disk.
    #[error("cannot {what} {}", path.display())]
    Folder {
        /// What was tried ("write", "read", "lock").
        what: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
    /// Another agent process uses the folder.
    #[error("the folder {} belongs to a running agent: end that one, or give this one a folder of its own", .0.display())]
    FolderInUse(PathBuf),
    /// A file of the folder cannot be understood.
    #[error("{} is damaged at line {line}: {message}; restore the folder, or move it away (open attempts are then looked for in the region)", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What does not fit.
        message: String,
    },
    /// A newer agent process of the same region has begun a session.
    #[error("another agent of this region has begun a session: end one of the two")]
    Replaced,
    /// The manager cannot be spoken to at all.
    #[error("the manager cannot be used")]
    Manager(#[source] Box<tenantry_client::agent::AgentClientError>),
    /// The executor cannot be set up: a setting that does not hold.
    #[error("the executor cannot be set up: {0}")]
    Executor(String),
}

impl AgentError {
    /// The disk is full, or a quota is used up: it may be tried again.
    pub(crate) fn is_no_room(&self) -> bool {
        matches!(self, Self::Folder { source, .. }
            if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
    }

    pub(crate) fn folder(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> AgentError {
        let path = path.into();
        move |source| AgentError::Folder { what, path, source }
    }
}
