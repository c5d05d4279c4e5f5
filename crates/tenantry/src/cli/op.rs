//! `tenantry op` and `tenantry attention`.

use super::{Connection, StartArgs, Wait};
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
    /// Starts another attempt of a step
    Rerun(Verb),
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
    /// Says that an unknown attempt will never be heard of again
    DeclareLost(Verb),
    /// Ends an operation
    Cancel {
        operation: String,
        /// Why
        #[arg(long)]
        reason: String,
        #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "settled")]
        wait: Option<Wait>,
        #[command(flatten)]
        connection: Connection,
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
    /// Afterwards wait for the operation
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "decision")]
    pub wait: Option<Wait>,
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
        connection: Connection,
    },
    /// Deletes a definition
    Delete {
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
}
