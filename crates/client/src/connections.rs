//! The connections of the agent's client, which can be left all at once.
//!
//! A kept connection is one to a certain manager, also behind a balancer. When that one stands still, every call on it
//! waits for its time limit, one pooled connection after the other; new ones go to a manager that is ready.

use reqwest::{Certificate, Client};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tenantry_model::with_causes;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Packets that nobody acknowledges for so long break the connection, also one on which nothing is waited for.
const UNACKNOWLEDGED: Duration = Duration::from_secs(15);
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Whom the connections trust.
#[derive(Debug)]
pub(crate) enum Trust {
    /// Nobody: plain HTTP. The machine's authorities are not read then, which takes milliseconds.
    Nobody,
    /// The machine's authorities and these.
    Also(Vec<Certificate>),
}

#[derive(Debug)]
pub(crate) struct Connections {
    trust: Trust,
    /// With its number: each generation has a pool of its own.
    now: Mutex<(Client, u64)>,
}

impl Connections {
    pub(crate) fn new(trust: Trust) -> Result<Self, reqwest::Error> {
        let first = make(&trust)?;
        Ok(Self { trust, now: Mutex::new((first, 0)) })
    }

    /// The present generation.
    pub(crate) fn now(&self) -> (Client, u64) {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// No later call gets a connection of this generation; calls that are on their way end as they end. Several of them
    /// may find out the same: only the first one changes anything.
    pub(crate) fn leave(&self, generation: u64) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.1 != generation {
            return;
        }
        match make(&self.trust) {
            Ok(client) => *now = (client, generation + 1),
            // It worked before with the same parts; if not now, the old connections are all there is.
            Err(error) => {
                tracing::debug!(error = %with_causes(&error), "the connections to the manager cannot be replaced");
            }
        }
    }
}

fn make(trust: &Trust) -> Result<Client, reqwest::Error> {
    let builder = Client::builder()
        .user_agent(concat!("tenantry-agent/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(UNACKNOWLEDGED)
        .tcp_keepalive(KEEP_ALIVE)
        .tcp_keepalive_interval(KEEP_ALIVE)
        .redirect(reqwest::redirect::Policy::none());
    match trust {
        Trust::Nobody => builder.tls_certs_only([]),
        Trust::Also(authorities) => builder.tls_certs_merge(authorities.iter().cloned()),
    }
    .build()
}
