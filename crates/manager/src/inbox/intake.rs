//! The loop that takes messages from a stream: first the rows, then the acknowledgement. Whatever stops it in between, the
//! message comes again.

use super::message::Taken;
use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::{Manager, Principal};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tenantry_engine::Raised;
use tenantry_events::{NatsSource, Received};
use tenantry_failpoints::Point;
use tenantry_model::{AttentionKind, with_causes};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Messages that are asked for at a time, and how long they are waited for.
const LOOK: (usize, Duration) = (16, Duration::from_secs(5));
/// First and longest pause after a look that failed, and before a message comes again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// After so many failures in a row people are told.
const TRIES: u32 = 5;

/// Where messages come from, and in whose name they are carried out.
pub struct Inbox {
    /// The stream.
    pub source: NatsSource,
    /// A file with an API token; read for each message, so that it can be replaced, and ends the intake when it is revoked.
    pub token_file: PathBuf,
}

impl Manager {
    /// Takes messages until `shutdown`.
    pub async fn take_messages(&self, inbox: Inbox, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.take_for_ever(&inbox) => {}
        }
    }

    async fn take_for_ever(&self, inbox: &Inbox) {
        // What a manager before this one has told may be over.
        let (mut told, mut tries) = (true, 0_u32);
        loop {
            match self.look_into(inbox).await {
                Ok(()) => {
                    tries = 0;
                    if told {
                        told = self.tell_of_inbox(inbox, None).await.is_err();
                    }
                }
                Err(why) => {
                    tries = tries.saturating_add(1);
                    let pause = pause(u64::from(tries));
                    warn!(
                        inbox = inbox.source.name(),
                        tries,
                        why,
                        ?pause,
                        "no message is taken; it is tried again"
                    );
                    if tries >= TRIES && tries % TRIES == 0 {
                        // Its own failure is most likely the same one.
                        told |= self.tell_of_inbox(inbox, Some(&why)).await.is_ok();
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Takes what comes in one look. After one that cannot be judged now the others would meet the same: they come again.
    async fn look_into(&self, inbox: &Inbox) -> std::result::Result<(), String> {
        let mut messages = inbox.source.look(LOOK.0, LOOK.1).await?;
        while let Some(next) = messages.next().await {
            let received = match next {
                Ok(received) => received,
                Err(why) => {
                    inbox.source.forget().await;
                    return Err(why);
                }
            };
            let taken = self.take_one(&inbox.token_file, &received).await;
            match taken {
                Ok(Taken::Started(_) | Taken::Refused(_)) => received.done().await,
                Ok(Taken::Later) | Err(_) => received.later(pause(received.message.delivered)).await,
            }
            taken?;
        }
        Ok(())
    }

    async fn take_one(&self, token_file: &Path, received: &Received) -> std::result::Result<Taken, String> {
        let secret = tokio::fs::read_to_string(token_file).await.map_err(|error| {
            format!("cannot read the inbox's token file {}: {error}", token_file.display())
        })?;
        match self.take_message(secret.trim(), &received.message).await {
            Ok(taken) => Ok(taken),
            Err(ManagerError::Unauthenticated(why)) => Err(format!("the inbox's token is refused: {why}")),
            Err(error) => Err(with_causes(&error)),
        }
    }

    /// That nothing is taken, and why, or that it is over.
    async fn tell_of_inbox(&self, inbox: &Inbox, why: Option<&str>) -> Result<()> {
        let key = format!("inbox-down/{}", inbox.source.name());
        let who = Principal::system();
        let told = repeating(|| async {
            let mut work = self.begin(&who).await?;
            match why {
                Some(why) => work.raise_for(None, &down(&key, inbox, why)).await?,
                None if work.tx.open_attention(&key).await?.is_none() => return Ok(()),
                None => work.settle_attention(&key).await?,
            }
            work.commit(Point::InboxTell).await
        })
        .await;
        if let Err(error) = &told {
            warn!(error = %with_causes(error), "what the inbox does cannot be told");
        }
        told
    }
}

fn pause(times: u64) -> Duration {
    let doubled = u32::try_from(times.saturating_sub(1).min(10)).unwrap_or(10);
    (PAUSES.0 * 2_u32.pow(doubled)).min(PAUSES.1)
}

fn down(key: &str, inbox: &Inbox, why: &str) -> Raised {
    let name = inbox.source.name();
    Raised {
        kind: AttentionKind::InboxDown,
        key: key.to_owned(),
        step: None,
        region: None,
        message: format!("no message that asks for an operation is taken from {name}; they wait: {why}"),
        remedy: format!(
            "repair {name} or its token (setting event-inbox; a new one: tenantry token create); what waits is taken by itself"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute() {
        let seconds: Vec<u64> = (1..=8).map(|times| pause(times).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause(u64::MAX).as_secs(), 60);
    }
}
