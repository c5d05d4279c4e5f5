//! What can go wrong with a call.

use tenantry_api_types::v1::ProblemDocument;

/// Result of a call.
pub type Result<T> = std::result::Result<T, ClientError>;

/// Why a call gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server does not answer (for as long as the client may repeat the request).
    #[error("{server} cannot be reached")]
    Unreachable {
        /// As configured.
        server: String,
        /// The connection was never made, so the request was certainly not carried out.
        unsent: bool,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// Nothing comes from the server, although it takes connections.
    #[error("{server} says nothing for {} s", for_so_long.as_secs())]
    Silent {
        /// As configured.
        server: String,
        /// How long was waited.
        for_so_long: std::time::Duration,
    },
    /// The server says why not.
    #[error("{}", .0.detail)]
    Problem(Box<ProblemDocument>),
    /// Something answers, but not as tenantry does.
    #[error("{server} does not answer as a tenantry server does: {what}")]
    Protocol {
        /// As configured.
        server: String,
        /// What was seen.
        what: String,
        /// It is a proxy that has no server behind it at the moment (502, 503, 504).
        transient: bool,
    },
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(String),
    /// What was waited for did not happen in time.
    #[error("{0}")]
    Deadline(String),
}

impl ClientError {
    /// The problem document, if the server sent one.
    #[must_use]
    pub fn problem(&self) -> Option<&ProblemDocument> {
        if let Self::Problem(problem) = self { Some(problem) } else { None }
    }

    /// The problem's stable code, if the server sent one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.problem().map(|problem| problem.code.as_str())
    }

    /// The server (or what stands before it) may give another answer in a moment.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } => true,
            Self::Protocol { transient, .. } => *transient,
            Self::Problem(problem) => problem.retryable && matches!(problem.status, 429 | 500 | 502..=504),
            Self::Config(_) | Self::Deadline(_) => false,
        }
    }
}
