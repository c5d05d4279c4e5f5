//! Whether the clock by which things are old can be believed (decision 40). What was removed does not come back, so that
//! one clock alone is never enough: it must be near the last run's moment, and near the database's own clock if that has
//! one. Otherwise nothing goes, somebody is told, and it goes on when the clock is mended or a person has said that it is right.

use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::work::Note;
use crate::{Manager, Principal};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tenantry_engine::Raised;
use tenantry_failpoints::Point;
use tenantry_model::AttentionKind;
use tenantry_store::{EventFilter, Read, StoreError};
use tracing::warn;

/// Setting: the moment of the last run, as `{"lastRun": TIME}`.
const LAST_RUN: &str = "retention-clock";
/// Keys of the attention about it.
const CLOCK_MOVED: &str = "retention-clock/moved";
const CLOCK_APART: &str = "retention-clock/apart";
/// Runs are an hour apart: no clock that anything keeps moves further between two of them.
const NEAR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Events that are read at a time, before the first run.
const EVENTS: u32 = 1000;

/// Why nothing is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockDoubt {
    /// Since the last run it has moved further than clocks do.
    #[error(
        "nothing is removed while the clock is in doubt: it says {now:.0}, and the last run, at {last:.0}, is more than a \
         week away; if it is right, say so (clockIsRight; --clock-is-right)"
    )]
    Moved {
        /// The last run's moment.
        last: Timestamp,
        /// The clock.
        now: Timestamp,
    },
    /// Of two clocks at least one is wrong.
    #[error(
        "nothing is removed while clocks disagree: the manager's says {now:.0}, the database's {database:.0}; set the \
         one that is wrong"
    )]
    Apart {
        /// The manager's clock.
        now: Timestamp,
        /// The database's.
        database: Timestamp,
    },
}

impl ClockDoubt {
    pub(super) fn now(self) -> Timestamp {
        match self {
            Self::Moved { now, .. } | Self::Apart { now, .. } => now,
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Moved { .. } => CLOCK_MOVED,
            Self::Apart { .. } => CLOCK_APART,
        }
    }

    fn raised(self) -> Raised {
        let remedy = match self {
            Self::Moved { .. } => {
                "look at the clock (timedatectl) and set it if it is wrong; if it is right (nothing ran for long, an old \
                 archive was imported), look at what will go, and say so: tenantry retention preview; tenantry retention \
                 run --clock-is-right"
            }
            Self::Apart { .. } => {
                "look at both clocks (timedatectl; psql -c 'SELECT now()') and set the one that is wrong; within an hour \
                 it goes on by itself (or: tenantry retention run)"
            }
        };
        Raised {
            kind: AttentionKind::RetentionClock,
            key: self.key().to_owned(),
            step: None,
            region: None,
            message: self.to_string(),
            remedy: remedy.to_owned(),
        }
    }
}

/// The moment from which ages are counted, the earliest of the clocks; or why none can be.
pub(crate) async fn believed(
    read: &mut dyn Read,
    now: Timestamp,
) -> Result<std::result::Result<Timestamp, ClockDoubt>> {
    let mut earliest = now;
    if let Some(database) = read.clock().await? {
        if is_far(database, now) {
            return Ok(Err(ClockDoubt::Apart { now, database }));
        }
        earliest = now.min(database);
    }
    Ok(match last_run(read).await? {
        Some(last) if is_far(last, earliest) => Err(ClockDoubt::Moved { last, now: earliest }),
        _ => Ok(earliest),
    })
}

fn is_far(one: Timestamp, other: Timestamp) -> bool {
    one.duration_since(other).abs() > NEAR
}

/// The last run's moment; before the first one the newest that can be believed.
async fn last_run(read: &mut dyn Read) -> Result<Option<Timestamp>> {
    if let Some(kept) = read.setting(LAST_RUN).await? {
        let at = kept["lastRun"].as_str().and_then(|text| text.parse().ok());
        return at.map(Some).ok_or_else(|| {
            let source = "no moment".into();
            StoreError::Damaged { table: "settings", key: LAST_RUN.to_owned(), source }.into()
        });
    }
    newest_of_one_clock(read).await
}

/// The newest moment that the rows have seen, as far as they hang together: where two events that follow each other lie far
/// apart, one of two clocks that wrote them is wrong, or nothing happened for long. Nobody can tell which, so that the earlier
/// one counts, also when what wrote the later one is the clock of now: an installation that is upgraded with a wrong clock
/// writes events before this is asked for the first time.
async fn newest_of_one_clock(read: &mut dyn Read) -> Result<Option<Timestamp>> {
    let (mut newest, mut before_a_jump) = (None, None);
    let mut after = 0;
    loop {
        let events = read.events(&EventFilter::default(), after, EVENTS).await?;
        let Some(last) = events.last() else { return Ok(before_a_jump.or(newest)) };
        after = last.position;
        for event in events {
            if let Some(newest) = newest.filter(|newest| is_far(*newest, event.at)) {
                before_a_jump = Some(newest);
            }
            newest = Some(event.at);
        }
    }
}

impl Manager {
    /// Notes that a run begins, if it may; gives the moment from which it counts ages.
    pub(super) async fn begin_retention(&self, who: &Principal, clock_is_right: bool) -> Result<Timestamp> {
        // The request's answer is what went.
        let who = Principal { request: None, ..who.clone() };
        repeating(|| async {
            let mut work = self.begin(&who).await?;
            let now = match believed(&mut *work.tx, work.now).await? {
                Ok(now) => now,
                Err(ClockDoubt::Moved { last, now }) if clock_is_right => {
                    let (before, after) = (json!({ "lastRun": last }), json!({ "lastRun": now }));
                    let (target, reason) = ("installation".to_owned(), Some("the clock is right"));
                    work.audit(Note { action: "retention.clock", target, reason, before, after }).await?;
                    now
                }
                Err(doubt) => return Err(doubt.into()),
            };
            work.tx.put_setting(LAST_RUN, &json!({ "lastRun": now })).await?;
            work.settle_attention(CLOCK_MOVED).await?;
            work.settle_attention(CLOCK_APART).await?;
            work.commit(Point::RetireBegin).await?;
            Ok(now)
        })
        .await
    }

    /// Tells people that nothing is removed, once for each reason.
    pub(super) async fn tell_doubt(&self, who: &Principal, doubt: &ClockDoubt) -> Result<()> {
        let told = repeating(|| async {
            let mut work = self.begin(who).await?;
            // It names the clock's time, which moves on.
            if work.tx.open_attention(doubt.key()).await?.is_some() {
                return Ok(false);
            }
            // What this tells is an event of the wrong clock's, which must not become the newest moment that is known.
            if let Some(last) = last_run(&mut *work.tx).await? {
                work.tx.put_setting(LAST_RUN, &json!({ "lastRun": last })).await?;
            }
            for key in [CLOCK_MOVED, CLOCK_APART] {
                work.settle_attention(key).await?;
            }
            work.raise_for(None, &doubt.raised()).await?;
            work.commit(Point::RetireDoubt).await?;
            Ok(true)
        })
        .await?;
        if told {
            warn!("retention waits: {doubt}");
        }
        Ok(())
    }
}

impl From<ClockDoubt> for ManagerError {
    fn from(doubt: ClockDoubt) -> Self {
        Self::RetentionClock(doubt)
    }
}
