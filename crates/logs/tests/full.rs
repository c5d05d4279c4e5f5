//! A disk that is full: what was taken stays readable, what was not is refused with the reason and taken when there is room
//! again. Without the right to mount these tests count as ignored.

#[path = "../../store-sqlite/tests/mount/mod.rs"]
mod mount;

use bytes::Bytes;
use libtest_mimic::{Arguments, Trial};
use mount::{Mount, Outcome, may_mount};
use tenantry_logs::{Limits, LogError, LogStore};
use tenantry_model::{AttemptId, OperationId};
use uuid::Uuid;

/// Small segments, so that the disk fills up between two of them as well.
const LIMITS: Limits = Limits { head: 20_000, tail: 320_000 };

fn main() {
    let mounts = may_mount();
    let test = |name: &str, run: fn() -> Outcome<()>| {
        let run = move || run().map_err(|error| error.to_string().into());
        Trial::test(name, run).with_ignored_flag(!mounts)
    };
    let tests = vec![
        test("text_that_has_no_room_is_refused_and_taken_later", refused_and_taken),
        test("a_log_that_began_on_a_full_disk_can_end_without_a_line", ends_silently),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit()
}

fn attempt(number: u32) -> Outcome<AttemptId> {
    Ok(AttemptId { operation: OperationId(Uuid::nil()), step: "eu1/crm/crm-tenant".parse()?, number })
}

fn on<T>(test: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?.block_on(test)
}

fn text(from: u64, count: u64) -> Bytes {
    (from..from + count).map(|offset| u8::try_from(offset % 251).unwrap_or_default()).collect()
}

/// The error says which file and that the disk is full.
fn is_full(error: &LogError) {
    let LogError::Io { path, source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull, "{error:?}");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
}

async fn all(logs: &LogStore, attempt: &AttemptId) -> Outcome<Vec<u8>> {
    let (mut found, mut at) = (Vec::new(), 0);
    loop {
        let chunk = logs.read(attempt, at, 100_000).await?;
        assert_eq!(chunk.missing, None, "nothing is missing");
        found.extend_from_slice(&chunk.bytes);
        if chunk.end || chunk.next == at {
            return Ok(found);
        }
        at = chunk.next;
    }
}

fn refused_and_taken() -> Outcome<()> {
    let disk = Mount::disk("256k")?;
    on(async {
        let (logs, one, two) = (LogStore::with_limits(disk.path(), LIMITS)?, attempt(1)?, attempt(2)?);
        // Within a segment, at the border of two, and an attempt's first text.
        let mut end = 0;
        for size in [15_000, 5_000, 20_000] {
            end = logs.append(&one, end, text(end, size)).await?.end;
            disk.fill()?;
            for _ in 0..3 {
                is_full(&logs.append(&one, end, text(end, 45_000)).await.expect_err("there is no room"));
                is_full(&logs.append(&two, 0, text(0, 9_000)).await.expect_err("there is no room"));
            }
            // What a part of the refused text took is part of the log or not; either way the log is what was sent.
            let known = logs.extent(&one).await?.end;
            assert!(known >= end, "{known} {end}");
            assert_eq!(all(&logs, &one).await?, text(0, known));
            let again = LogStore::with_limits(disk.path(), LIMITS)?;
            assert_eq!(all(&again, &one).await?, text(0, known), "also for another process");
            disk.free()?;
            end = known;
        }
        // Sent again from the beginning, as an agent does that got no answer.
        logs.append(&one, 0, text(0, end + 5_000)).await?;
        logs.append(&two, 0, text(0, 9_000)).await?;
        logs.finish_all(&[one.clone(), two.clone()]).await?;
        let again = LogStore::with_limits(disk.path(), LIMITS)?;
        assert_eq!(all(&again, &one).await?, text(0, end + 5_000));
        assert_eq!(all(&again, &two).await?, text(0, 9_000));
        assert!(again.extent(&two).await?.finished);
        Ok(())
    })
}

fn ends_silently() -> Outcome<()> {
    let disk = Mount::disk("256k")?;
    on(async {
        let (logs, one) = (LogStore::with_limits(disk.path(), LIMITS)?, attempt(1)?);
        disk.fill()?;
        is_full(&logs.append(&one, 0, text(0, 9_000)).await.expect_err("there is no room"));
        is_full(&logs.finish(&one).await.expect_err("there is no room"));
        disk.free()?;
        // Its text was lost elsewhere meanwhile: only the end is told.
        logs.finish(&one).await?;
        assert!(logs.extent(&one).await?.finished);
        let again = LogStore::with_limits(disk.path(), LIMITS)?;
        assert!(again.extent(&one).await?.finished, "who follows it must not wait for ever");
        assert!(again.read(&one, 0, 100).await?.end);
        Ok(())
    })
}
