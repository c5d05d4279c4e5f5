//! The programs that keep running: `up`, `manager`, `agent`. Settings become configurations of the rooms, signals
//! become one cancellation; nothing here decides anything about operations.

mod agent;
mod argo;
mod executor;
mod joined;
mod log;
mod manager;
mod notify;
mod private;
mod status;
pub mod storage;
mod up;

pub use agent::agent;
pub use manager::manager;
pub use up::up;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGTERM or SIGINT.
fn shutdown_on_signal() -> Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let cancel = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        cancel.cancel();
    });
    Ok(token)
}
