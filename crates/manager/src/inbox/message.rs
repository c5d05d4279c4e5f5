//! Messages of a stream, where nobody hears an answer: what is refused is kept with the reason until a person decides.

use super::event::{MAX_EVENT_BYTES, RequestEvent, header, names};
use super::letters::attention;
use crate::error::{ErrorClass, ManagerError, Result};
use crate::repeat::repeating;
use crate::{Credential, KeptAnswer, Manager, OperationAnswer, Principal};
use aws_lc_rs::digest;
use jiff::Timestamp;
use tenantry_events::Message;
use tenantry_failpoints::Point;
use tenantry_model::{LetterId, OperationId, TokenId};
use tenantry_store::LetterRow;
use tracing::{debug, info, warn};

/// Most refused messages that are kept; the oldest go.
const MOST: u32 = 1000;
/// So much of a message is kept.
const KEPT: usize = 64 * 1024;
/// So much of each header, and so many of them.
const HEADERS: (usize, usize) = (1000, 30);

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It has started this operation, now or when it came before.
    Started(OperationId),
    /// It was refused, and is kept for a person.
    Refused(LetterId),
    /// Its environment has too many unfinished operations: it is to come again, until it is too old.
    Later,
}

impl Manager {
    /// Does what a message asks for, in the name of the token with this secret. It may come again at any time: that changes
    /// nothing.
    ///
    /// # Errors
    /// It cannot be judged now; the same message is to come again.
    pub async fn take_message(&self, secret: &str, message: &Message) -> Result<Taken> {
        let origin = Some(format!("nats:{}", message.stream));
        let Credential::Api(mut who) = self.verify(secret, origin).await? else {
            return Err(ManagerError::Unauthenticated("the inbox's token is no API token"));
        };
        let token =
            who.token.ok_or_else(|| ManagerError::Internal("a credential without an id".to_owned()))?;
        match self.carry_out(&mut who, message).await {
            Ok(operation) => {
                info!(place = place(message), %operation, "a message has started an operation");
                Ok(Taken::Started(operation))
            }
            // Neither says anything about the message.
            Err(error) if matches!(error.class(), ErrorClass::Unavailable | ErrorClass::Internal) => {
                Err(error)
            }
            Err(error @ ManagerError::TooManyOperations(_)) => {
                debug!(place = place(message), %error, "a message is to come again");
                Ok(Taken::Later)
            }
            Err(error) => self.refuse(token, message, &error).await.map(Taken::Refused),
        }
    }

    async fn carry_out(&self, who: &mut Principal, message: &Message) -> Result<OperationId> {
        let size = message.body.len();
        if size > MAX_EVENT_BYTES {
            return Err(ManagerError::TooLarge { what: "event", size, limit: MAX_EVENT_BYTES });
        }
        let event = RequestEvent::read(&stated(&message.headers), &message.body)?;
        who.request = Some(event.key());
        who.traceparent.clone_from(&event.traceparent);
        if let Some(kept) = self.replay_event(who, &event).await? {
            return operation(&kept);
        }
        match self.take_event(who, &event, false).await {
            Ok((_, OperationAnswer::Requested(operation))) => Ok(operation.id),
            Ok((_, OperationAnswer::Preview(_))) => {
                Err(ManagerError::Internal("an event was only checked".to_owned()))
            }
            // Another manager was given it at the same moment.
            Err(error) => match self.replay_event(who, &event).await? {
                Some(kept) => operation(&kept),
                None => Err(error),
            },
        }
    }

    /// Keeps a message that was refused.
    async fn refuse(&self, token: TokenId, message: &Message, error: &ManagerError) -> Result<LetterId> {
        let row = letter(token, message, error, self.now());
        let (place, code) = (row.place.as_str(), row.code.as_str());
        let who = Principal::system();
        repeating(|| async {
            let mut work = self.begin(&who).await?;
            if work.tx.letter(row.id).await?.is_some() {
                // Its acknowledgement was lost.
                return Ok(row.id);
            }
            warn!(place, code, problem = row.problem, "a message was refused");
            work.tx.put_letter(&row).await?;
            work.tx.trim_letters(Timestamp::MIN, MOST).await?;
            let count = work.tx.count_letters().await?;
            work.raise_for(None, &attention(count, &row)).await?;
            work.commit(Point::LetterKeep).await?;
            Ok(row.id)
        })
        .await
    }
}

fn operation(kept: &KeptAnswer) -> Result<OperationId> {
    match kept {
        KeptAnswer::Accepted { operation: Some(operation), .. } => Ok(operation.id),
        other => Err(ManagerError::Internal(format!("an event came to {other:?}"))),
    }
}

/// Whoever publishes by hand says nothing of the form: then it is one document.
pub(super) fn stated(headers: &[(String, String)]) -> Vec<(String, String)> {
    let mut headers = headers.to_vec();
    if header(&headers, "content-type").is_none() && header(&headers, "ce-specversion").is_none() {
        headers.push(("content-type".to_owned(), "application/cloudevents+json".to_owned()));
    }
    headers
}

fn place(message: &Message) -> String {
    format!("{}/{}", message.stream, message.sequence)
}

/// The same for the same message, and of no other one: a stream that is made anew counts from 1 again.
fn id(message: &Message) -> LetterId {
    let text = format!("{} {}", place(message), message.published_at);
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let mut random = [0; 10];
    random.copy_from_slice(&hash.as_ref()[..10]);
    // Those of one millisecond in their order.
    random[..2].copy_from_slice(&message.sequence.to_be_bytes()[6..]);
    random[0] &= 0x0f;
    let millis = u64::try_from(message.published_at.as_millisecond()).unwrap_or_default();
    LetterId(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

fn letter(token: TokenId, message: &Message, error: &ManagerError, at: Timestamp) -> LetterRow {
    let size = message.body.len();
    let kept = &message.body[..size.min(KEPT)];
    let body = String::from_utf8_lossy(kept).into_owned();
    let (source, event) =
        if size > MAX_EVENT_BYTES { (None, None) } else { names(&message.headers, &message.body) };
    let of_events = |name: &str| name == "content-type" || name.starts_with("ce-");
    let headers: Vec<(String, String)> =
        message.headers.iter().filter(|(name, _)| of_events(name)).cloned().collect();
    let long =
        headers.len() > HEADERS.1 || headers.iter().any(|(name, value)| name.len() + value.len() > HEADERS.0);
    LetterRow {
        id: id(message),
        place: place(message),
        subject: message.subject.chars().take(500).collect(),
        source,
        event,
        code: error.code().to_owned(),
        problem: error.to_string().chars().take(2000).collect(),
        token,
        published_at: message.published_at,
        at,
        whole: !long && size <= KEPT && body.as_bytes() == &message.body[..],
        headers: if long { Vec::new() } else { headers },
        body,
        size: size as u64,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;
    use bytes::Bytes;

    fn message(body: impl Into<Bytes>) -> Message {
        Message {
            stream: "requests".to_owned(),
            sequence: 7,
            subject: "requests.crm".to_owned(),
            published_at: Timestamp::from_second(1_790_000_000).unwrap(),
            delivered: 1,
            headers: vec![("nats-msg-id".to_owned(), "x".to_owned()), ("ce-id".to_owned(), "7".to_owned())],
            body: body.into(),
        }
    }

    fn kept(message: &Message) -> LetterRow {
        let token = TokenId(uuid::Uuid::nil());
        letter(token, message, &ManagerError::Internal("why".to_owned()), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_message_that_comes_again_is_the_same_one_and_one_of_a_stream_made_anew_is_not() {
        let first = message("{}");
        assert_eq!(id(&first), id(&Message { delivered: 2, ..first.clone() }));
        let later = first.published_at + jiff::SignedDuration::from_secs(1);
        assert!(
            id(&first) < id(&Message { published_at: later, ..first.clone() }),
            "they sort by their time"
        );
        assert!(
            id(&first) < id(&Message { sequence: 8, ..first.clone() }),
            "and those of one moment by their number"
        );
        let anew = Message {
            published_at: first.published_at + jiff::SignedDuration::from_micros(1),
            ..first.clone()
        };
        assert_ne!(id(&first), id(&anew));
    }

    #[test]
    fn what_is_kept_is_bounded_and_says_whether_it_is_whole() {
        let row = kept(&message("{\"id\": \"7\"}"));
        assert_eq!((row.whole, row.size, row.headers.len(), row.event.as_deref()), (true, 11, 1, Some("7")));
        let long = kept(&message("x".repeat(KEPT + 1)));
        assert_eq!((long.whole, long.size, long.body.len()), (false, KEPT as u64 + 1, KEPT));
        assert!(!kept(&message(vec![0xff])).whole, "what was replaced is not what came");
        let mut header = message("{}");
        header.headers[1].1 = "x".repeat(2000);
        assert_eq!((kept(&header).whole, kept(&header).headers.len()), (false, 0));
    }
}
