//! Two managers and one folder.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use bytes::Bytes;
use tempfile::TempDir;
use tenantry_logs::{Limits, LogStore, folder_name};
use tenantry_model::{AttemptId, OperationId};
use uuid::Uuid;

const SMALL: Limits = Limits { head: 1000, tail: 4000 };

fn attempt() -> AttemptId {
    AttemptId {
        operation: OperationId(Uuid::now_v7()),
        step: "eu1/crm/crm-tenant".parse().unwrap(),
        number: 1,
    }
}

/// Reads in as many pieces as it takes: one ends where a segment does.
async fn range(logs: &LogStore, id: &AttemptId, from: u64, to: u64) -> Vec<u8> {
    let (mut found, mut at) = (Vec::new(), from);
    while at < to {
        let chunk = logs.read(id, at, usize::try_from(to - at).unwrap()).await.unwrap();
        assert!(chunk.missing.is_none() && !chunk.bytes.is_empty(), "{at}: {chunk:?}");
        found.extend_from_slice(&chunk.bytes);
        at = chunk.next;
    }
    found
}

/// The agent's chunks reach one manager or the other, some of them both; long enough that segments are begun and dropped.
#[tokio::test]
async fn what_two_write_by_turns_is_one_log_for_both() {
    let folder = TempDir::new().unwrap();
    let two =
        [LogStore::shared(folder.path(), SMALL).unwrap(), LogStore::shared(folder.path(), SMALL).unwrap()];
    let id = attempt();
    let text: Vec<u8> = (0..9_000_u32).map(|n| b'a' + u8::try_from(n / 7 % 26).unwrap()).collect();
    for (n, chunk) in text.chunks(300).enumerate() {
        let offset = n as u64 * 300;
        for writer in if n % 5 == 0 { vec![0, 1] } else { vec![n % 2] } {
            let done = two[writer].append(&id, offset, Bytes::copy_from_slice(chunk)).await.unwrap();
            assert_eq!((done.end, done.lost), (offset + chunk.len() as u64, 0));
        }
    }
    two[0].finish(&id).await.unwrap();
    for reader in &two {
        let extent = reader.extent(&id).await.unwrap();
        assert_eq!((extent.end, extent.finished), (9_000, true));
        assert_eq!(range(reader, &id, 8_700, 9_000).await, text[8_700..]);
        assert_eq!(range(reader, &id, 0, 300).await, text[..300]);
    }
}

/// A hook that says nothing has no file of its own.
#[tokio::test]
async fn an_end_without_a_line_is_seen_by_both() {
    let folder = TempDir::new().unwrap();
    let two =
        [LogStore::shared(folder.path(), SMALL).unwrap(), LogStore::shared(folder.path(), SMALL).unwrap()];
    let id = attempt();
    assert!(!two[1].extent(&id).await.unwrap().finished);
    two[0].finish(&id).await.unwrap();
    assert!(two[1].extent(&id).await.unwrap().finished);
}

/// Both at once: whoever comes second finds what the first one stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_write_the_same_at_the_same_time_store_it_once() {
    let folder = TempDir::new().unwrap();
    let id = attempt();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (logs, id) = (LogStore::shared(folder.path(), SMALL).unwrap(), id.clone());
        writers.spawn(async move {
            let mut stored = 0;
            for n in 0..100_u64 {
                stored += logs.append(&id, n * 8, Bytes::from(format!("{n:08}"))).await.unwrap().stored;
            }
            stored
        });
    }
    let mut stored = 0;
    while let Some(done) = writers.join_next().await {
        stored += done.unwrap();
    }
    assert_eq!(stored, 800);
}

#[test]
fn a_folder_keeps_its_first_name() {
    let folder = TempDir::new().unwrap();
    let name = folder_name(folder.path(), "first").unwrap();
    assert_eq!((name.as_str(), folder_name(folder.path(), "second").unwrap().as_str()), ("first", "first"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else stays");
}
