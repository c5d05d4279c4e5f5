//! The `tenantry` binary: words to calls, settings to processes, errors to exit codes. Rules live in the other rooms.

mod cli;
mod commands;
mod exit;
mod output;
mod progress;
mod reference;
mod serve;
mod settings;
mod wanted;

use clap::Parser;
use exit::{Exit, Failure};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    // A shim must outlive everything and stay small: no runtime, no log, no crypto.
    if let cli::Command::Shim { folder } = &cli.command {
        return tenantry_agent::shim::main(folder);
    }
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            anstream::eprintln!("tenantry: cannot start its threads: {error}");
            return Exit::Failed.into();
        }
    };
    match runtime.block_on(commands::run(cli)) {
        Ok(exit) => exit.into(),
        Err(error) => report(&error).into(),
    }
}

fn report(error: &anyhow::Error) -> Exit {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        if !failure.message.is_empty() {
            anstream::eprintln!("tenantry: {}", failure.message);
        }
        return failure.exit;
    }
    if let Some(error) = error.downcast_ref::<tenantry_client::ClientError>() {
        anstream::eprintln!("tenantry: {}", commands::explain(error));
        return commands::exit_of(error);
    }
    anstream::eprintln!("tenantry: {}", commands::chain(error.as_ref()));
    Exit::Failed
}
