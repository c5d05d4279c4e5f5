//! `tenantry schedule`.

use super::{ChangeArgs, Connection};
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// Makes a schedule
    Create {
        /// Its name
        name: String,
        /// `TEAM.OPERATION`, or lifecycle.backup, .resume, .suspend, .upsert
        operation: String,
        #[command(flatten)]
        words: ScheduleWords,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        connection: Connection,
    },
    /// Shows a schedule
    Get {
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Lists schedules
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Changes a schedule; what is not given stays as it is
    Update {
        name: String,
        /// Another operation
        #[arg(long)]
        operation: Option<String>,
        #[command(flatten)]
        words: ScheduleWords,
        /// Runs have no deadline any more
        #[arg(long, conflicts_with = "deadline")]
        no_deadline: bool,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        connection: Connection,
    },
    /// Holds back all times from now on
    Pause {
        name: String,
        /// Why (kept in the audit log)
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        connection: Connection,
    },
    /// Goes on with the next time; what came during the pause is left out
    Resume {
        name: String,
        /// Why (kept in the audit log)
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        connection: Connection,
    },
    /// Runs it now, also while it is paused
    Run {
        name: String,
        /// Why (kept in the audit log)
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        ask: Ask,
    },
    /// Runs times that have passed, one after the other
    Backfill {
        name: String,
        /// The first time that counts: a day or a time in the schedule's zone (2026-11-01, 2026-11-01T22:00), or with
        /// an offset
        #[arg(long, value_name = "TIME")]
        from: String,
        /// The last time that counts; a day counts as a whole
        #[arg(long, value_name = "TIME")]
        until: String,
        /// Why (kept in the audit log)
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Lists the runs of a schedule, the newest time first
    Runs {
        name: String,
        /// At most this many
        #[arg(long, default_value_t = 100)]
        limit: usize,
        #[command(flatten)]
        connection: Connection,
    },
    /// Shows the next times, of a schedule or of a line that is in none
    Preview {
        /// A schedule; without it --cron and --time-zone say what to show
        #[arg(required_unless_present = "cron")]
        name: Option<String>,
        /// Five fields: minute hour day-of-month month day-of-week
        #[arg(long, requires = "time_zone", conflicts_with = "name")]
        cron: Option<String>,
        /// IANA name (Europe/Berlin)
        #[arg(long, value_name = "NAME", conflicts_with = "name")]
        time_zone: Option<String>,
        /// The times after this one (2026-03-28T00:00:00Z); default: now
        #[arg(long, value_name = "TIME")]
        after: Option<jiff::Timestamp>,
        /// So many
        #[arg(long, default_value_t = 10)]
        count: u32,
        #[command(flatten)]
        connection: Connection,
    },
    /// Deletes a schedule; operations that it has requested go on
    Delete {
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        connection: Connection,
    },
}

/// What a schedule is made of, as `create` and `update` take it.
#[derive(Clone, Debug, Args)]
pub struct ScheduleWords {
    /// When: minute hour day-of-month month day-of-week (`0 22 * * MON-FRI`)
    #[arg(long)]
    pub cron: Option<String>,
    /// In which IANA time zone (Europe/Berlin)
    #[arg(long, value_name = "NAME")]
    pub time_zone: Option<String>,
    /// For this environment: id, TENANT/NAME or alias
    #[arg(long, conflicts_with_all = ["selector", "tenant", "region", "cap"])]
    pub environment: Option<String>,
    /// For all environments that match when the time comes (`tier in (gold,silver)`; empty: all)
    #[arg(long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// Only environments of this tenant
    #[arg(long, requires = "selector")]
    pub tenant: Option<String>,
    /// Only environments in this region
    #[arg(long, requires = "selector")]
    pub region: Option<String>,
    /// When more environments match, nothing runs (default 100)
    #[arg(long, requires = "selector")]
    pub cap: Option<u32>,
    /// Times that came while no manager ran: none, latest (default) or all
    #[arg(long, value_name = "POLICY")]
    pub catch_up: Option<String>,
    /// A time that comes while an earlier run goes on: skip, queue (default) or replace
    #[arg(long, value_name = "POLICY")]
    pub overlap: Option<String>,
    /// By when a run must have ended: a length (8h) or a time on the wall (06:30, 06:30+1d)
    #[arg(long, value_name = "DEADLINE")]
    pub deadline: Option<String>,
    /// Parameter, KEY=VALUE (VALUE as YAML); several allowed
    #[arg(long = "parameter", short = 'p', value_name = "KEY=VALUE")]
    pub parameters: Vec<String>,
    /// For people
    #[arg(long)]
    pub description: Option<String>,
}

/// How a run is asked for.
#[derive(Clone, Debug, Args)]
pub struct Ask {
    /// Only list what would run
    #[arg(long)]
    pub validate_only: bool,
    /// Repeating a command with the same key does nothing twice
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    #[command(flatten)]
    pub connection: Connection,
}
