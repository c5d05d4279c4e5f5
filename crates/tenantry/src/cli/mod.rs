//! The command line: noun verb. Only words and their help; what they do is in `commands`.

mod audit;
mod check;
mod env;
mod event;
mod hook;
mod op;
mod other;
mod retention;
mod schedule;
mod steering;
mod store;

pub use audit::*;
pub use check::*;
pub use env::*;
pub use event::*;
pub use hook::*;
pub use op::*;
pub use other::*;
pub use retention::*;
pub use schedule::*;
pub use steering::*;
pub use store::*;

use crate::settings::{self, Settings};
use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// tenantry: lifecycle operations for tenant environments, run by teams' hooks.
#[derive(Debug, Parser)]
#[command(name = "tenantry", version, max_term_width = 110, arg_required_else_help = true)]
pub struct Cli {
    /// How data on stdout is written
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, env = "TENANTRY_OUTPUT")]
    pub output: Format,
    #[command(subcommand)]
    pub command: Command,
}

/// How data on stdout is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// The API's JSON
    Json,
    /// The same as YAML
    Yaml,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs manager and agent in one process, with SQLite: a laptop's tenantry
    Up(UpArgs),
    /// Runs the manager
    Manager(ManagerArgs),
    /// Runs a region's agent
    Agent(AgentArgs),
    /// Tenants: customers, ventures
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Tenant environments
    #[command(subcommand)]
    Env(EnvCommand),
    /// Operations: look at them, steer them
    #[command(subcommand)]
    Op(OpCommand),
    /// Schedules: operations that run when their time comes
    #[command(subcommand)]
    Schedule(ScheduleCommand),
    /// Holds by predicate: steps that must not start
    #[command(subcommand)]
    Hold(HoldCommand),
    /// Verbs that wait for a second person
    #[command(subcommand)]
    Approval(ApprovalCommand),
    /// What waits for a person
    Attention(AttentionArgs),
    /// Events on their way to other programs
    #[command(subcommand)]
    Event(EventCommand),
    /// Who changed what, when and why; and whether that record is whole
    #[command(subcommand)]
    Audit(AuditCommand),
    /// What is old and needed by nothing
    #[command(subcommand)]
    Retention(RetentionCommand),
    /// Checks whether everything that is stored fits together (exit code 1 if not)
    Check(CheckArgs),
    /// Hooks: what teams have registered, and tools for their authors
    #[command(subcommand)]
    Hook(HookCommand),
    /// What operation names mean
    #[command(subcommand)]
    Definition(DefinitionCommand),
    /// Credentials of clients
    #[command(subcommand)]
    Token(TokenCommand),
    /// Regions and their agents
    #[command(subcommand)]
    Region(RegionCommand),
    /// The rows as a whole: schema, check, archives; without a manager
    #[command(subcommand)]
    Store(StoreCommand),
    /// Prints a shell's completions: `source <(tenantry completions bash)`
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Prints the manual page, or writes those of all commands to a folder
    Man {
        /// Folder to write to; it is made if it is missing
        folder: Option<PathBuf>,
    },
    /// Writes the generated reference pages (settings, command line, exit codes)
    Reference {
        /// Folder to write to
        folder: PathBuf,
    },
    /// Runs one attempt's process and keeps its exit code
    #[command(hide = true)]
    Shim {
        /// The attempt's folder
        folder: PathBuf,
    },
}

/// Settings that every client command takes.
pub type Connection = Settings<settings::Client>;

#[derive(Debug, clap::Args)]
pub struct UpArgs {
    /// Use a temporary folder that is removed at the end, and any free port
    #[arg(long)]
    pub temporary: bool,
    /// File to write url and token to as shell variables, as soon as it is ready
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Name of the region
    #[arg(long, default_value = "local")]
    pub region: String,
    #[command(flatten)]
    pub settings: Settings<settings::Up>,
}

#[derive(Debug, clap::Args)]
pub struct ManagerArgs {
    #[command(flatten)]
    pub settings: Settings<settings::Manager>,
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AgentArgs {
    #[command(subcommand)]
    pub command: Option<AgentCommand>,
    #[command(flatten)]
    pub settings: Settings<settings::Agent>,
}

#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Lets go of every object in the region, before the agent is uninstalled
    Drain {
        #[command(flatten)]
        settings: Settings<settings::Agent>,
    },
}

/// How long a command waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// Until it has ended or a step waits for a decision (exit code 7)
    Decision,
    /// Until it has ended
    Settled,
}

/// Options of commands that change something and start nothing.
#[derive(Clone, Debug, clap::Args)]
pub struct ChangeArgs {
    /// Repeating a command with the same key does nothing twice
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Only say what would happen
    #[arg(long, visible_alias = "dry-run")]
    pub validate_only: bool,
}

/// Options of commands that start an operation.
#[derive(Clone, Debug, clap::Args)]
pub struct StartArgs {
    /// Why (kept in the audit log)
    #[arg(long)]
    pub reason: Option<String>,
    /// Wait for the end with progress; `--wait=settled` goes on waiting while a step waits for a decision
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "decision")]
    pub wait: Option<Wait>,
    /// Repeating a command with the same key does nothing twice
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Only say what would happen
    #[arg(long, visible_alias = "dry-run")]
    pub validate_only: bool,
}

/// What happens when another operation of the environment is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnConflict {
    /// It waits its turn
    Queue,
    /// It is refused (exit code 5)
    Refuse,
    /// What waits under the same name is cancelled, and it waits its turn; what runs goes on
    Replace,
    /// What runs and what waits is cancelled, and it starts when all of that is over
    CancelRunning,
}

impl From<OnConflict> for tenantry_model::ConflictPolicy {
    fn from(choice: OnConflict) -> Self {
        match choice {
            OnConflict::Queue => Self::Queue,
            OnConflict::Refuse => Self::Refuse,
            OnConflict::Replace => Self::Replace,
            OnConflict::CancelRunning => Self::CancelRunning,
        }
    }
}

/// The caller's choice, of commands that ask for an operation which may meet another one.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct ConflictArgs {
    /// When another operation is in the way; default: what the operation's definition says
    #[arg(long, value_enum, value_name = "WHAT")]
    pub on_conflict: Option<OnConflict>,
}

impl ConflictArgs {
    /// As the API takes it.
    pub fn policy(self) -> Option<tenantry_model::ConflictPolicy> {
        self.on_conflict.map(Into::into)
    }
}
