//! Wake-ups between managers: a commit here wakes those who wait here at once, and those of other managers through
//! NOTIFY. Nobody relies on it: behind every wait is a poll.

use sqlx::{PgPool, postgres::PgListener};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tenantry_model::with_causes;
use tenantry_store::Signal;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The payload is the sender, and after it the signals.
const CHANNEL: &str = "tenantry_changed";
const SCHEDULES: &str = "schedules";
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
    /// The loop that fires schedules; keeps one wake-up while it is busy.
    pub schedules: Notify,
    elsewhere: Notify,
    /// The next notification names schedules.
    schedules_elsewhere: AtomicBool,
}

impl Wakes {
    /// A transaction is committed. Several in a row are told to others as one.
    pub fn committed(&self) {
        self.here.notify_waiters();
        self.elsewhere.notify_one();
    }

    /// Wakes those who wait for the signal, here and elsewhere.
    pub fn tell(&self, signal: Signal) {
        match signal {
            Signal::Schedules => {
                self.schedules.notify_one();
                self.schedules_elsewhere.store(true, Ordering::SeqCst);
            }
        }
        self.elsewhere.notify_one();
    }

    /// What was said while nobody listened was not heard: everybody looks.
    fn missed(&self) {
        self.here.notify_waiters();
        self.schedules.notify_one();
    }

    /// Another process has said this.
    fn heard(&self, payload: &str, me: &str) {
        let mut words = payload.split(' ');
        if words.next() == Some(me) {
            return;
        }
        self.here.notify_waiters();
        if words.any(|word| word == SCHEDULES) {
            self.schedules.notify_one();
        }
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
        let schedules = wakes.schedules_elsewhere.swap(false, Ordering::SeqCst);
        let payload = if schedules { format!("{me} {SCHEDULES}") } else { me.to_owned() };
        let told = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload).execute(pool).await;
        if let Err(error) = told {
            wakes.schedules_elsewhere.fetch_or(schedules, Ordering::SeqCst);
            tracing::debug!(error = %with_causes(&error), "could not tell other managers about a change; their poll finds it");
        }
    }
}

async fn hearing(wakes: &Wakes, pool: &PgPool, me: &str) {
    let mut pause = PAUSES.0;
    loop {
        let mut heard = false;
        if let Err(error) = hear(wakes, pool, me, &mut heard).await {
            tracing::debug!(error = %with_causes(&error), "the connection that hears of other managers' changes broke");
        }
        wakes.missed();
        pause = if heard { PAUSES.0 } else { (pause * 2).min(PAUSES.1) };
        tokio::time::sleep(pause).await;
    }
}

async fn hear(wakes: &Wakes, pool: &PgPool, me: &str, heard: &mut bool) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    *heard = true;
    wakes.missed();
    loop {
        match tokio::time::timeout(SILENCE, listener.try_recv()).await {
            Ok(notification) => match notification? {
                Some(notification) => wakes.heard(notification.payload(), me),
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
