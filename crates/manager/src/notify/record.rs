//! What deliveries come to, as rows.

use super::look::{DOWN, Look, Next};
use super::place::Place;
use super::{Reader, Wants};
use crate::error::Result;
use crate::work::Work;
use jiff::SignedDuration;
use tenantry_engine::Raised;
use tenantry_events::Undelivered;
use tenantry_model::{AttentionKind, EnvironmentId};
use tenantry_store::{DeadLetterRow, EventRecord, ParkedRow};
use tracing::warn;

const DEAD: &str = "dead-letter/";
/// An event that was refused so many times is given up.
const TRIES: u32 = 10;
/// First and longest pause between tries.
const PAUSES: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(5), SignedDuration::from_mins(10));

/// What became of one environment's events.
pub(super) struct Outcome {
    pub environment: Option<EnvironmentId>,
    /// So many were taken.
    pub taken: u32,
    /// The first one that was not.
    pub failed: Option<(EventRecord, Undelivered)>,
}

impl Work<'_> {
    pub(super) async fn record_round(
        &mut self,
        reader: Reader<'_>,
        place: &mut Place,
        look: &Look,
        outcomes: &[Outcome],
    ) -> Result<()> {
        // First what was taken: with it the sink is in order again.
        if outcomes.iter().any(|outcome| outcome.taken > 0) {
            self.record_taken(reader, place).await?;
        }
        match &look.next {
            Next::Skip(_) => {}
            Next::Letter(letter, _) => self.record_letter(reader, letter, outcomes).await?,
            Next::Parked { row, event, caught_up } => {
                let row = match event {
                    Some((event, _)) if outcomes.iter().any(|outcome| outcome.taken > 0) => {
                        Some(ParkedRow { after: event.position, ..ready(row) })
                    }
                    // What is told of its failure is written below.
                    Some(_) => None,
                    None => Some(row.clone()),
                };
                if *caught_up {
                    self.tx.delete_parked_events(reader.name(), look_at(outcomes)).await?;
                } else if let Some(row) = row {
                    self.tx.put_parked_events(&row).await?;
                }
            }
            Next::Batch { position, .. } => place.position = *position,
        }
        let mut unreached = None;
        if !matches!(look.next, Next::Letter(..)) {
            for outcome in outcomes {
                if let Some((event, error)) = &outcome.failed {
                    self.record_failure(reader, place, look, event, error).await?;
                }
            }
        }
        for (_, error) in outcomes.iter().filter_map(|outcome| outcome.failed.as_ref()) {
            place.problem = Some(error.message.clone());
            if error.unreachable {
                unreached = Some(error);
            }
        }
        let refused = place.refused >= DOWN && outcomes.iter().any(|outcome| outcome.failed.is_some());
        if unreached.is_some() || refused {
            self.record_down(reader, place, unreached).await?;
        }
        Ok(())
    }

    async fn record_taken(&mut self, reader: Reader<'_>, place: &mut Place) -> Result<()> {
        if place.tries >= TRIES {
            self.settle_attention(&down_key(reader.name())).await?;
        }
        if place.dead > 0 {
            self.settle_attention(&dead_key(reader.name())).await?;
        }
        *place = Place { tries: 0, not_before: None, dead: 0, refused: 0, problem: None, ..place.clone() };
        Ok(())
    }

    /// Nothing is tried for a while: whatever comes next would meet the same.
    async fn record_down(
        &mut self,
        reader: Reader<'_>,
        place: &mut Place,
        unreached: Option<&Undelivered>,
    ) -> Result<()> {
        place.tries = place.tries.saturating_add(1);
        place.not_before = self.now.checked_add(pause(place.tries)).ok();
        let (sink, tries) = (reader.name(), place.tries);
        let why = place.problem.as_deref().unwrap_or_default();
        let silent = unreached.is_some();
        warn!(sink, tries, why, silent, "a receiver of events takes nothing; it is tried again");
        if place.tries == TRIES {
            self.raise_for(None, &down(reader, why)).await?;
        }
        Ok(())
    }

    async fn record_failure(
        &mut self,
        reader: Reader<'_>,
        place: &mut Place,
        look: &Look,
        event: &EventRecord,
        error: &Undelivered,
    ) -> Result<()> {
        let sink = reader.name();
        let before = look.parked.iter().find(|row| row.environment == event.environment);
        let mut row = ParkedRow {
            sink: sink.to_owned(),
            environment: event.environment,
            after: event.position.saturating_sub(1),
            tries: before.map_or(0, |row| row.tries),
            not_before: None,
            since: before.map_or(self.now, |row| row.since),
            problem: Some(error.message.clone()),
        };
        if error.unreachable && place.tries > 0 {
            // Nobody answered before either: it says nothing about the event.
            self.tx.put_parked_events(&row).await?;
            return Ok(());
        }
        let first = row.tries == 0 && !error.unreachable;
        place.refused = place.refused.saturating_add(u32::from(first));
        // While nothing is taken, a try says nothing about the event, however it is refused.
        row.tries = if look.down { row.tries.max(1) } else { row.tries + 1 };
        let (kind, position, tries) = (event.kind.as_str(), event.position, row.tries);
        if !look.down && (error.permanent || row.tries >= TRIES) {
            warn!(sink, kind, position, tries, %error, "an event was not taken and is given up");
            self.bury(reader, place, event, tries, error).await?;
            row = ParkedRow { after: event.position, ..ready(&row) };
        } else {
            warn!(sink, kind, position, tries, %error, "an event was not taken; it is tried again");
            row.not_before = self.now.checked_add(pause(row.tries)).ok();
        }
        Ok(self.tx.put_parked_events(&row).await?)
    }

    async fn bury(
        &mut self,
        reader: Reader<'_>,
        place: &mut Place,
        event: &EventRecord,
        tries: u32,
        error: &Undelivered,
    ) -> Result<()> {
        let count = match reader.wants {
            Wants::Attention => {
                place.dead += 1;
                place.dead
            }
            Wants::Types(_) => {
                let letter = DeadLetterRow {
                    sink: reader.name().to_owned(),
                    event: event.clone(),
                    tries,
                    problem: error.message.clone(),
                    at: self.now,
                    wanted: false,
                };
                self.tx.put_dead_letter(&letter).await?;
                self.tx.count_dead_letters(reader.name()).await?
            }
        };
        self.raise_for(None, &dead_letter(reader, count, error)).await
    }

    async fn record_letter(
        &mut self,
        reader: Reader<'_>,
        letter: &DeadLetterRow,
        outcomes: &[Outcome],
    ) -> Result<()> {
        let (sink, position) = (reader.name(), letter.event.position);
        // It may be discarded meanwhile.
        let Some(mut row) = self.tx.dead_letter(sink, position).await? else { return Ok(()) };
        let Some((_, error)) = outcomes.iter().find_map(|outcome| outcome.failed.as_ref()) else {
            self.tx.delete_dead_letter(sink, position).await?;
            return self.settle_letters(sink).await;
        };
        if !error.unreachable {
            warn!(sink, position, %error, "a dead letter was refused again");
            row.wanted = false;
            row.tries = row.tries.saturating_add(1);
        }
        row.problem = error.message.clone();
        Ok(self.tx.put_dead_letter(&row).await?)
    }

    /// Nobody has to look any more when there is none left.
    pub(super) async fn settle_letters(&mut self, sink: &str) -> Result<()> {
        if self.tx.count_dead_letters(sink).await? == 0 {
            self.settle_attention(&dead_key(sink)).await?;
        }
        Ok(())
    }
}

/// The same environment, whose next event was not tried yet.
fn ready(row: &ParkedRow) -> ParkedRow {
    ParkedRow { tries: 0, not_before: None, problem: None, ..row.clone() }
}

/// The one environment that a round was about.
fn look_at(outcomes: &[Outcome]) -> Option<EnvironmentId> {
    outcomes.first().and_then(|outcome| outcome.environment)
}

fn pause(tries: u32) -> SignedDuration {
    (PAUSES.0 * 2_i32.saturating_pow(tries.saturating_sub(1).min(10))).min(PAUSES.1)
}

/// Names the attention about a sink's dead letters.
pub(crate) fn dead_key(sink: &str) -> String {
    format!("{DEAD}{sink}")
}

/// The sink whose dead letters an attention with this key is about.
pub(crate) fn sink_of(key: &str) -> Option<&str> {
    key.strip_prefix(DEAD)
}

pub(super) fn down_key(sink: &str) -> String {
    format!("sink-down/{sink}")
}

fn dead_letter(reader: Reader<'_>, count: u64, error: &Undelivered) -> Raised {
    let sink = reader.name();
    let (what, remedy) = match reader.wants {
        Wants::Attention => (
            "notifications",
            format!("repair {sink}, and look at what it was not told: tenantry attention --settled"),
        ),
        Wants::Types(_) => (
            "events",
            format!(
                "look at them (tenantry event dead-letter list {sink}), repair the receiver, and have them delivered: \
                 tenantry event dead-letter redeliver {sink}"
            ),
        ),
    };
    Raised {
        kind: AttentionKind::DeadLetter,
        key: dead_key(sink),
        step: None,
        region: None,
        message: format!("{count} {what} could not be delivered to {sink} and were given up: {error}"),
        remedy,
    }
}

fn down(reader: Reader<'_>, why: &str) -> Raised {
    let sink = reader.name();
    Raised {
        kind: AttentionKind::SinkDown,
        key: down_key(sink),
        step: None,
        region: None,
        message: format!("{sink} has taken no event in {TRIES} tries; events wait for it: {why}"),
        remedy: format!("repair {sink}; what waits is delivered by itself (tenantry event sink list)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_ten_minutes() {
        let seconds: Vec<i64> = (1..=9).map(|tries| pause(tries).as_secs()).collect();
        assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(pause(u32::MAX).as_secs(), 600);
    }
}
