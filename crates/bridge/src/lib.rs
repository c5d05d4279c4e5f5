//! `tenantry-bridge`: finds hooks for an Argo Workflow (`discovery`) and runs one of them as a step of it (`bridge`).
//!
//! Hundreds of it run at once, each in a Pod of its own: it holds little, asks little, and keeps nothing that its next
//! life would miss. Without a manager the cluster's objects are all it knows; with one it does what the manager decides
//! (`managed`). It must never pull in the engine or a store, and never judge a hook by rules of its own (`tenantry-hook` has
//! them, `tenantry-kube-run` runs attempts).

#![cfg_attr(test, allow(clippy::unwrap_used))] // a test may

pub mod cli;
mod dag;
mod discovery;
mod environment;
mod error;
mod managed;
mod output;
mod region;
mod rights;
mod run;
mod submit;

pub use dag::{Submit, SubmitManager, workflow};
pub use discovery::{Found, Order, Rules, Slim, judge};
pub use environment::{Encoding, EnvironmentFile, Named};
pub use error::{BridgeError, Exit};
pub use managed::ManagerError;
pub use output::{Listing, STDOUT_LIMIT};
pub use rights::Missing;
pub use run::{Next, next};

use cli::{Cli, Verb};

/// Runs what the command line asks for; answers the exit code.
pub async fn main(cli: Cli) -> u8 {
    match cli.verb {
        Verb::Discovery(arguments) => match Box::pin(discovery::main(&arguments)).await {
            Ok(()) => Exit::Done as u8,
            Err(error) => {
                tell(&error);
                error.exit() as u8
            }
        },
        Verb::Bridge(arguments) => Box::pin(run::main(&arguments)).await,
    }
}

/// One line for each cause, and what to do about it.
pub(crate) fn tell(error: &BridgeError) {
    eprintln!("tenantry-bridge: {}", tenantry_model::with_causes(error));
    if let Some(remedy) = error.remedy() {
        eprintln!("{remedy}");
    }
}
