//! What can go wrong, how the program then ends, and what to do about it.

use crate::{ManagerError, rights::Missing};
use std::{fmt::Write, path::PathBuf};
use tenantry_kube_run::RunError;
use tenantry_model::{HookPath, Problem, RegionName};

/// How `discovery` ends, in the words of `tenantry`'s own exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// A hook is absent or wrong, nothing is to do, the result is too large.
    Failed = 1,
    /// The command line or a file is wrong.
    Usage = 2,
    /// A right is missing.
    Refused = 3,
    /// The API server does not answer.
    Unreachable = 6,
}

/// Why it cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// The command line, or a file that it names.
    #[error("{0}")]
    Usage(String),
    /// A file.
    #[error("cannot {verb} {}", .path.display())]
    File {
        /// What was tried.
        verb: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The API server.
    #[error(transparent)]
    Run(RunError),
    /// A right is missing.
    #[error("{0}")]
    Forbidden(Missing),
    /// Hooks that cannot be used. Nothing is printed: an Argo region keeps no last good versions.
    #[error("{}", problems(.0))]
    Wrong(Vec<(HookPath, Vec<Problem>)>),
    /// Hooks that `--expect` names.
    #[error("expected hooks are not there: {}", list(.0))]
    Absent(Vec<HookPath>),
    /// A hook that was listed and then gone.
    #[error("hook {0} was there a moment ago and is gone")]
    Vanished(HookPath),
    /// A selector, and no environment.
    #[error("hook {0} has a selector, and no environment is given to judge it by")]
    NoLabels(HookPath),
    /// Nothing to do.
    #[error("no hook is registered for this operation and environment")]
    Empty,
    /// More than Argo takes from stdout.
    #[error("the result has {size} bytes; Argo takes {limit} from stdout and would cut the rest")]
    TooLarge {
        /// How much there is.
        size: usize,
        /// How much may be.
        limit: usize,
    },
    /// The Workflow that this would be a step of.
    #[error("the Workflow {0} is gone or over: nothing is begun for it")]
    WorkflowOver(String),
    /// It is for another region.
    #[error("this is region {here}, and region {asked} was asked: nothing is run here")]
    Elsewhere {
        /// As the event says.
        asked: String,
        /// As this program was told.
        here: RegionName,
    },
    /// The manager.
    #[error(transparent)]
    Manager(#[from] ManagerError),
    /// The manager will run nothing.
    #[error("the operation is over and has not succeeded: {0}")]
    OperationOver(String),
    /// SIGTERM before there was anything to print.
    #[error("asked to end before the manager said what is to run")]
    Asked,
}

impl From<RunError> for BridgeError {
    fn from(error: RunError) -> Self {
        let words = error.server_message().filter(|_| error.code() == Some(403));
        match words.and_then(Missing::read) {
            Some(missing) => Self::Forbidden(missing),
            None => Self::Run(error),
        }
    }
}

impl BridgeError {
    /// How `discovery` ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_)
            | Self::File { .. }
            | Self::NoLabels(_)
            | Self::Manager(ManagerError::Config { .. })
            | Self::Run(RunError::Kubeconfig { .. }) => Exit::Usage,
            Self::Forbidden(_) => Exit::Refused,
            Self::Manager(error) if error.is_unauthorized() => Exit::Refused,
            Self::Asked => Exit::Unreachable,
            Self::Run(error) if error.code() == Some(403) => Exit::Refused,
            error if error.may_pass() => Exit::Unreachable,
            _ => Exit::Failed,
        }
    }

    /// Nothing is decided: the same program, started again, may do it.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Run(error) if error.is_transient())
    }

    /// The word of `--reason-file`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Forbidden(_) => "forbidden",
            Self::Run(error) if error.code() == Some(403) => "forbidden",
            Self::Run(_) => "unreachable",
            Self::WorkflowOver(_) => "workflow-over",
            Self::Wrong(_) => "rejected",
            Self::Elsewhere { .. } => "wrong-region",
            Self::Manager(ManagerError::Refused { .. } | ManagerError::Protocol { .. }) => "manager-refused",
            _ => "usage",
        }
    }

    /// What to do, where the message does not say it.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Forbidden(missing) => Some(format!("grant it: {}", missing.command())),
            Self::Manager(error) => error.remedy().map(str::to_owned),
            Self::Absent(_) => Some(
                "ship them, give the namespaces they are in, or take them out of --expect if they are gone for good"
                    .to_owned(),
            ),
            Self::Vanished(_) => Some("it is being replaced: run discovery again".to_owned()),
            Self::NoLabels(_) => Some("give --environment-file".to_owned()),
            Self::Elsewhere { .. } => Some(
                "send the event to the Argo of the region that it names; if it is this one, correct its name where this \
                 program is told it (--region; `region` in the chart's values)"
                    .to_owned(),
            ),
            Self::Empty => Some("if that is fine, give --allow-empty".to_owned()),
            Self::TooLarge { .. } => {
                Some("give --output FILE and take the list from there (valueFrom.path)".to_owned())
            }
            _ => None,
        }
    }
}

fn list(paths: &[HookPath]) -> String {
    paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn problems(all: &[(HookPath, Vec<Problem>)]) -> String {
    let mut text = format!("{} cannot be used:", if all.len() == 1 { "a hook" } else { "hooks" });
    for (path, problems) in all {
        for problem in problems {
            let Problem { code, pointer, message, remedy } = problem;
            let _ = write!(text, "\n  {path}: {message} ({code}, {pointer}); {remedy}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(code: u16) -> BridgeError {
        let status = kube::core::Status::failure("no", "Test").with_code(code).boxed();
        RunError::Api { what: "ask".to_owned(), source: Box::new(kube::Error::Api(status)) }.into()
    }

    #[test]
    fn an_api_server_that_is_down_is_no_failure_of_the_step() {
        for code in [429, 500, 503] {
            let error = asked(code);
            assert!(error.may_pass(), "{code}");
            assert_eq!((error.exit(), error.reason()), (Exit::Unreachable, "unreachable"), "{code}");
        }
        for error in [asked(403), asked(404), BridgeError::WorkflowOver("a/b".to_owned())] {
            assert!(!error.may_pass(), "{error}");
        }
    }
}
