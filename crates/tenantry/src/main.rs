//! The `tenantry` binary: words to calls, settings to processes, errors to exit codes. Rules live in the other rooms.

mod cli;
mod commands;
mod exit;
mod output;
mod progress;
mod reference;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps says where it broke")]
mod remedies;
mod serve;
mod settings;
mod wanted;
mod watch;

use clap::Parser;
use exit::{Exit, Failure};
use std::{ffi::OsString, path::Path, process::ExitCode};

fn main() -> ExitCode {
    // A shim must outlive everything and stay small: no runtime, no log, no crypto. One is started for every attempt,
    // so it does not even build the parser of the command line.
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let [command, folder] = &args[..]
        && command == "shim"
        && !folder.as_encoded_bytes().starts_with(b"-")
    {
        return tenantry_agent::shim::main(Path::new(folder));
    }
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
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
    anstream::eprintln!("tenantry: {}", tenantry_model::with_causes(error.as_ref()));
    Exit::Failed
}
