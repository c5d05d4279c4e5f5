//! A TCP proxy before the server that breaks a connection at a chosen statement: before the server hears of it, or when
//! the server has carried it out and nobody hears the answer. Or it tells nobody, and the connection says nothing more.

use anyhow::Result;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Notify,
    task::JoinHandle,
};

/// When a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The server never hears of the statement.
    Before,
    /// The server has answered, and nobody hears it.
    After,
    /// The server never hears of the statement, and the connection stays open as long as the client wants it.
    Never,
}

/// A proxy; dropped it stops.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    plan: Arc<Plan>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Plan(Mutex<Option<(String, When)>>);

impl Plan {
    /// Whether this statement is the one; it is only once.
    fn take(&self, sql: &str) -> Option<When> {
        let mut plan = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A single word is a whole statement: COMMIT is also a part of READ COMMITTED.
        let fits = |part: &str| if part.contains(' ') { sql.contains(part) } else { sql.starts_with(part) };
        let when = plan.as_ref().filter(|(part, _)| fits(part)).map(|(_, when)| *when)?;
        *plan = None;
        Some(when)
    }
}

impl Proxy {
    /// Forwards connections to `server`. They must not be encrypted (`sslmode=disable`).
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let plan = Arc::<Plan>::default();
        let shared = Arc::clone(&plan);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if let Ok(server) = TcpStream::connect(server).await {
                    forward(client, server, Arc::clone(&shared));
                }
            }
        });
        Ok(Self { address, plan, task })
    }

    /// Breaks the next connection that sends a statement with this text, or that begins with this word.
    pub fn cut_at(&self, sql: &str, when: When) {
        *self.plan.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((sql.to_owned(), when));
    }

    /// Whether it has happened.
    #[must_use]
    pub fn has_cut(&self) -> bool {
        self.plan.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn forward(client: TcpStream, server: TcpStream, plan: Arc<Plan>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (mute, over) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let answers = tokio::spawn(relay_answers(from_server, to_client, Arc::clone(&mute), Arc::clone(&over)));
    tokio::spawn(async move {
        // Errors end the connection, which is what they mean.
        let _ = relay_requests(from_client, to_server, &plan, &mute, &over).await;
        answers.abort();
    });
}

/// While muted, the first answer ends the connection: the server has done what it was asked.
async fn relay_answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mute: Arc<AtomicBool>,
    over: Arc<Notify>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if mute.load(Ordering::SeqCst) {
            break;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    over.notify_one();
}

/// Messages of the client: <https://www.postgresql.org/docs/15/protocol-message-formats.html>.
async fn relay_requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    plan: &Plan,
    mute: &AtomicBool,
    over: &Notify,
) -> std::io::Result<()> {
    // The first message has no type.
    let first = read_body(&mut from).await?;
    to.write_all(&first).await?;
    let mut statements: HashMap<Vec<u8>, String> = HashMap::new();
    let mut after = false;
    loop {
        let kind = tokio::select! {
            kind = from.read_u8() => kind?,
            () = over.notified() => return Ok(()),
        };
        let message = read_body(&mut from).await?;
        let texts: Vec<&[u8]> = message[4..].split(|byte| *byte == 0).collect();
        let sql = match (kind, texts.as_slice()) {
            (b'Q', [sql, ..]) => Some(String::from_utf8_lossy(sql).into_owned()),
            (b'P', [name, sql, ..]) => {
                statements.insert(name.to_vec(), String::from_utf8_lossy(sql).into_owned());
                None
            }
            (b'B', [_portal, name, ..]) => statements.get(*name).cloned(),
            _ => None,
        };
        match sql.and_then(|sql| plan.take(&sql)) {
            Some(When::Before) => return Ok(()),
            Some(When::Never) => {
                // The end of both halves is the end of the connection: kept until the client has had enough.
                tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
                return Ok(());
            }
            Some(When::After) => after = true,
            None => {}
        }
        // The server answers a query, or at the end of a row of messages.
        if after && matches!(kind, b'Q' | b'S') {
            mute.store(true, Ordering::SeqCst);
        }
        to.write_u8(kind).await?;
        to.write_all(&message).await?;
        if mute.load(Ordering::SeqCst) {
            over.notified().await;
            return Ok(());
        }
    }
}

/// Length and body.
async fn read_body(from: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut message = length.to_be_bytes().to_vec();
    message.resize((length as usize).max(4), 0);
    from.read_exact(&mut message[4..]).await?;
    Ok(message)
}
