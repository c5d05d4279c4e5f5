//! The agent's page for probes and metrics: plain HTTP, a few counters, nothing of anybody's data.
//!
//! Ready means that it holds the region's session. It must never be needed for anything to run.

use crate::exit::{Exit, Failure};
use anyhow::{Context, Result};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use std::fmt::Write;
use std::net::SocketAddr;
use tenantry_agent::{AgentStatus, Standing};
use tenantry_model::with_causes;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves `/healthz`, `/readyz` and `/metrics` until the shutdown; answers when the address is bound.
pub async fn serve(listen: SocketAddr, status: AgentStatus, shutdown: CancellationToken) -> Result<()> {
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        Failure::new(Exit::Refused, format!("setting `status-listen`: cannot listen on {listen}: {error}"))
    })?;
    let address = listener.local_addr().context("the status page has no address")?;
    let app = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(status);
    tracing::info!(%address, "serving /readyz and /metrics");
    tokio::spawn(async move {
        let served = axum::serve(listener, app).with_graceful_shutdown(shutdown.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(error = %with_causes(&error), "the status page broke off");
        }
    });
    Ok(())
}

async fn ready(State(status): State<AgentStatus>) -> (StatusCode, String) {
    match status.standing() {
        Standing::Connected { since } => (StatusCode::OK, format!("connected since {since:.0}\n")),
        Standing::Away { since } => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("no session with the manager since {since:.0}\n"))
        }
        Standing::Refused { since, why } => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("credential refused since {since:.0}: {why}\n"))
        }
    }
}

async fn metrics(State(status): State<AgentStatus>) -> ([(&'static str, &'static str); 1], String) {
    ([("content-type", "text/plain; version=0.0.4")], gauges(&status))
}

fn gauges(status: &AgentStatus) -> String {
    let (standing, backlog) = (status.standing(), status.backlog());
    let connected = u64::from(matches!(standing, Standing::Connected { .. }));
    let refused = u64::from(matches!(standing, Standing::Refused { .. }));
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let all = [
        ("connected", "The agent holds the region's session", connected),
        ("credential_refused", "The manager refuses the agent's credential: a person must act", refused),
        ("attempts_open", "Attempts that run or wait to be released", count(backlog.open_attempts)),
        ("facts_unsent", "Facts that the manager has not acknowledged", count(backlog.facts)),
        ("log_unsent_bytes", "Log text that the manager has not acknowledged", backlog.log_bytes),
    ];
    let mut text = String::new();
    for (name, help, value) in all {
        let name = format!("tenantry_agent_{name}");
        // Writing to a String cannot fail.
        let _ = write!(text, "# HELP {name} {help}.\n# TYPE {name} gauge\n{name} {value}\n");
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in tests a panic is the message")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_agent_without_a_session_is_alive_but_not_ready() {
        let status = AgentStatus::default();
        let (code, text) = ready(State(status.clone())).await;
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.starts_with("no session with the manager since "), "{text}");
        assert!(gauges(&status).contains("\ntenantry_agent_connected 0\n"));
    }
}
