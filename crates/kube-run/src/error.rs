//! What can go wrong between this room and an API server.

use std::time::Duration;
use tenantry_model::Outcome;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The kubeconfig cannot be read, or says nothing usable.
    #[error("cannot use the kubeconfig {path}")]
    Kubeconfig {
        /// Which file; `(in-cluster or default)` when none was named.
        path: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API server said no, or something that is no answer.
    #[error("cannot {what}")]
    Api {
        /// What was tried.
        what: String,
        /// What it said.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer in time.
    #[error("cannot {what}: no answer from the API server within {} s", .after.as_secs())]
    Timeout {
        /// What was tried.
        what: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The API server has just started: until it has read the rights it refuses whatever needs any.
    #[error("cannot {what}: the API server is not ready")]
    NotReady {
        /// What was tried.
        what: String,
    },
    /// The API server lets nobody of our rights do that.
    #[error("cannot {what}: {message}")]
    Forbidden {
        /// What was tried.
        what: String,
        /// What it said.
        message: String,
    },
    /// The attempt's object is not there, but an earlier unanswered create may still land.
    #[error("not known yet whether the attempt exists; ask again in {} s", .retry_in.as_secs())]
    NotSettled {
        /// When to ask again.
        retry_in: Duration,
    },
}

/// Why an attempt's objects were not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// They never will be: nothing of this attempt runs.
    #[error("{}", .0.message)]
    Refused(Box<Outcome>),
    /// Not known: the same create must be repeated.
    #[error("the create was not answered")]
    Unanswered(#[source] RunError),
}

impl RunError {
    /// Asking again may help: nobody answered, or the server says that it cannot at the moment.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::NotReady { .. } | Self::NotSettled { .. } => true,
            Self::Kubeconfig { .. } | Self::Forbidden { .. } => false,
            Self::Api { source, .. } => match &**source {
                kube::Error::Api(status) => matches!(status.code, 408 | 429 | 500..=599),
                kube::Error::SerdeError(_) | kube::Error::BuildRequest(_) => false,
                _ => true,
            },
        }
    }

    /// The HTTP status of the API server's answer, if it answered.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Api { source, .. } => match &**source {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            Self::Forbidden { .. } => Some(403),
            _ => None,
        }
    }

    /// The API server's own words, if it answered.
    #[must_use]
    pub fn server_message(&self) -> Option<&str> {
        match self {
            Self::Api { source, .. } => match &**source {
                kube::Error::Api(status) => Some(&status.message),
                _ => None,
            },
            Self::Forbidden { message, .. } => Some(message),
            _ => None,
        }
    }
}
