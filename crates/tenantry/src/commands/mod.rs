//! What the commands do. Each reads its words, calls the API, and prints; none of them knows a store or an engine.

mod approval;
mod attention;
mod audit;
mod audit_verify;
mod change;
mod check;
mod connect;
mod definition;
mod env;
mod event;
mod generated;
mod hold;
mod hook;
mod hook_files;
mod hook_run;
mod inbox;
mod op;
mod purge;
mod region;
mod resolve;
mod retention;
mod schedule;
mod start;
mod steer;
mod store;
mod tenant;
mod token;

pub use connect::{connect, exit_of, explain};
pub use start::told;

use crate::cli::{Cli, Command, Format};
use crate::exit::Exit;
use anyhow::Result;

/// What every command needs besides its own words.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// How data on stdout is written.
    pub format: Format,
}

/// Runs the command.
pub async fn run(cli: Cli) -> Result<Exit> {
    let context = Context { format: cli.output };
    match cli.command {
        Command::Up(args) => crate::serve::up(args).await,
        Command::Manager(args) => crate::serve::manager(args).await,
        Command::Agent(args) => crate::serve::agent(args).await,
        Command::Tenant(command) => tenant::run(context, command).await,
        Command::Env(command) => env::run(context, command).await,
        Command::Op(command) => op::run(context, command).await,
        Command::Schedule(command) => schedule::run(context, command).await,
        Command::Hold(command) => hold::run(context, command).await,
        Command::Approval(command) => approval::run(context, command).await,
        Command::Attention(args) => attention::run(context, args).await,
        Command::Event(command) => event::run(context, command).await,
        Command::Audit(command) => audit::run(context, command).await,
        Command::Retention(command) => retention::run(context, command).await,
        Command::Check(args) => check::run(context, args).await,
        Command::Hook(command) => hook::run(context, command).await,
        Command::Definition(command) => definition::run(context, command).await,
        Command::Token(command) => token::run(context, command).await,
        Command::Region(command) => region::run(context, command).await,
        Command::Store(command) => store::run(command).await,
        Command::Completions { shell } => generated::completions(shell).map(|()| Exit::Done),
        Command::Man { folder } => generated::man(folder.as_deref()).map(|()| Exit::Done),
        Command::Reference { folder } => crate::reference::write(&folder).map(|()| Exit::Done),
        // Handled before the runtime is started.
        Command::Shim { .. } => Ok(Exit::Usage),
    }
}
