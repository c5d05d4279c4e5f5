//! The one way out for facts, log text and finished commands, in the order in which they came in.
//!
//! Log text waits for room here and so in its kubelet, not in memory. It must never drop a fact, and never let one pass
//! another or the log before it.

use super::{Manager, ManagerError};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tenantry_api_types::{
    agent::{FinishAnswer, LogChunk, LogsAnswer, MAX_BATCH, ObservationsAnswer},
    bridge::{StepFinishRequest, StepLogsRequest, StepObservationsRequest, StepRef},
};
use tenantry_model::{AttemptId, CommandId, Observation};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// Log text that may wait here.
const ROOM: usize = 256 * 1024;
/// Log text of one call; far below what the manager takes, because it is held three times while it is sent.
const CALL_BYTES: usize = 128 * 1024;
/// Log text that comes within this time goes in one call.
const LINGER: Duration = Duration::from_millis(200);

/// A piece of a log.
pub(super) struct Piece {
    pub attempt: AttemptId,
    pub offset: u64,
    pub bytes: Bytes,
    pub last: bool,
    /// Given back when it is told.
    _room: Option<OwnedSemaphorePermit>,
}

enum Item {
    Fact(Observation),
    Log(Piece),
    Finished(CommandId),
}

/// What is put in.
pub(super) struct Outbox {
    items: mpsc::UnboundedSender<Item>,
    room: Arc<Semaphore>,
    /// What is put in and not told.
    untold: watch::Sender<usize>,
}

/// What carries it away.
pub(super) struct Carrier {
    items: mpsc::UnboundedReceiver<Item>,
    untold: watch::Sender<usize>,
}

pub(super) fn new() -> (Outbox, Carrier) {
    let (sender, items) = mpsc::unbounded_channel();
    let untold = watch::Sender::new(0);
    let room = Arc::new(Semaphore::new(ROOM));
    (Outbox { items: sender, room, untold: untold.clone() }, Carrier { items, untold })
}

impl Outbox {
    /// Most of a log that fits in at once.
    pub const PIECE: usize = ROOM / 4;

    /// Waits for room.
    pub async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes.min(ROOM)).unwrap_or(u32::MAX);
        Arc::clone(&self.room).acquire_many_owned(permits).await.ok()
    }

    pub fn log(&self, attempt: &AttemptId, offset: u64, bytes: Bytes, room: OwnedSemaphorePermit) {
        let attempt = attempt.clone();
        self.put(Item::Log(Piece { attempt, offset, bytes, last: false, _room: Some(room) }));
    }

    pub fn log_end(&self, attempt: &AttemptId, offset: u64) {
        let attempt = attempt.clone();
        self.put(Item::Log(Piece { attempt, offset, bytes: Bytes::new(), last: true, _room: None }));
    }

    pub fn fact(&self, observation: Observation) {
        self.put(Item::Fact(observation));
    }

    /// After what it led to: a command that is finished does not come again.
    pub fn finished(&self, command: CommandId) {
        self.put(Item::Finished(command));
    }

    /// Waits until everything is told.
    pub async fn emptied(&self) {
        // The sender of the value is here.
        let _ = self.untold.subscribe().wait_for(|untold| *untold == 0).await;
    }

    /// Everything is told.
    pub fn is_empty(&self) -> bool {
        *self.untold.borrow() == 0
    }

    fn put(&self, item: Item) {
        self.untold.send_modify(|untold| *untold += 1);
        // The carrier lives as long as the step; after it nothing is told any more.
        let _ = self.items.send(item);
    }
}

/// What goes in one call.
enum Batch {
    Facts(Vec<Observation>),
    Logs(Vec<Piece>),
    Finished(Vec<CommandId>),
}

impl Carrier {
    /// Tells what comes, for ever; an error: the manager takes no more.
    pub async fn carry(&mut self, manager: &Manager, step: &StepRef) -> ManagerError {
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() {
                let Some(item) = self.items.recv().await else { return std::future::pending().await };
                let lingers = matches!(&item, Item::Log(piece) if !piece.last);
                waiting.push_back(item);
                if lingers {
                    tokio::time::sleep(LINGER).await;
                }
            }
            while let Ok(item) = self.items.try_recv() {
                waiting.push_back(item);
            }
            let before = waiting.len();
            let Some(batch) = first(&mut waiting) else { continue };
            let told = before - waiting.len();
            if let Err(error) = tell(manager, step, batch).await {
                return error;
            }
            self.untold.send_modify(|untold| *untold -= told);
        }
    }
}

async fn tell(manager: &Manager, step: &StepRef, batch: Batch) -> Result<(), ManagerError> {
    let step = || step.clone();
    let unknown = match batch {
        Batch::Facts(observations) => {
            let request = StepObservationsRequest { step: step(), observations };
            let answer: ObservationsAnswer =
                manager.ask("observations", Duration::ZERO, |_| &request).await?;
            answer.unknown
        }
        Batch::Finished(commands) => {
            let request = StepFinishRequest { step: step(), commands };
            let _: FinishAnswer = manager.ask("commands:finish", Duration::ZERO, |_| &request).await?;
            Vec::new()
        }
        Batch::Logs(pieces) => {
            let request = StepLogsRequest { step: step(), chunks: chunks(&pieces) };
            match manager.ask::<_, LogsAnswer>("logs", Duration::ZERO, |_| &request).await {
                Ok(answer) => answer.unknown,
                // The text is in the Pod's log too; what the attempt came to must not wait for it.
                Err(error @ ManagerError::Refused { status: 400 | 413 | 422, .. }) => {
                    crate::tell(&error.into());
                    Vec::new()
                }
                Err(error) => return Err(error),
            }
        }
    };
    for attempt in unknown {
        eprintln!("tenantry-bridge: the manager does not know {attempt}: what was seen of it is dropped");
    }
    Ok(())
}

/// Takes the longest beginning of one kind that fits into a call.
fn first(waiting: &mut VecDeque<Item>) -> Option<Batch> {
    let mut batch = match waiting.front()? {
        Item::Fact(_) => Batch::Facts(Vec::new()),
        Item::Log(_) => Batch::Logs(Vec::new()),
        Item::Finished(_) => Batch::Finished(Vec::new()),
    };
    let mut bytes = 0;
    for _ in 0..MAX_BATCH {
        match (waiting.pop_front(), &mut batch) {
            (Some(Item::Fact(fact)), Batch::Facts(facts)) => facts.push(fact),
            (Some(Item::Finished(command)), Batch::Finished(commands)) => commands.push(command),
            (Some(Item::Log(piece)), Batch::Logs(pieces))
                if pieces.is_empty() || bytes + piece.bytes.len() <= CALL_BYTES =>
            {
                bytes += piece.bytes.len();
                pieces.push(piece);
            }
            (other, _) => {
                if let Some(other) = other {
                    waiting.push_front(other);
                }
                break;
            }
        }
    }
    Some(batch)
}

/// Pieces that follow one another become one chunk.
fn chunks(pieces: &[Piece]) -> Vec<LogChunk> {
    let mut runs: Vec<&[Piece]> = Vec::new();
    let mut begin = 0;
    for at in 1..=pieces.len() {
        let follows = pieces.get(at).is_some_and(|next| {
            let before = &pieces[at - 1];
            next.attempt == before.attempt && next.offset == before.offset + before.bytes.len() as u64
        });
        if !follows {
            runs.push(&pieces[begin..at]);
            begin = at;
        }
    }
    runs.into_iter()
        .filter_map(|run| {
            let (first, last) = (run.first()?, run.last()?);
            let text: Vec<u8> = run.iter().flat_map(|piece| piece.bytes.iter().copied()).collect();
            Some(LogChunk {
                attempt: first.attempt.clone(),
                offset: first.offset,
                data: STANDARD.encode(text),
                last: last.last,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use tenantry_model::Fact;

    fn attempt(number: u32) -> AttemptId {
        AttemptId {
            operation: "0192f0c8-a7b3-7c3e-8f00-00000000abcd".parse().unwrap(),
            step: "eu1/crm/a".parse().unwrap(),
            number,
        }
    }

    fn piece(number: u32, offset: u64, text: &str, last: bool) -> Piece {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        Piece { attempt: attempt(number), offset, bytes, last, _room: None }
    }

    fn fact(number: u64) -> Item {
        Item::Fact(Observation {
            attempt: attempt(1),
            number,
            at: Timestamp::UNIX_EPOCH,
            fact: Fact::Unknown { why: String::new() },
        })
    }

    #[test]
    fn what_follows_becomes_one_chunk_and_a_gap_or_another_attempt_a_new_one() {
        let pieces = [
            piece(1, 0, "one\n", false),
            piece(1, 4, "two\n", false),
            piece(1, 10, "ten\n", false),
            piece(1, 14, "", true),
            piece(2, 14, "x", false),
        ];
        let all = chunks(&pieces);
        let seen: Vec<_> = all
            .iter()
            .map(|c| (c.attempt.number, c.offset, STANDARD.decode(&c.data).unwrap(), c.last))
            .collect();
        assert_eq!(
            seen,
            [
                (1, 0, b"one\ntwo\n".to_vec(), false),
                (1, 10, b"ten\n".to_vec(), true),
                (2, 14, b"x".to_vec(), false)
            ]
        );
        assert!(chunks(&[]).is_empty());
    }

    #[test]
    fn a_call_has_one_kind_in_order_and_no_more_than_its_size() {
        let big = "x".repeat(CALL_BYTES / 2);
        let mut waiting = VecDeque::from([
            Item::Log(piece(1, 0, &big, false)),
            Item::Log(piece(1, 1, &big, false)),
            Item::Log(piece(1, 2, &big, true)),
            fact(1),
            fact(2),
            Item::Finished(CommandId(uuid::Uuid::nil())),
            fact(3),
        ]);
        let mut kinds = Vec::new();
        while let Some(batch) = first(&mut waiting) {
            kinds.push(match batch {
                Batch::Facts(facts) => format!("{} facts", facts.len()),
                Batch::Logs(pieces) => format!("{} pieces", pieces.len()),
                Batch::Finished(commands) => format!("{} commands", commands.len()),
            });
        }
        assert_eq!(kinds, ["2 pieces", "1 pieces", "2 facts", "1 commands", "1 facts"]);
    }

    #[test]
    fn a_piece_larger_than_a_call_goes_alone() {
        let mut waiting =
            VecDeque::from([Item::Log(piece(1, 0, &"x".repeat(2 * CALL_BYTES), false)), fact(1)]);
        assert!(matches!(first(&mut waiting), Some(Batch::Logs(pieces)) if pieces.len() == 1));
        assert_eq!(waiting.len(), 1);
    }

    #[tokio::test]
    async fn log_text_waits_for_room_and_facts_do_not() {
        let (outbox, _carrier) = new();
        for at in 0..4 {
            let room = outbox.room(Outbox::PIECE).await.unwrap();
            outbox.log(&attempt(1), at, Bytes::from_static(b"x"), room);
        }
        let full = tokio::time::timeout(Duration::from_millis(20), outbox.room(1)).await;
        assert!(full.is_err());
        outbox.fact(match fact(1) {
            Item::Fact(observation) => observation,
            _ => return,
        });
        let waits = tokio::time::timeout(Duration::from_millis(20), outbox.emptied()).await;
        assert!(waits.is_err());
    }
}
