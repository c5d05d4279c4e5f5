//! What comes from outside the process: kill -9 in the middle of commits, and a folder that is mounted read-only, a
//! disk that is full.
//!
//! The first starts its own program again as the process that commits (`WRITER_FOLDER` set) and is killed. The others
//! need mounts; without the right to mount they are listed as ignored.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod mount;

use libtest_mimic::{Arguments, Trial};
use mount::{Mount, may_mount, run};
use std::{
    env,
    error::Error,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;
use tenantry_store::{
    EventFilter, Store as _, StoreError,
    conformance::samples::{environment, event, tenant, text},
};
use tenantry_store_sqlite::SqliteStore;

const FOLDER: &str = "WRITER_FOLDER";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    if let Some(folder) = env::var_os(FOLDER) {
        return runtime()?.block_on(commit_for_ever(&PathBuf::from(folder)));
    }
    let mounts = may_mount();
    let test = |name: &str, run: fn() -> Outcome<()>| {
        Trial::test(name, move || run().map_err(|error| error.to_string().into()))
    };
    let tests = vec![
        test("what_was_committed_before_a_kill_is_there_after_it", killed),
        test("a_read_only_folder_is_refused_with_a_remedy", read_only).with_ignored_flag(!mounts),
        test("a_full_disk_refuses_the_write_and_loses_nothing", full).with_ignored_flag(!mounts),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit()
}

fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Reports each number once its two rows are committed.
async fn commit_for_ever(folder: &Path) -> Outcome<()> {
    let store = SqliteStore::open(folder).await?;
    let first = store.read().await?.last_event().await?;
    for n in first + 1.. {
        let mut write = store.write().await?;
        write.put_tenant(&tenant(&format!("t{n}"))).await?;
        write.append_event(&event(None, None, n.into())).await?;
        write.commit().await?;
        writeln!(std::io::stdout(), "{n}")?;
    }
    Ok(())
}

fn killed() -> Outcome<()> {
    let folder = TempDir::new()?;
    let mut reported = 0;
    for round in 0..8 {
        let mut writer =
            Command::new(env::current_exe()?).env(FOLDER, folder.path()).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(writer.stdout.take().ok_or("no stdout")?).lines();
        for _ in 0..10 + round * 3 {
            reported = lines.next().ok_or("the writer ended")??.parse()?;
        }
        writer.kill()?;
        for line in lines.map_while(Result::ok) {
            reported = line.parse().unwrap_or(reported).max(reported);
        }
        writer.wait()?;
        runtime()?.block_on(check(folder.path(), reported))?;
    }
    Ok(())
}

async fn check(folder: &Path, reported: u64) -> Outcome<()> {
    let store = SqliteStore::open(folder).await?;
    let mut read = store.read().await?;
    let last = read.last_event().await?;
    assert!(last >= reported, "{reported} was reported, {last} is there");
    let events = read.events(&EventFilter::default(), 0, 10_000).await?;
    assert_eq!(events.len() as u64, last, "none is missing in between");
    for event in events {
        let name = text(&format!("t{}", event.data));
        assert!(read.tenant(&name).await?.is_some(), "both rows of a commit or none: {}", event.data);
    }
    assert!(read.tenant(&text(&format!("t{}", last + 1))).await?.is_none(), "both rows of a commit or none");
    drop(read);
    store.close().await;
    Ok(())
}

fn read_only() -> Outcome<()> {
    let data = TempDir::new()?;
    let source = data.path().to_str().ok_or("not UTF-8")?;
    // A fresh folder, and one with a database in it.
    for used in [false, true] {
        if used {
            runtime()?.block_on(async {
                SqliteStore::open(data.path()).await?.close().await;
                Ok::<_, StoreError>(())
            })?;
        }
        let mount = Mount::new(&["--bind", source])?;
        run("mount", &["-o", "remount,ro,bind", mount.path().to_str().ok_or("not UTF-8")?])?;
        match runtime()?.block_on(SqliteStore::open(mount.path())) {
            Err(StoreError::Unavailable { what, .. }) => {
                assert!(what.contains(mount.path().to_str().ok_or("not UTF-8")?), "{what}");
                assert!(what.contains("read-only"), "{what}");
            }
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

fn full() -> Outcome<()> {
    let mount = Mount::new(&["-t", "tmpfs", "-o", "size=2m", "tenantry-test"])?;
    runtime()?.block_on(async {
        let store = SqliteStore::open(mount.path()).await?;
        let mut home = environment("acme", "prod", "eu1");
        let mut write = store.write().await?;
        write.put_environment(&home).await?;
        write.commit().await?;
        let before = home.clone();
        home.spec.settings.insert("big".to_owned(), "x".repeat(5_000_000).into());
        for _ in 0..3 {
            let mut write = store.write().await?;
            let refused = write.put_environment(&home).await;
            // SQLite may have ended the transaction by itself: nothing may slip in behind it.
            let after = write.put_tenant(&tenant("slipped-in")).await;
            let committed = write.commit().await;
            match [refused, after, committed].into_iter().find_map(Result::err) {
                Some(StoreError::Unavailable { what, .. }) => {
                    assert!(what.contains("disk is full"), "{what}");
                }
                other => panic!("{other:?}"),
            }
            assert!(store.read().await?.tenant(&text("slipped-in")).await?.is_none());
        }
        assert!(
            store.read().await?.environment(home.id).await? == Some(before.clone()),
            "the old row is there"
        );
        let mut write = store.write().await?;
        write.put_tenant(&tenant("acme")).await?;
        write.commit().await?;
        store.close().await;
        drop(store);
        let store = SqliteStore::open(mount.path()).await?;
        assert!(store.read().await?.environment(before.id).await? == Some(before), "also after a restart");
        store.close().await;
        Ok(())
    })
}
