//! What every handler can reach.

use crate::metrics::Metrics;
use std::{sync::Arc, time::Duration};
use tenantry_identity::Identities;
use tenantry_manager::Manager;
use tokio_util::sync::CancellationToken;

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub(crate) struct ApiState {
    pub(crate) manager: Manager,
    pub(crate) metrics: Arc<Metrics>,
    /// Cancelled when the server stops: long polls answer, streams end.
    pub(crate) stopping: CancellationToken,
    /// Of one request; long polls have their own on top.
    pub(crate) request_timeout: Duration,
    /// How bridges of regions of Argo are known; none: there are no such regions.
    pub(crate) identities: Option<Arc<Identities>>,
}
