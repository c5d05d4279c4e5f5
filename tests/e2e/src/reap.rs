//! Nothing is left behind: clusters that run are known here, and end with the test run, however that ends.

use crate::cluster::testbed;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Folders of runs of this suite: the pid follows.
const PREFIX: &str = "te-";

static RUNNING: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The state folder of this run's clusters; short, for the sockets in it. A developer's own cluster has its own.
pub fn state_folder() -> PathBuf {
    match (std::env::var_os("TENANTRY_E2E_CLUSTER"), std::env::var_os("TESTBED_STATE")) {
        (Some(_), Some(folder)) => PathBuf::from(folder),
        _ => std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id())),
    }
}

/// A cluster is about to start: it is known before anything of it exists.
pub fn expect(name: &str) {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
}

/// Takes one cluster down.
pub fn down(name: &str) {
    if RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(name) {
        take_down(&state_folder(), name);
    }
}

/// Takes down all clusters that run.
pub fn down_all() {
    let all = std::mem::take(&mut *RUNNING.lock().unwrap_or_else(PoisonError::into_inner));
    for name in all {
        take_down(&state_folder(), &name);
    }
    if std::env::var_os("TENANTRY_E2E_CLUSTER").is_none() {
        // Only when nothing is left in it.
        drop(std::fs::remove_dir(state_folder()));
    }
}

/// Takes down what runs left that were ended by force.
pub fn leftovers() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(pid) = name.strip_prefix(PREFIX).and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        if Path::new("/proc").join(pid.to_string()).exists() {
            continue;
        }
        for cluster in std::fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            take_down(&entry.path(), &cluster.file_name().to_string_lossy());
        }
        drop(std::fs::remove_dir(entry.path()));
    }
}

/// Ends the clusters and all programs, this one too, at the first SIGINT or SIGTERM.
pub fn on_signals() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            eprintln!("ending: taking the clusters down");
            crate::program::kill_all();
            down_all();
            std::process::exit(130);
        });
    });
    Ok(())
}

fn take_down(state: &Path, name: &str) {
    let Some(program) = testbed() else { return };
    let mut command = Command::new(program);
    command.args(["down", name]).env("TESTBED_STATE", state).stdout(Stdio::null()).stderr(Stdio::null());
    if !command.status().is_ok_and(|status| status.success()) {
        eprintln!("cluster {name} in {} could not be taken down", state.display());
    }
}
