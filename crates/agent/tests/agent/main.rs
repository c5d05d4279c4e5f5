//! The agent with real processes, against a manager that speaks the protocol over real HTTP.
//!
//! This binary is three things: the tests, the shim of the attempts, and the agent process that the tests kill.

mod manager;
mod site;
mod walking;

use libtest_mimic::{Arguments, Trial};
use std::{path::PathBuf, process::ExitCode, sync::Arc};
use tokio_util::sync::CancellationToken;

/// One trial per test, in a runtime of its own.
macro_rules! trials {
    ($($module:ident :: $name:ident),* $(,)?) => {
        vec![$(Trial::test(stringify!($name), || {
            let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
            runtime.block_on($module::$name());
            runtime.shutdown_background();
            Ok(())
        })),*]
    };
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("shim") => return tenantry_agent::shim::main(&PathBuf::from(&args[2])),
        Some("agent") => return agent(&PathBuf::from(&args[2]), &args[3]),
        _ => {}
    }
    if std::env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    }
    let trials =
        trials![walking::a_hook_runs_from_the_order_to_its_end_with_its_files_its_log_and_its_outputs,];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn agent(root: &std::path::Path, url: &str) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let shutdown = CancellationToken::new();
    runtime.block_on(async {
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        let stop = shutdown.clone();
        tokio::spawn(async move {
            term.recv().await;
            stop.cancel();
        });
        let executor = Arc::new(site::executor(root));
        let result = tenantry_agent::Agent::run(site::config(root, url), executor, shutdown).await;
        result.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
    })
}
