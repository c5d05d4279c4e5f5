//! Exit codes, as documented in docs/reference/cli.md. Scripts rely on them: they never change their meaning.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The operation (or the hook, or a check) failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The manager refused it: no right, a broken rule.
    Refused = 3,
    /// No such thing.
    NotFound = 4,
    /// Somebody else was there first: stale ETag, another state, a taken name.
    Conflict = 5,
    /// The manager cannot be reached.
    Unreachable = 6,
    /// A step waits for a decision.
    NeedsPerson = 7,
}

impl Exit {
    /// Every code with its meaning, for the reference.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Done, "done"),
        (Self::Failed, "failed: the operation, the hook or the check did not succeed"),
        (Self::Usage, "usage: the command line or a file given to it is wrong"),
        (Self::Refused, "refused: no right to do it, or a rule forbids it"),
        (Self::NotFound, "not found"),
        (Self::Conflict, "conflict: it exists already, or has changed since it was read"),
        (Self::Unreachable, "unreachable: the manager does not answer"),
        (
            Self::NeedsPerson,
            "needs a person: a step waits for a decision; the command that resolves it was printed",
        ),
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure that already knows its exit code; everything else ends with [`Exit::Failed`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What to print on stderr; empty: nothing, it has been said.
    pub message: String,
}

impl Failure {
    /// A failure with a message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}
