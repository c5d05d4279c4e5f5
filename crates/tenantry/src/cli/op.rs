//! `tenantry op` and `tenantry attention`.

use super::{ChangeArgs, ConflictArgs, Connection, StartArgs, Wait};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum OpCommand {
    /// Runs an operation of any name for an environment
    Run {
        /// `TEAM.OPERATION`
        name: String,
        /// Id, TENANT/NAME or alias
        environment: String,
        /// Parameter, KEY=VALUE (VALUE as YAML); several allowed
        #[arg(long = "parameter", short = 'p', value_name = "KEY=VALUE")]
        parameters: Vec<String>,
        #[command(flatten)]
        conflict: ConflictArgs,
        #[command(flatten)]
        start: StartArgs,
        #[command(flatten)]
        connection: Connection,
    },
    /// Lists operations, newest first
    List {
        /// Of one environment
        #[arg(long)]
        environment: Option<String>,
        /// Of one name
        #[arg(long)]
        name: Option<String>,
        /// In one state
        #[arg(long)]
        state: Option<String>,
        /// Only those that have not ended
        #[arg(long)]
        unfinished: bool,
        /// At most this many
        #[arg(long, default_value_t = 100)]
        limit: usize,
        #[command(flatten)]
        connection: Connection,
    },
    /// Shows an operation with its steps and attempts
    Get {
        operation: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Shows an operation live: the graph with keys for the verbs in a terminal, elsewhere its events as lines
    Watch {
        operation: String,
        /// When to stop watching, without a terminal
        #[arg(long, value_enum, default_value_t = Wait::Decision)]
        until: Wait,
        #[command(flatten)]
        connection: Connection,
    },
    /// Prints a step's log
    Logs {
        operation: String,
        /// NAMESPACE/NAME (or REGION/NAMESPACE/NAME); default: all steps, one after the other
        step: Option<String>,
        /// Which attempt; default: the newest
        #[arg(long)]
        attempt: Option<u32>,
        /// Go on until the attempt has ended
        #[arg(long, short)]
        follow: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Keeps a step from starting; a running one finishes and its successors wait
    Hold {
        /// When the hold lifts by itself: a time (2026-11-21T06:00:00Z) or from now (8h)
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        #[command(flatten)]
        verb: Verb,
    },
    /// Ends a step's running attempt and holds the step; it begins again when it is released
    Stop {
        /// When the hold lifts by itself: a time (2026-11-21T06:00:00Z) or from now (8h)
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        #[command(flatten)]
        verb: Verb,
    },
    /// Lifts a hold of a step
    Release {
        /// That of this hold by predicate, for this step only; without it what `hold` or `stop` put on the step
        #[arg(long, value_name = "ID")]
        hold: Option<String>,
        #[command(flatten)]
        verb: Verb,
    },
    /// Starts another attempt of a step
    Rerun {
        /// Everything that started after it begins again too; without it consumers become stale
        #[arg(long)]
        with_successors: bool,
        #[command(flatten)]
        verb: Verb,
    },
    /// Ends a step's running attempt; it is not tried again by itself
    Kill(Verb),
    /// Leaves a step out
    Skip(Verb),
    /// Says that a step was done by hand
    Confirm {
        /// Output for successors, KEY=VALUE; several allowed
        #[arg(long = "set", value_name = "KEY=VALUE")]
        outputs: Vec<String>,
        #[command(flatten)]
        verb: Verb,
    },
    /// Lets a step start without waiting for a predecessor
    IgnoreDependency {
        /// Which: NAMESPACE/NAME (or REGION/NAMESPACE/NAME); without it all that the step still waits for
        #[arg(long, value_name = "HOOK")]
        on: Option<String>,
        #[command(flatten)]
        verb: Verb,
    },
    /// Says that an unknown attempt will never be heard of again
    DeclareLost(Verb),
    /// Starts no new steps of an operation; what runs goes on to its end
    Pause(OperationVerbArgs),
    /// Lets a paused operation go on
    Resume(OperationVerbArgs),
    /// Runs an operation that has ended again, as a new one
    Replay {
        operation: String,
        /// From this step on: NAMESPACE/NAME; several allowed. What is not after one of them is kept with its outputs
        #[arg(long, value_name = "STEP")]
        from: Vec<String>,
        /// Run the versions of the hooks that are in force now, not those that ran
        #[arg(long)]
        current_hooks: bool,
        /// Parameter that is different, KEY=VALUE (VALUE as YAML; null takes it away); several allowed
        #[arg(long = "set", value_name = "KEY=VALUE")]
        set: Vec<String>,
        #[command(flatten)]
        conflict: ConflictArgs,
        #[command(flatten)]
        start: StartArgs,
        #[command(flatten)]
        connection: Connection,
    },
    /// Ends an operation
    Cancel {
        #[command(flatten)]
        verb: OperationVerbArgs,
        /// Afterwards wait for the end
        #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "settled")]
        wait: Option<Wait>,
    },
}

/// A verb on a step.
#[derive(Clone, Debug, Args)]
pub struct Verb {
    pub operation: String,
    /// NAMESPACE/NAME (or REGION/NAMESPACE/NAME)
    pub step: String,
    /// Why (kept in the audit log)
    #[arg(long)]
    pub reason: Option<String>,
    /// Only if the step is in this state (409 otherwise)
    #[arg(long, value_name = "STATE")]
    pub expect_state: Option<String>,
    /// Only if this is the step's newest attempt (409 otherwise)
    #[arg(long, value_name = "NUMBER")]
    pub expect_attempt: Option<u32>,
    /// Repeating a command with the same key does nothing twice
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Only say what would happen
    #[arg(long, visible_alias = "validate-only")]
    pub dry_run: bool,
    /// Afterwards wait for the operation
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "decision")]
    pub wait: Option<Wait>,
    #[command(flatten)]
    pub connection: Connection,
}

/// A verb on an operation.
#[derive(Clone, Debug, Args)]
pub struct OperationVerbArgs {
    pub operation: String,
    /// Why (kept in the audit log)
    #[arg(long)]
    pub reason: Option<String>,
    /// Repeating a command with the same key does nothing twice
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Only say what would happen
    #[arg(long, visible_alias = "validate-only")]
    pub dry_run: bool,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Args)]
pub struct AttentionArgs {
    /// Of one operation
    #[arg(long)]
    pub operation: Option<String>,
    /// Also what has been settled
    #[arg(long)]
    pub settled: bool,
    /// At most this many
    #[arg(long, default_value_t = 1000)]
    pub limit: usize,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Subcommand)]
pub enum DefinitionCommand {
    /// Lists definitions
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Shows a definition
    Get {
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Makes or replaces the definition in a YAML or JSON file
    Apply {
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        connection: Connection,
    },
    /// Deletes a definition
    Delete {
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        connection: Connection,
    },
}
