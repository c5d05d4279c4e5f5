//! Wake-ups between managers: a commit here wakes those who wait here at once, and those of other managers through
//! NOTIFY. Nobody relies on it: behind every wait is a poll.

use sqlx::{PgPool, postgres::PgListener};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const CHANNEL: &str = "tenantry_changed";
/// After so much silence the listening connection is asked whether it is alive.
const SILENCE: Duration = Duration::from_secs(30);
/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// First and longest pause before listening again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// What commits wake.
#[derive(Debug, Default)]
pub struct Wakes {
    /// Everybody in this process who waits for a change.
    pub here: Notify,
    elsewhere: Notify,
}

impl Wakes {
    /// A transaction is committed. Several in a row are told to others as one.
    pub fn committed(&self) {
        self.here.notify_waiters();
        self.elsewhere.notify_one();
    }
}

/// Tells and hears until `stop`. `tell` and `hear` are pools, so that a broken connection is replaced.
pub async fn run(wakes: Arc<Wakes>, tell: PgPool, hear: PgPool, stop: CancellationToken) {
    let me = Uuid::new_v4().to_string();
    tokio::select! {
        () = stop.cancelled() => {}
        () = telling(&wakes, &tell, &me) => {}
        () = hearing(&wakes, &hear, &me) => {}
    }
}

/// Outside the transaction that it tells about: PostgreSQL lets transactions with a NOTIFY commit only one after the
/// other. A crash in between costs the others a poll interval.
async fn telling(wakes: &Wakes, pool: &PgPool, me: &str) {
    loop {
        wakes.elsewhere.notified().await;
        let told = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(me).execute(pool).await;
        if let Err(error) = told {
            tracing::debug!(%error, "could not tell other managers about a change; their poll finds it");
        }
    }
}

async fn hearing(wakes: &Wakes, pool: &PgPool, me: &str) {
    let mut pause = PAUSES.0;
    loop {
        let mut heard = false;
        if let Err(error) = hear(wakes, pool, me, &mut heard).await {
            tracing::debug!(%error, "the connection that hears of other managers' changes broke");
        }
        // What was said in between was not heard.
        wakes.here.notify_waiters();
        pause = if heard { PAUSES.0 } else { (pause * 2).min(PAUSES.1) };
        tokio::time::sleep(pause).await;
    }
}

async fn hear(wakes: &Wakes, pool: &PgPool, me: &str, heard: &mut bool) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    *heard = true;
    loop {
        match tokio::time::timeout(SILENCE, listener.try_recv()).await {
            Ok(notification) => match notification? {
                Some(notification) if notification.payload() == me => {}
                Some(_) => wakes.here.notify_waiters(),
                None => return Ok(()),
            },
            Err(_silence) => {
                let alive = sqlx::query("SELECT 1").execute(&mut listener);
                match tokio::time::timeout(ANSWER, alive).await {
                    Ok(answer) => answer.map(drop)?,
                    Err(_elapsed) => return Ok(()),
                }
            }
        }
    }
}
