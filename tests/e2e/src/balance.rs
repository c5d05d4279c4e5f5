//! Who gets the next connection: as a load balancer does it, in turns among those that say that they are ready.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// How often each is asked whether it is ready, and how long it may take to say so.
const ASK_EVERY: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(2);

/// Those that connections go to.
#[derive(Debug)]
pub(crate) struct Targets {
    all: Vec<Target>,
    turn: AtomicUsize,
    over: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Target {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
}

impl Targets {
    /// A single one, whatever its state.
    pub fn one(address: SocketAddr) -> Self {
        let all = vec![Target { address, ready: Arc::new(AtomicBool::new(true)) }];
        Self { all, turn: AtomicUsize::default(), over: Arc::default() }
    }

    /// Several, each asked at `/readyz` all the time.
    pub fn watched(addresses: &[SocketAddr]) -> Self {
        let over = Arc::<AtomicBool>::default();
        let target = |address: &SocketAddr| {
            let (address, ready) = (*address, Arc::<AtomicBool>::default());
            let (shared, over) = (Arc::clone(&ready), Arc::clone(&over));
            std::thread::spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    shared.store(is_ready(address).unwrap_or(false), Ordering::SeqCst);
                    std::thread::sleep(ASK_EVERY);
                }
            });
            Target { address, ready }
        };
        Self { all: addresses.iter().map(target).collect(), turn: AtomicUsize::default(), over }
    }

    /// A connection to the next that is ready; if none is, to any that takes it: better than nobody.
    pub fn connect(&self) -> Option<TcpStream> {
        let turn = self.turn.fetch_add(1, Ordering::SeqCst);
        let in_turn = || self.all.iter().cycle().skip(turn % self.all.len()).take(self.all.len());
        let ready = in_turn().filter(|target| target.ready.load(Ordering::SeqCst));
        let others = in_turn().filter(|target| !target.ready.load(Ordering::SeqCst));
        ready.chain(others).find_map(|target| TcpStream::connect_timeout(&target.address, CONNECT).ok())
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

fn is_ready(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(
        format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    Ok(answer.ends_with(b" 200"))
}
