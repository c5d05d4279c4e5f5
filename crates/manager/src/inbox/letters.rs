//! What a person does about messages that were refused: looks, has one tried again, throws them away.

use super::event::RequestEvent;
use crate::error::{ManagerError, Result};
use crate::idempotency::claim_key;
use crate::operations::check_reason;
use crate::repeat::repeating;
use crate::retention::believed;
use crate::work::{Note, Work};
use crate::{KeptAnswer, Manager, OperationAnswer, Principal};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenantry_engine::Raised;
use tenantry_failpoints::Point;
use tenantry_model::{AttentionKind, Environment, LetterId, Page, Paged};
use tenantry_store::{IdempotentAnswer, LetterRow};

/// Names the attention about them.
pub(crate) const LETTERS: &str = "refused-messages";
/// Letters that one request throws away.
const MOST: u32 = 1000;

/// Which refused messages were thrown away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LettersDiscarded {
    /// Their ids.
    pub letters: Vec<LetterId>,
    /// There are others, for which it is to be asked again.
    pub more: bool,
}

impl Manager {
    /// Messages that were refused, by when they were published.
    pub async fn letters(&self, page: &Page) -> Result<Paged<LetterRow>> {
        Ok(self.store.read().await?.letters(page).await?)
    }

    /// How many there are.
    pub async fn count_letters(&self) -> Result<u64> {
        Ok(self.store.read().await?.count_letters().await?)
    }

    /// One of them.
    pub async fn letter(&self, id: LetterId) -> Result<LetterRow> {
        let found = self.store.read().await?.letter(id).await?;
        found.ok_or_else(|| ManagerError::not_found("refused message", id))
    }

    /// Does now what a refused message asked for, under the rights and in the name of whoever says so, however old the event
    /// is. The message's own sender may send it again meanwhile: it is one event still.
    pub async fn retry_letter(
        &self,
        who: &Principal,
        id: LetterId,
        reason: Option<&str>,
    ) -> Result<(Environment, OperationAnswer)> {
        check_reason(reason)?;
        let row = self.letter(id).await?;
        if !row.whole {
            let message = "only a part of the message was kept: have its sender send it again";
            return Err(ManagerError::LetterUnusable(message));
        }
        let headers = super::message::stated(&row.headers);
        let event = RequestEvent::read(&headers, row.body.as_bytes())?;
        let environment = self.asked_for(who, &event).await?.id;
        let sender = Principal { token: Some(row.token), ..Principal::system() };
        let key = event.key();
        repeating(|| async {
            let mut work = self.begin(who).await?;
            if work.tx.letter(id).await?.is_none() {
                return Err(ManagerError::not_found("refused message", id));
            }
            let name = claim_key(&sender, &key.key);
            if work.tx.idempotent(&name).await?.is_some() {
                let message = "an event of its source and id was carried out meanwhile: discard it";
                return Err(ManagerError::LetterUnusable(message));
            }
            work.lock(environment).await?;
            let answer = work.ask_by(&event, who.only_checks).await?;
            let environment = work.environment()?.clone();
            let OperationAnswer::Requested(operation) = &answer else { return Ok((environment, answer)) };
            let accepted = KeptAnswer::Accepted {
                environment: Box::new(environment.clone()),
                operation: Some(operation.clone()),
            };
            let body = serde_json::to_string(&accepted)
                .map_err(|why| ManagerError::Internal(format!("an answer cannot be kept: {why}")))?;
            // As if the sender had been given it.
            let kept = IdempotentAnswer {
                key: name,
                request_hash: key.hash.clone(),
                status: 0,
                body,
                etag: None,
                at: work.now.max(event.time),
            };
            work.tx.put_idempotent(&kept).await?;
            work.tx.delete_letter(id).await?;
            let after =
                json!({ "operation": operation.id, "source": event.cause.source, "id": event.cause.id });
            work.note_letter("inbox.retry", &id.to_string(), reason, Value::Null, after).await?;
            work.settle_letters_if_none().await?;
            work.answer(accepted, Point::LetterRetry).await?;
            Ok((environment, answer))
        })
        .await
    }

    /// Throws refused messages away: these, or all.
    pub async fn discard_letters(
        &self,
        who: &Principal,
        letters: &[LetterId],
        reason: &str,
    ) -> Result<LettersDiscarded> {
        if reason.trim().is_empty() {
            return Err(ManagerError::field("/reason", "needs a reason"));
        }
        check_reason(Some(reason))?;
        if letters.len() > MOST as usize {
            return Err(ManagerError::field("/messages", format!("must be at most {MOST}")));
        }
        repeating(|| async {
            let mut work = self.begin(who).await?;
            let discarded = work.chosen(letters).await?;
            for id in &discarded.letters {
                work.tx.delete_letter(*id).await?;
            }
            let before = json!({ "letters": discarded.letters });
            work.note_letter("inbox.discard", "dead-letters", Some(reason), before, Value::Null).await?;
            work.settle_letters_if_none().await?;
            work.answer(KeptAnswer::LettersDiscarded(discarded.clone()), Point::LetterDiscard).await?;
            Ok(discarded)
        })
        .await
    }

    /// Removes those that are as old as events that are not kept, unless the clock is in doubt.
    pub(crate) async fn expire_letters(&self, who: &Principal) -> Result<()> {
        let Some(keep) = self.config.retention.events else { return Ok(()) };
        let Ok(now) = believed(&mut *self.store.read().await?, self.now()).await? else { return Ok(()) };
        let Ok(before) = now.checked_sub(keep) else { return Ok(()) };
        repeating(|| async {
            let mut work = self.begin(who).await?;
            if work.tx.trim_letters(before, u32::MAX).await? > 0 {
                work.settle_letters_if_none().await?;
                work.commit(Point::LetterExpire).await?;
            }
            Ok(())
        })
        .await
    }
}

impl Work<'_> {
    async fn chosen(&mut self, letters: &[LetterId]) -> Result<LettersDiscarded> {
        if letters.is_empty() {
            let part = self.tx.letters(&Page { after: None, limit: MOST }).await?;
            let letters = part.items.iter().map(|row| row.id).collect();
            return Ok(LettersDiscarded { letters, more: part.next.is_some() });
        }
        for id in letters {
            if self.tx.letter(*id).await?.is_none() {
                return Err(ManagerError::not_found("refused message", id));
            }
        }
        Ok(LettersDiscarded { letters: letters.to_vec(), more: false })
    }

    async fn note_letter(
        &mut self,
        action: &str,
        what: &str,
        reason: Option<&str>,
        before: Value,
        after: Value,
    ) -> Result<()> {
        self.audit(Note { action, target: format!("inbox/{what}"), reason, before, after }).await
    }

    async fn settle_letters_if_none(&mut self) -> Result<()> {
        if self.tx.count_letters().await? == 0 {
            self.settle_attention(LETTERS).await?;
        }
        Ok(())
    }
}

pub(super) fn attention(count: u64, newest: &LetterRow) -> Raised {
    Raised {
        kind: AttentionKind::MessageRefused,
        key: LETTERS.to_owned(),
        step: None,
        region: None,
        message: format!(
            "{count} messages that asked for operations were refused; the newest ({}): {}",
            newest.place, newest.problem
        ),
        remedy: format!(
            "look at them (tenantry event inbox list), and for each either repair what was wrong and have it tried again \
             (tenantry event inbox retry {}) or throw it away: tenantry event inbox discard",
            newest.id
        ),
    }
}
