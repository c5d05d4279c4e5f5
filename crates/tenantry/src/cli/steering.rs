//! `tenantry hold` and `tenantry approval`.

use super::Connection;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum HoldCommand {
    /// Keeps steps from starting, also those of operations that start later; all given parts must fit
    Create {
        /// This hook: NAMESPACE/NAME, or REGION/NAMESPACE/NAME
        #[arg(long)]
        hook: Option<String>,
        /// Hooks of this namespace
        #[arg(long)]
        namespace: Option<String>,
        /// Hooks of this region
        #[arg(long)]
        region: Option<String>,
        /// Steps of operations of this name
        #[arg(long, value_name = "NAME")]
        operation: Option<String>,
        /// Steps for environments whose labels this Kubernetes label selector selects
        #[arg(long, value_name = "SELECTOR")]
        selector: Option<String>,
        /// When it lifts by itself: a time (2026-11-21T06:00:00Z) or from now (8h)
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// Why (kept in the audit log)
        #[arg(long)]
        reason: String,
        /// The most steps that it may hold now; needed for what matches everything or many steps
        #[arg(long, value_name = "STEPS")]
        max: Option<u32>,
        /// Only say what it would hold
        #[arg(long)]
        dry_run: bool,
        /// Repeating a command with the same key does nothing twice
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Lists holds, with who set them and why
    List {
        /// Also lifted ones
        #[arg(long)]
        lifted: bool,
        /// At most this many
        #[arg(long, default_value_t = 1000)]
        limit: usize,
        #[command(flatten)]
        connection: Connection,
    },
    /// Shows a hold and the steps that it holds
    Get {
        hold: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Lifts a hold: what it held goes on
    Lift {
        hold: String,
        /// Why (kept in the audit log)
        #[arg(long)]
        reason: Option<String>,
        /// Only say what would go on
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, Subcommand)]
pub enum ApprovalCommand {
    /// Lists verbs that wait for a second person
    List {
        /// Of one operation
        #[arg(long)]
        operation: Option<String>,
        /// Also decided ones
        #[arg(long)]
        decided: bool,
        /// At most this many
        #[arg(long, default_value_t = 1000)]
        limit: usize,
        #[command(flatten)]
        connection: Connection,
    },
    /// Shows one of them
    Get {
        approval: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Carries it out; needs another credential than the one that asked
    Approve(DecideArgs),
    /// Does not carry it out
    Reject(DecideArgs),
}

#[derive(Debug, clap::Args)]
pub struct DecideArgs {
    pub approval: String,
    /// Why (kept in the audit log)
    #[arg(long)]
    pub reason: Option<String>,
    /// Only say what would happen
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub connection: Connection,
}
