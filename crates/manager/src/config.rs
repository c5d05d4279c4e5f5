//! What the installation sets about the manager; every value has a default that suits one machine.

use crate::retention::RetentionConfig;
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;
use tenantry_engine::VerbKind;
use tenantry_model::RegionName;

/// Settings of the manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagerConfig {
    /// How long a hook may be absent before a plan that misses it is refused; within it the plan waits.
    pub absent_grace: SignedDuration,
    /// A region whose agent has not spoken for this long counts as silent.
    pub agent_silent_after: SignedDuration,
    /// How long a decommissioned environment can be undeleted, if the caller says nothing.
    pub default_retention: SignedDuration,
    /// So long after the end of its retention a decommissioned environment that nobody purged raises attention.
    pub purge_reminder: SignedDuration,
    /// The longest retention that a caller may ask for.
    pub max_retention: SignedDuration,
    /// Whether `after` may name hooks of other namespaces.
    pub cross_namespace_after: bool,
    /// The regions whose hooks take part besides the environment's own.
    pub further_regions: BTreeSet<RegionName>,
    /// The regions without an agent: their hooks run in Workflows of Argo, which events ask for.
    pub argo_regions: BTreeSet<RegionName>,
    /// Where people see the pages of their Argo, for links; without a slash at the end.
    pub argo_pages: BTreeMap<RegionName, String>,
    /// Largest `spec` of an environment, in bytes as JSON.
    pub max_spec_bytes: usize,
    /// Largest `parameters` of an operation, in bytes as JSON.
    pub max_parameters_bytes: usize,
    /// Most labels of an environment.
    pub max_labels: usize,
    /// Most aliases of an environment.
    pub max_aliases: usize,
    /// Most unfinished operations of one environment.
    pub max_unfinished: usize,
    /// Most steps of one operation.
    pub max_steps: usize,
    /// Most bytes that the steps of one operation are handed in their documents: all may start at once, in one transaction.
    pub max_handed_bytes: usize,

    /// A hold by predicate that catches more steps than this, or everything, needs a stated cap.
    pub hold_cap: usize,
    /// A hold without an end, by hand or by predicate, and a pause raise attention when they have lasted for this long. An
    /// operation that is held already keeps the time that it was given until something happens to it.
    pub held_too_long: SignedDuration,
    /// The verbs that a second person has to approve, whatever the operation's definition says.
    pub four_eyes: BTreeSet<VerbKind>,
    /// A purge needs a second person as well.
    pub purge_four_eyes: bool,
    /// How long such a verb waits for the second person.
    pub approval_time: SignedDuration,
    /// How long a version of a hook that was planned is kept in its region, so that a replay can run it.
    pub replayable: SignedDuration,
    /// How often holds and approvals are looked at.
    pub steering_interval: Duration,

    /// A join token can be used within this time.
    pub join_token_time: SignedDuration,
    /// How long the answer to a request with an Idempotency-Key is kept.
    pub idempotency_retention: SignedDuration,
    /// An event that asks for an operation and is older is refused; not longer than answers are kept.
    pub event_max_age: SignedDuration,
    /// A leased command that is not finished within this time is given out again.
    pub lease_time: SignedDuration,
    /// How often it is looked whether something in a region of Argo needs a further Workflow.
    pub workflow_check_interval: Duration,
    /// A step in a region of Argo for which something is to be done, or whose attempt runs, and of which no bridge has spoken
    /// for this long counts as silent.
    pub workflow_silent_after: SignedDuration,
    /// How often the regions' silence is judged.
    pub region_check_interval: Duration,
    /// An operation that waits for a region looks again after this time even if nothing wakes it; long, since the
    /// region's inventory does wake it and thousands may wait.
    pub planning_retry: SignedDuration,
    /// What tells this installation's events from another one's, if it is to be no name of its own making.
    pub event_source: Option<String>,
    /// Signed heads of the audit log.
    pub audit: AuditConfig,
    /// How long things are kept.
    pub retention: RetentionConfig,
    /// Schedules and their deadlines.
    pub schedules: ScheduleConfig,
}

/// How schedules fire, and how their deadlines are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleConfig {
    /// A time that is seen later than this counts as missed: catch-up policies decide about it, and it is said.
    pub grace: SignedDuration,
    /// How often deadlines are judged.
    pub deadline_check: Duration,
    /// From how many of the newest successful runs an end is predicted.
    pub history_runs: u32,
    /// How long runs are kept after their time.
    pub run_retention: SignedDuration,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            grace: SignedDuration::from_mins(5),
            deadline_check: Duration::from_secs(30),
            history_runs: 20,
            run_retention: SignedDuration::from_hours(400 * 24),
        }
    }
}

/// When the audit log's heads are signed, with what, and where they are kept besides the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditConfig {
    /// File of the private key; made when it is not there. `None`: nothing is signed.
    pub key_file: Option<PathBuf>,
    /// A folder (a file for each head) or a file (a line for each) that heads are written to.
    pub heads_to: Option<PathBuf>,
    /// A head is signed after this time …
    pub heads_every: SignedDuration,
    /// … or after so many entries, whatever comes first.
    pub heads_after: u64,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { key_file: None, heads_to: None, heads_every: SignedDuration::from_mins(5), heads_after: 1000 }
    }
}

impl Default for ManagerConfig {
    fn default() -> Self {
        Self {
            absent_grace: SignedDuration::from_mins(2),
            agent_silent_after: SignedDuration::from_secs(45),
            default_retention: SignedDuration::from_hours(30 * 24),
            purge_reminder: SignedDuration::from_hours(7 * 24),
            max_retention: SignedDuration::from_hours(3660 * 24),
            cross_namespace_after: true,
            further_regions: BTreeSet::new(),
            argo_regions: BTreeSet::new(),
            argo_pages: BTreeMap::new(),
            event_source: None,
            max_spec_bytes: 1024 * 1024,
            max_parameters_bytes: 64 * 1024,
            max_labels: 64,
            max_aliases: 64,
            max_unfinished: 100,
            max_steps: 5000,
            max_handed_bytes: 512 * 1024 * 1024,
            hold_cap: 100,
            held_too_long: SignedDuration::from_hours(1),
            four_eyes: BTreeSet::new(),
            purge_four_eyes: false,
            approval_time: SignedDuration::from_hours(4),
            replayable: SignedDuration::from_hours(30 * 24),
            steering_interval: Duration::from_secs(5),
            join_token_time: SignedDuration::from_hours(1),
            idempotency_retention: SignedDuration::from_hours(24),
            event_max_age: SignedDuration::from_hours(24),
            lease_time: SignedDuration::from_secs(tenantry_api_types::agent::LEASE_SECONDS),
            workflow_check_interval: Duration::from_secs(2),
            workflow_silent_after: SignedDuration::from_mins(5),
            region_check_interval: Duration::from_secs(5),
            planning_retry: SignedDuration::from_mins(5),
            audit: AuditConfig::default(),
            retention: RetentionConfig::default(),
            schedules: ScheduleConfig::default(),
        }
    }
}
