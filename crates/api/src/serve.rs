//! Binding, TLS, stopping.

use crate::{metrics::Metrics, router, state::ApiState, tls};
use axum::{Router, extract::Request};
use axum_server::{Handle, accept::NoDelayAcceptor};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tenantry_identity::Identities;
use tenantry_manager::Manager;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How to serve.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Certificate and key; without them, only loopback addresses are served.
    pub tls: Option<TlsFiles>,
    /// Longest time of one request; long polls have their own on top.
    pub request_timeout: Duration,
    /// How often the TLS files are looked at for changes.
    pub tls_check_interval: Duration,
    /// How bridges of regions of Argo are known; `None`: there are no such regions.
    pub identities: Option<Arc<Identities>>,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the server's certificate, then the ones between it and its authority.
    pub certificate: PathBuf,
    /// PEM: the certificate's private key.
    pub key: PathBuf,
}

impl ApiConfig {
    /// Plain HTTP on a loopback address, with defaults.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: None,
            request_timeout: Duration::from_secs(30),
            tls_check_interval: Duration::from_secs(10),
            identities: None,
        }
    }
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Credentials would travel in the clear.
    #[error(
        "{0} is no loopback address, and plain HTTP would send credentials in the clear: give a certificate and a key, or listen on 127.0.0.1"
    )]
    PlainNotLoopback(SocketAddr),
    /// Another process listens there.
    #[error("{0} is in use by another process: stop it, or listen on another port")]
    InUse(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("TLS: {0}")]
    Tls(String),
    /// Serving broke off.
    #[error("the server on {address} broke off")]
    Broken {
        /// Where it listened.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A server that answers. Dropping it stops it without grace.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    secure: bool,
    handle: Handle<SocketAddr>,
    stopping: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

/// Starts to answer; returns when the address is bound.
pub async fn serve(config: ApiConfig, manager: Manager) -> Result<Server, ServeError> {
    if config.tls.is_none() && !config.listen.ip().is_loopback() {
        return Err(ServeError::PlainNotLoopback(config.listen));
    }
    let tls = if let Some(files) = &config.tls {
        Some(tls::load(files).await.map_err(ServeError::Tls)?)
    } else {
        None
    };
    let bind = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::InUse(config.listen),
        _ => ServeError::Bind { address: config.listen, source },
    };
    let listener = TcpListener::bind(config.listen).map_err(bind)?;
    listener.set_nonblocking(true).map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;

    let stopping = CancellationToken::new();
    let state = ApiState {
        manager,
        metrics: Arc::new(Metrics::new()),
        stopping: stopping.clone(),
        request_timeout: config.request_timeout,
        identities: config.identities,
    };
    let app: Router = router::finish(router::build(), state);
    let service = axum::ServiceExt::<Request>::into_make_service_with_connect_info::<SocketAddr>(app);
    let handle = Handle::new();
    let secure = tls.is_some();
    // No delay: a line of a followed log must not wait until the line before it was acknowledged.
    let task = if let (Some(rustls), Some(files)) = (tls, config.tls) {
        tokio::spawn(tls::watch(files, rustls.clone(), config.tls_check_interval, stopping.clone()));
        let server = axum_server::from_tcp_rustls(listener, rustls).map_err(bind)?;
        let server = server.map(|tls| tls.acceptor(NoDelayAcceptor)).handle(handle.clone());
        tokio::spawn(server.serve(service))
    } else {
        let server = axum_server::from_tcp(listener).map_err(bind)?;
        let server = server.acceptor(NoDelayAcceptor).handle(handle.clone());
        tokio::spawn(server.serve(service))
    };
    tracing::info!(%address, "serving");
    Ok(Server { address, secure, handle, stopping, task })
}

impl Server {
    /// Where it listens, with the port that was taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of this address. With TLS a certificate rarely names an address: clients use the name.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.address)
    }

    /// Stops: long polls answer, streams end, requests that run get `grace`; then the rest is cut off.
    pub async fn stop(mut self, grace: Duration) -> Result<(), ServeError> {
        self.stopping.cancel();
        self.handle.graceful_shutdown(Some(grace));
        self.ended().await
    }

    /// Resolves when serving has broken off (or was stopped).
    pub async fn ended(&mut self) -> Result<(), ServeError> {
        let address = self.address;
        let ended = (&mut self.task).await.unwrap_or_else(|why| Err(io::Error::other(why)));
        ended.map_err(|source| ServeError::Broken { address, source })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.cancel();
        self.handle.shutdown();
    }
}
