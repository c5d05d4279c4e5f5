//! `tenantry tenant` and `tenantry env`.

use super::{ChangeArgs, ConflictArgs, Connection, StartArgs};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Makes a tenant
    Create {
        /// Its name
        name: String,
        /// For people
        #[arg(long)]
        display_name: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        connection: Connection,
    },
    /// Shows a tenant
    Get {
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Lists tenants
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Changes what people see
    Update {
        name: String,
        #[arg(long)]
        display_name: String,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        connection: Connection,
    },
    /// Deletes a tenant that has no environments
    Delete {
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        connection: Connection,
    },
}

/// What an environment is to be; flags win over the file.
#[derive(Clone, Debug, Args)]
pub struct Wanted {
    /// YAML or JSON file with tenant, name, region, labels, aliases, apps, settings; `-` reads stdin
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Label, KEY=VALUE; several allowed; KEY- removes one
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<String>,
    /// One setting, DOTTED.PATH=VALUE (VALUE as YAML); several allowed; PATH- removes one
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Further name for the lookup; several allowed
    #[arg(long = "alias", value_name = "NAME")]
    pub aliases: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum EnvCommand {
    /// Makes an environment and provisions it (lifecycle.upsert)
    Create {
        /// TENANT/NAME (or in the file)
        name: Option<String>,
        /// Where its hooks run
        #[arg(long)]
        region: Option<String>,
        #[command(flatten)]
        wanted: Wanted,
        #[command(flatten)]
        start: StartArgs,
        #[command(flatten)]
        connection: Connection,
    },
    /// Shows an environment
    Get {
        /// Id, TENANT/NAME or alias
        environment: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Lists environments
    List {
        #[arg(long)]
        tenant: Option<String>,
        #[arg(long)]
        region: Option<String>,
        #[arg(long)]
        state: Option<String>,
        /// Also purged ones
        #[arg(long)]
        show_purged: bool,
        /// Only decommissioned ones that cannot be undeleted any more: they may be purged
        #[arg(long, conflicts_with_all = ["state", "show_purged"])]
        retention_over: bool,
        /// At most this many
        #[arg(long, default_value_t = 1000)]
        limit: usize,
        #[command(flatten)]
        connection: Connection,
    },
    /// Changes an environment and brings it to what is wanted (lifecycle.upsert)
    Update {
        environment: String,
        #[command(flatten)]
        wanted: Wanted,
        /// Only if its ETag is still this one; otherwise the newest is read first
        #[arg(long, value_name = "ETAG")]
        if_match: Option<String>,
        #[command(flatten)]
        start: StartArgs,
        #[command(flatten)]
        connection: Connection,
    },
    /// Runs the upsert again without a change: brings new hooks to it
    Reconcile(EnvOperation),
    /// Switches it off and keeps its data
    Suspend(EnvOperation),
    /// Switches it on again
    Resume(EnvOperation),
    /// Writes a backup
    Backup(EnvOperation),
    /// Reads a backup back
    Restore {
        /// The backup operation to read; default: the newest that succeeded
        #[arg(long, value_name = "OPERATION")]
        backup: Option<String>,
        #[command(flatten)]
        operation: EnvOperation,
    },
    /// Tears it down; it can be undeleted until its retention ends
    Decommission {
        /// How long it can be undeleted (`720h`); default: the installation's
        #[arg(long, value_name = "DURATION")]
        retention: Option<String>,
        #[command(flatten)]
        operation: EnvOperation,
    },
    /// Brings a decommissioned environment back
    Undelete(EnvOperation),
    /// Purges a decommissioned environment for good: its name and aliases are free, nothing brings it back
    Purge(PurgeArgs),
}

/// The end of one environment.
#[derive(Clone, Debug, Args)]
pub struct PurgeArgs {
    /// Id, TENANT/NAME or alias
    pub environment: String,
    /// The environment's own name (without its tenant), typed again
    #[arg(long, value_name = "NAME", required_unless_present = "dry_run")]
    pub confirm: Option<String>,
    /// Why (kept in the audit log)
    #[arg(long)]
    pub reason: String,
    /// Although it can still be undeleted
    #[arg(long)]
    pub now: bool,
    /// Only if its ETag is still this one; otherwise the newest is read first
    #[arg(long, value_name = "ETAG")]
    pub if_match: Option<String>,
    /// Repeating a command with the same key does nothing twice
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Only say what would go
    #[arg(long, visible_alias = "validate-only")]
    pub dry_run: bool,
    #[command(flatten)]
    pub connection: Connection,
}

/// An operation on one environment.
#[derive(Clone, Debug, Args)]
pub struct EnvOperation {
    /// Id, TENANT/NAME or alias
    pub environment: String,
    #[command(flatten)]
    pub conflict: ConflictArgs,
    #[command(flatten)]
    pub start: StartArgs,
    #[command(flatten)]
    pub connection: Connection,
}
