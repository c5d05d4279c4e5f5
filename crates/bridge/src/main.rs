//! The program: command line, one thread, exit code.

use clap::Parser;
use std::process::ExitCode;
use tenantry_bridge::cli::{Cli, PLATFORM};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // An exit code of `bridge` is the hook's, unless it is this one.
            let bridge = std::env::args_os().nth(1).is_some_and(|verb| verb == "bridge");
            return ExitCode::from(match (error.use_stderr(), bridge) {
                (false, _) => 0,
                (true, true) => PLATFORM,
                (true, false) => 2,
            });
        }
    };
    // The client reports each failed request with all that was answered: whoever asked says it better.
    let levels = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("kube_client::client", LevelFilter::OFF)
        .with_target("kube_runtime::watcher", LevelFilter::OFF);
    let words = fmt::layer().with_writer(std::io::stderr).with_ansi(false).without_time().with_target(false);
    tracing_subscriber::registry().with(levels).with(words).init();
    // One thread: memory is counted per bridge, and there is one log to carry.
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(tenantry_bridge::main(cli));
            // What is still under way (a log that nobody reads any more) shall not keep the Pod.
            runtime.shutdown_background();
            ExitCode::from(code)
        }
        Err(error) => {
            eprintln!("tenantry-bridge: cannot start: {error}");
            ExitCode::from(PLATFORM)
        }
    }
}
