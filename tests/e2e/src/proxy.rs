//! TCP on loopback that can be cut: the partition between two programs, and the balancer before several managers.

use crate::balance::Targets;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Forwards connections until it is cut; when cut, a connection is taken and says nothing, as behind a firewall that
/// drops packets.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    cut: AtomicBool,
    ended: AtomicBool,
    /// Both sides of the connections that are open.
    open: Mutex<BTreeMap<u64, Vec<TcpStream>>>,
    next: AtomicU64,
}

/// A connection; forgotten when neither side uses it any more.
struct Connection {
    id: u64,
    state: Arc<State>,
}

impl Connection {
    fn remember(&self, stream: &TcpStream) {
        if let Ok(stream) = stream.try_clone() {
            self.state.open().entry(self.id).or_default().push(stream);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // One that was taken while nothing gets through is not answered and not refused either.
        if !self.state.cut.load(Ordering::SeqCst) {
            self.state.open().remove(&self.id);
        }
    }
}

impl State {
    fn open(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Vec<TcpStream>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn break_all(&self) {
        for stream in std::mem::take(&mut *self.open()).into_values().flatten() {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    fn gets_through(&self) -> bool {
        !self.cut.load(Ordering::SeqCst)
    }
}

impl Proxy {
    /// Starts forwarding to `target`.
    pub fn start(target: SocketAddr) -> Result<Self> {
        Self::over(Targets::one(target))
    }

    /// A balancer: each connection goes to the next of `targets` that says at `/readyz` that it is ready.
    pub fn balancing(targets: &[SocketAddr]) -> Result<Self> {
        Self::over(Targets::watched(targets))
    }

    fn over(targets: Targets) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("bind the proxy")?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.ended.load(Ordering::SeqCst) {
                    return;
                }
                let id = shared.next.fetch_add(1, Ordering::SeqCst);
                let connection = Arc::new(Connection { id, state: Arc::clone(&shared) });
                connection.remember(&stream);
                if !shared.gets_through() {
                    continue;
                }
                let Some(server) = targets.connect() else {
                    drop(stream.shutdown(Shutdown::Both));
                    continue;
                };
                connection.remember(&server);
                if let (Ok(from), Ok(to)) = (stream.try_clone(), server.try_clone()) {
                    pump(from, to, &connection);
                    pump(server, stream, &connection);
                }
            }
        });
        Ok(Self { address, state })
    }

    /// Nothing gets through from now on; connections that are open break.
    pub fn cut(&self) {
        self.state.cut.store(true, Ordering::SeqCst);
        self.state.break_all();
    }

    /// Nothing gets through from now on, and nobody is told: connections stay open, and what is sent on them is lost.
    pub fn silence(&self) {
        self.state.cut.store(true, Ordering::SeqCst);
    }

    /// Everything gets through again, on new connections.
    pub fn mend(&self) {
        self.state.break_all();
        self.state.cut.store(false, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        self.state.break_all();
        // Wakes the thread that accepts.
        drop(TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, connection: &Arc<Connection>) {
    let connection = Arc::clone(connection);
    let state = Arc::clone(&connection.state);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match from.read(&mut buffer) {
                Ok(length @ 1..) if state.gets_through() => {
                    if to.write_all(&buffer[..length]).is_err() {
                        break;
                    }
                }
                // Lost on the way, as the end of a connection is.
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
        }
        if state.gets_through() {
            drop(to.shutdown(Shutdown::Both));
        }
        drop(connection);
    });
}
