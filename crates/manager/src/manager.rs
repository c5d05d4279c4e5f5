//! The handle that everything hangs on: store, logs, settings and a clock. Cheap to clone.

use crate::ManagerConfig;
use crate::argo::Watch;
use crate::audit::Sealer;
use crate::latest::Latest;
use crate::roles::Roles;
use crate::runner::Runs;
use crate::schedules::PastRuns;
use crate::silence::Told;
use jiff::Timestamp;
use std::sync::Arc;
use tenantry_engine::Rules;
use tenantry_logs::LogStore;
use tenantry_store::Store;

/// Tells the time; tests bring their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The services. Holds nothing that rows do not hold: one that is dropped and made anew over the same store goes on.
#[derive(Clone)]
pub struct Manager {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) logs: LogStore,
    pub(crate) config: Arc<ManagerConfig>,
    pub(crate) runs: Arc<Runs>,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) roles: Arc<Roles>,
    pub(crate) past_runs: Arc<PastRuns>,
    pub(crate) told: Arc<Told>,
    pub(crate) latest: Arc<Latest>,
    pub(crate) watch: Arc<Watch>,
    clock: Clock,
}

impl Manager {
    /// The services over a store and a folder of logs.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, logs: LogStore, config: ManagerConfig) -> Self {
        Self::with_clock(store, logs, config, Arc::new(Timestamp::now))
    }

    /// The same with another clock.
    #[must_use]
    pub fn with_clock(store: Arc<dyn Store>, logs: LogStore, config: ManagerConfig, clock: Clock) -> Self {
        Self {
            store,
            logs,
            config: Arc::new(config),
            runs: Arc::default(),
            sealer: Arc::default(),
            roles: Arc::default(),
            past_runs: Arc::default(),
            told: Arc::default(),
            latest: Arc::default(),
            watch: Arc::default(),
            clock,
        }
    }

    /// What the installation has set about how operations go on.
    pub(crate) fn rules(&self) -> Rules {
        Rules { held_too_long: self.config.held_too_long }
    }

    /// Checks that the store answers; for readiness.
    pub async fn ping(&self) -> crate::Result<()> {
        Ok(self.store.ping().await?)
    }

    /// Now, in whole milliseconds: the finest that every store keeps, so that what was hashed reads back equal.
    pub(crate) fn now(&self) -> Timestamp {
        let now = (self.clock)();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}
