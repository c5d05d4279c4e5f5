//! What a reader of a log can rely on.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use bytes::Bytes;
use proptest::prelude::*;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use tenantry_logs::{Appended, Limits, LogError, LogStore, Missing};
use tenantry_model::{AttemptId, OperationId};
use tokio::time::timeout;
use uuid::Uuid;

const SMALL: Limits = Limits { head: 1000, tail: 4000 };

fn attempt(number: u32) -> AttemptId {
    AttemptId { operation: OperationId(Uuid::nil()), step: "eu1/crm/crm-tenant".parse().unwrap(), number }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Reads everything in small bites: the text as people see it, and the log's own bytes with their offsets.
async fn whole(logs: &LogStore, attempt: &AttemptId, bite: usize) -> (Vec<u8>, Vec<(u64, u8)>, Vec<Missing>) {
    let (mut text, mut own, mut missing, mut from) = (Vec::new(), Vec::new(), Vec::new(), 0);
    loop {
        let chunk = logs.read(attempt, from, bite).await.unwrap();
        assert_eq!(chunk.offset, from);
        if chunk.bytes.is_empty() {
            return (text, own, missing);
        }
        if let Some(what) = chunk.missing {
            missing.push(what);
        } else {
            assert!(chunk.bytes.len() <= bite, "no more than asked for");
            own.extend((from..).zip(chunk.bytes.iter().copied()));
        }
        text.extend(&chunk.bytes);
        assert!(chunk.next > from, "every read goes on");
        from = chunk.next;
    }
}

/// The byte that stands at an offset of the test's stream.
#[allow(clippy::cast_possible_truncation)]
fn byte(offset: u64) -> u8 {
    (offset.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

fn stream(from: u64, length: u64) -> Bytes {
    (from..from + length).map(byte).collect()
}

#[tokio::test]
async fn an_appended_log_reads_back_and_is_still_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let logs = LogStore::open(folder.path()).unwrap();
    let id = attempt(1);
    assert_eq!(logs.read(&id, 0, 100).await.unwrap().bytes, Bytes::new(), "nothing is there yet");
    let done = logs.append(&id, 0, Bytes::from_static(b"one\n")).await.unwrap();
    assert_eq!(done, Appended { stored: 4, lost: 0, end: 4 });
    logs.append(&id, 4, Bytes::from_static(b"two \xff\x00\n")).await.unwrap();
    assert!(!logs.read(&id, 4, 100).await.unwrap().end);
    logs.finish(&id).await.unwrap();
    logs.finish(&id).await.unwrap();
    for logs in [logs.clone(), LogStore::open(folder.path()).unwrap()] {
        let first = logs.read(&id, 0, 6).await.unwrap();
        assert_eq!((&first.bytes[..], first.next, first.end), (&b"one\ntw"[..], 6, false));
        let second = logs.read(&id, 6, 100).await.unwrap();
        assert_eq!((&second.bytes[..], second.next, second.end), (&b"o \xff\x00\n"[..], 11, true));
        assert!(logs.read(&id, 11, 100).await.unwrap().end, "also when one asks at the end");
    }
}

#[tokio::test]
async fn a_chunk_that_comes_twice_or_overlaps_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let logs = LogStore::open(folder.path()).unwrap();
    let id = attempt(1);
    logs.append(&id, 0, stream(0, 10)).await.unwrap();
    assert_eq!(logs.append(&id, 0, stream(0, 10)).await.unwrap(), Appended { stored: 0, lost: 0, end: 10 });
    assert_eq!(logs.append(&id, 5, stream(5, 10)).await.unwrap(), Appended { stored: 5, lost: 0, end: 15 });
    assert_eq!(logs.append(&id, 3, stream(3, 2)).await.unwrap(), Appended { stored: 0, lost: 0, end: 15 });
    assert_eq!(whole(&logs, &id, 4).await.0, stream(0, 15));
}

#[tokio::test]
async fn a_gap_is_noted_as_lost_and_stays_a_gap() {
    let folder = TempDir::new().unwrap();
    let logs = LogStore::open(folder.path()).unwrap();
    let id = attempt(1);
    logs.append(&id, 0, Bytes::from_static(b"a")).await.unwrap();
    let done = logs.append(&id, 501, Bytes::from_static(b"z")).await.unwrap();
    assert_eq!(done, Appended { stored: 1, lost: 500, end: 502 });
    logs.append(&id, 1, Bytes::from_static(b"too late")).await.unwrap();
    for logs in [logs.clone(), LogStore::open(folder.path()).unwrap()] {
        let (text, own, missing) = whole(&logs, &id, 100).await;
        assert_eq!(missing, vec![Missing::Lost(500)]);
        assert_eq!(own, vec![(0, b'a'), (501, b'z')]);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, "a\n… 500 bytes lost: the agent could not send them …\nz");
        let inside = logs.read(&id, 400, 100).await.unwrap();
        assert_eq!((inside.next, inside.missing), (501, Some(Missing::Lost(101))));
    }
}

#[tokio::test]
async fn a_long_log_keeps_its_head_and_its_tail_and_says_what_was_left_out() {
    let folder = TempDir::new().unwrap();
    let logs = LogStore::with_limits(folder.path(), SMALL).unwrap();
    let id = attempt(1);
    for at in (0..50_000).step_by(700) {
        logs.append(&id, at, stream(at, 700)).await.unwrap();
    }
    let end = logs.extent(&id).await.unwrap().end;
    logs.finish(&id).await.unwrap();
    let on_disk: u64 = files(folder.path()).iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(on_disk < 5000 + 50 * 17, "{on_disk} bytes: the limits and the records' headers");
    for logs in [logs.clone(), LogStore::with_limits(folder.path(), SMALL).unwrap()] {
        let (text, own, missing) = whole(&logs, &id, 333).await;
        let [Missing::LeftOut(count)] = missing[..] else { panic!("one cut: {missing:?}") };
        assert!(own.iter().all(|(offset, found)| *found == byte(*offset)), "each byte is where it was");
        assert_eq!(own.len() as u64 + count, end, "what is left out is counted");
        assert_eq!(own[999].0, 999, "the head is whole");
        assert_eq!(own.last().unwrap().0, end - 1, "the tail goes to the end");
        assert!((4750..=5000).contains(&own.len()), "{} bytes: head and tail within their limits", own.len());
        let line = format!("… {count} bytes left out");
        assert!(String::from_utf8_lossy(&text).contains(&line));
    }
}

#[tokio::test]
async fn a_line_of_ten_megabytes_is_bounded_like_any_other_log() {
    let folder = TempDir::new().unwrap();
    let logs = LogStore::open(folder.path()).unwrap();
    let id = attempt(1);
    let line = Bytes::from(vec![b'x'; 10 * 1024 * 1024]);
    logs.append(&id, 0, line).await.unwrap();
    logs.append(&id, 10 * 1024 * 1024, Bytes::from_static(b"\nend\n")).await.unwrap();
    let (text, own, missing) = whole(&logs, &id, 1024 * 1024).await;
    assert!(text.ends_with(b"x\nend\n") && text.starts_with(b"xxx"));
    let (kept, limits) = (own.len() as u64, Limits::default());
    assert_eq!(missing, vec![Missing::LeftOut(10 * 1024 * 1024 + 5 - kept)]);
    let most = limits.head + limits.tail;
    assert!((most - limits.tail / 16..=most).contains(&kept), "{kept} bytes are kept of at most {most}");
}

#[tokio::test]
async fn a_follower_is_woken_by_each_append_and_by_the_end() {
    let folder = TempDir::new().unwrap();
    let logs = LogStore::open(folder.path()).unwrap();
    let id = attempt(1);
    let writer = tokio::spawn({
        let (logs, id) = (logs.clone(), id.clone());
        async move {
            for at in 0..200 {
                logs.append(&id, at, stream(at, 1)).await.unwrap();
            }
            logs.finish(&id).await.unwrap();
        }
    });
    let follow = async {
        let (mut changed, mut seen, mut from) = (logs.changed(&id), Vec::new(), 0);
        loop {
            let chunk = logs.read(&id, from, 7).await.unwrap();
            seen.extend(&chunk.bytes);
            from = chunk.next;
            if chunk.end {
                return seen;
            }
            if chunk.bytes.is_empty() {
                changed.changed().await.unwrap();
            }
        }
    };
    assert_eq!(timeout(Duration::from_secs(30), follow).await.unwrap(), stream(0, 200));
    writer.await.unwrap();
}

#[tokio::test]
async fn logs_that_end_without_a_line_share_one_file_and_stay_ended() {
    let folder = TempDir::new().unwrap();
    let logs = LogStore::open(folder.path()).unwrap();
    let all: Vec<AttemptId> = (1..=20).map(attempt).collect();
    let mut follower = logs.changed(&all[7]);
    logs.finish_all(&all[..10]).await.unwrap();
    timeout(Duration::from_secs(30), follower.changed()).await.unwrap().unwrap();
    let [file] = &files(folder.path())[..] else { panic!("one file") };
    // The machine died while one was written: it spoils no other.
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, text.trim_end()).unwrap();
    let logs = LogStore::open(folder.path()).unwrap();
    assert!(!logs.extent(&all[9]).await.unwrap().finished, "the torn one is told again");
    logs.finish_all(&all[9..]).await.unwrap();
    logs.finish_all(&all).await.unwrap();
    let length = fs::metadata(file).unwrap().len();
    for logs in [logs, LogStore::open(folder.path()).unwrap()] {
        for id in &all {
            let chunk = logs.read(id, 0, 100).await.unwrap();
            assert!(chunk.bytes.is_empty() && chunk.end, "{id}");
        }
        assert!(!logs.extent(&attempt(21)).await.unwrap().finished);
    }
    assert_eq!(fs::metadata(file).unwrap().len(), length, "saying it again changes nothing");
}

#[tokio::test]
async fn removing_an_operation_removes_its_folder_and_no_other() {
    let folder = TempDir::new().unwrap();
    let logs = LogStore::open(folder.path()).unwrap();
    let (gone, stays) = (attempt(1), AttemptId { operation: OperationId(Uuid::now_v7()), ..attempt(1) });
    for id in [&gone, &stays] {
        logs.append(id, 0, stream(0, 10)).await.unwrap();
    }
    logs.remove(gone.operation).await.unwrap();
    logs.remove(gone.operation).await.unwrap();
    assert_eq!(files(folder.path()).len(), 1);
    assert_eq!(logs.extent(&gone).await.unwrap().end, 0);
    assert_eq!(logs.extent(&stays).await.unwrap().end, 10);
    logs.append(&gone, 0, stream(0, 3)).await.unwrap();
    assert_eq!(logs.extent(&gone).await.unwrap().end, 3, "a later attempt to write begins anew");
}

#[tokio::test]
async fn attempts_one_and_eleven_of_a_step_do_not_share_files() {
    let folder = TempDir::new().unwrap();
    let logs = LogStore::open(folder.path()).unwrap();
    for number in [1, 11] {
        logs.append(&attempt(number), 0, Bytes::from(number.to_string())).await.unwrap();
    }
    let logs = LogStore::open(folder.path()).unwrap();
    for number in [1, 11] {
        assert_eq!(logs.read(&attempt(number), 0, 100).await.unwrap().bytes, number.to_string());
    }
}

#[tokio::test]
async fn the_longest_names_fit_the_file_system() {
    let folder = TempDir::new().unwrap();
    let logs = LogStore::open(folder.path()).unwrap();
    let label = "a".repeat(63);
    let name = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    let step = format!("{label}/{label}/{name}").parse().unwrap();
    let id = AttemptId { step, number: u32::MAX, ..attempt(1) };
    logs.append(&id, 0, stream(0, 10)).await.unwrap();
    assert_eq!(LogStore::open(folder.path()).unwrap().extent(&id).await.unwrap().end, 10);
}

#[tokio::test]
async fn an_offset_that_no_log_reaches_is_refused() {
    let folder = TempDir::new().unwrap();
    let logs = LogStore::open(folder.path()).unwrap();
    for offset in [u64::MAX, u64::MAX / 2] {
        let refused = logs.append(&attempt(1), offset, stream(0, 2)).await;
        assert!(matches!(refused, Err(LogError::BadOffset { .. })), "{refused:?}");
    }
    assert_eq!(logs.extent(&attempt(1)).await.unwrap().end, 0);
}

#[tokio::test]
async fn a_torn_end_is_cut_off_wherever_it_tears() {
    let folder = TempDir::new().unwrap();
    let logs = LogStore::open(folder.path()).unwrap();
    let id = attempt(1);
    logs.append(&id, 0, stream(0, 20)).await.unwrap();
    let file = files(folder.path()).remove(0);
    let acknowledged = file.metadata().unwrap().len();
    logs.append(&id, 20, stream(20, 20)).await.unwrap();
    let whole_file = fs::read(&file).unwrap();
    for length in acknowledged..whole_file.len() as u64 {
        for filler in [0, 500] {
            // 500: a power failure may leave the length without the data.
            let mut torn = whole_file[..usize::try_from(length).unwrap()].to_vec();
            torn.resize(torn.len() + filler, 0);
            fs::write(&file, torn).unwrap();
            let logs = LogStore::open(folder.path()).unwrap();
            assert_eq!(logs.extent(&id).await.unwrap().end, 20, "cut at {length}");
            logs.append(&id, 20, stream(20, 5)).await.unwrap();
            assert_eq!(whole(&logs, &id, 100).await.0, stream(0, 25));
        }
    }
}

#[tokio::test]
async fn a_damaged_file_is_named_with_the_way_out_which_works() {
    let folder = TempDir::new().unwrap();
    let logs = LogStore::with_limits(folder.path(), SMALL).unwrap();
    let id = attempt(1);
    for at in (0..3000).step_by(100) {
        logs.append(&id, at, stream(at, 100)).await.unwrap();
    }
    let file = files(folder.path()).remove(1);
    let mut bytes = fs::read(&file).unwrap();
    bytes[150] ^= 1;
    fs::write(&file, bytes).unwrap();
    let logs = LogStore::with_limits(folder.path(), SMALL).unwrap();
    let error = logs.read(&id, 0, 100).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, LogError::Damaged { .. }), "{text}");
    let command = text.split_once('(').unwrap().1.split_once(')').unwrap().0;
    let [mv, from, to] = command.split(' ').collect::<Vec<_>>()[..] else { panic!("{command}") };
    assert_eq!((mv, Path::new(from)), ("mv", file.as_path()));
    fs::rename(from, to).unwrap();
    let (text, own, missing) = whole(&logs, &id, 100).await;
    assert_eq!(missing, [Missing::Damaged]);
    assert_eq!(own.len(), 2750, "all but the one file");
    assert!(String::from_utf8_lossy(&text).contains("250 bytes were in a damaged file"));

    // The last one: what it held, and whether it was the end, nobody knows any more.
    let last = files(folder.path()).pop().unwrap();
    fs::rename(&last, format!("{}.damaged", last.display())).unwrap();
    let logs = LogStore::with_limits(folder.path(), SMALL).unwrap();
    let (text, own, missing) = whole(&logs, &id, 100).await;
    assert_eq!(missing, [Missing::Damaged, Missing::Damaged]);
    assert!(own.len() < 2750 && own.len() > 1000, "{}", own.len());
    assert!(
        String::from_utf8_lossy(&text)
            .ends_with("the rest of this log was in a damaged file, which was moved away …\n")
    );
}

#[tokio::test]
async fn two_hundred_attempts_written_in_turns_keep_few_files_open() {
    let folder = TempDir::new().unwrap();
    let logs = LogStore::open(folder.path()).unwrap();
    let open = || {
        let inside =
            |link: PathBuf| fs::read_link(link).is_ok_and(|target| target.starts_with(folder.path()));
        fs::read_dir("/proc/self/fd").unwrap().filter(|entry| inside(entry.as_ref().unwrap().path())).count()
    };
    for round in 0..3 {
        for number in 1..=200 {
            logs.append(&attempt(number), round * 10, stream(round * 10, 10)).await.unwrap();
        }
        assert!(open() <= 128, "{} are open", open());
    }
    for number in 1..=200 {
        assert_eq!(whole(&logs, &attempt(number), 100).await.0, stream(0, 30));
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let folder = TempDir::new().unwrap();
    let blocked = folder.path().join("logs");
    fs::write(&blocked, "a file").unwrap();
    let error = LogStore::open(&blocked).unwrap_err();
    assert!(error.to_string().contains(blocked.to_str().unwrap()), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Any order of chunks, repeated, overlapping, with gaps, over restarts: each byte that is shown is the right one,
    /// and shown, left out and lost bytes add up to the log's length.
    #[test]
    fn whatever_is_delivered_nothing_is_shown_twice_or_in_the_wrong_place(
        chunks in proptest::collection::vec((0..9000_u64, 0..1500_u64, proptest::bool::weighted(0.1)), 1..30)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = TempDir::new().unwrap();
            let mut logs = LogStore::with_limits(folder.path(), SMALL).unwrap();
            let mut end = 0;
            for (offset, length, restart) in chunks {
                let done = logs.append(&attempt(1), offset, stream(offset, length)).await.unwrap();
                let expected = if length == 0 { end } else { end.max(offset + length) };
                assert_eq!(done.end, expected);
                assert_eq!(done.stored + done.lost, expected - end);
                end = expected;
                if restart {
                    logs = LogStore::with_limits(folder.path(), SMALL).unwrap();
                }
            }
            let (_, own, missing) = whole(&logs, &attempt(1), 500).await;
            assert!(own.iter().all(|(offset, found)| *found == byte(*offset)));
            assert!(own.windows(2).all(|pair| pair[0].0 < pair[1].0));
            let gone: u64 = missing.iter().map(|m| match m { Missing::LeftOut(n) | Missing::Lost(n) => *n, Missing::Damaged => 0 }).sum();
            assert_eq!(own.len() as u64 + gone, end);
        });
    }
}
