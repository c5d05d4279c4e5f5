//! kill -9 in the middle of appends: everything that was acknowledged is there, and the log goes on.
//!
//! The test starts its own program again as the process that writes (`WRITER_FOLDER` set) and is killed.

use bytes::Bytes;
use libtest_mimic::{Arguments, Trial};
use std::{
    env,
    error::Error,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;
use tenantry_logs::{Limits, LogStore};
use tenantry_model::{AttemptId, OperationId};
use uuid::Uuid;

const FOLDER: &str = "WRITER_FOLDER";
const LIMITS: Limits = Limits { head: 50_000, tail: 400_000 };
const CHUNK: u64 = 997;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    if let Some(folder) = env::var_os(FOLDER) {
        return runtime()?.block_on(write(&PathBuf::from(folder)));
    }
    let tests = vec![Trial::test("what_was_acknowledged_before_a_kill_is_there_after_it", || {
        killed().map_err(|error| error.to_string().into())
    })];
    libtest_mimic::run(&Arguments::from_args(), tests).exit()
}

fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?)
}

fn attempt() -> Outcome<AttemptId> {
    Ok(AttemptId { operation: OperationId(Uuid::nil()), step: "eu1/crm/crm-tenant".parse()?, number: 1 })
}

fn stream(from: u64) -> Bytes {
    (from..from + CHUNK).map(|offset| u8::try_from(offset % 251).unwrap_or_default()).collect()
}

/// Appends from where the log ends, and reports each end on stdout, until it is killed.
async fn write(folder: &Path) -> Outcome<()> {
    let logs = LogStore::with_limits(folder, LIMITS)?;
    let id = attempt()?;
    let mut end = logs.extent(&id).await?.end;
    loop {
        end = logs.append(&id, end, stream(end)).await?.end;
        writeln!(std::io::stdout(), "{end}")?;
    }
}

fn killed() -> Outcome<()> {
    let folder = TempDir::new()?;
    let mut before = 0;
    for round in 0..10 {
        let mut writer =
            Command::new(env::current_exe()?).env(FOLDER, folder.path()).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(writer.stdout.take().ok_or("no stdout")?).lines();
        for _ in 0..50 + round * 7 {
            before = lines.next().ok_or("the writer ended")??.parse()?;
        }
        writer.kill()?;
        // What it still reported was acknowledged too.
        for line in lines.map_while(Result::ok) {
            before = line.parse().unwrap_or(before);
        }
        writer.wait()?;
        runtime()?.block_on(check(folder.path(), before))?;
    }
    Ok(())
}

async fn check(folder: &Path, acknowledged: u64) -> Outcome<()> {
    let logs = LogStore::with_limits(folder, LIMITS)?;
    let id = attempt()?;
    let end = logs.extent(&id).await?.end;
    assert!(end >= acknowledged, "{acknowledged} bytes were acknowledged, {end} are there");
    let mut from = 0;
    while from < end {
        let chunk = logs.read(&id, from, 64 * 1024).await?;
        if chunk.missing.is_none() {
            let right = (from..).zip(&chunk.bytes).all(|(offset, byte)| u64::from(*byte) == offset % 251);
            assert!(right, "a wrong byte after {from}");
        }
        assert!(chunk.next > from, "stuck at {from}");
        from = chunk.next;
    }
    Ok(())
}
