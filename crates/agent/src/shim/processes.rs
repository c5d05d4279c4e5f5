//! Who lives: what `/proc` says of processes, and signals that cannot reach a stranger.
//!
//! It must never know attempts or their folders.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::HashMap;

/// One line of `/proc/<pid>/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub pid: i32,
    pub parent: i32,
    pub session: i32,
    /// In clock ticks since the boot.
    pub start_time: u64,
    /// Ended, not yet reaped.
    pub zombie: bool,
}

/// What is known of one process.
pub(crate) fn process(pid: i32) -> Option<Process> {
    parse(pid, &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// All processes that this user can see.
pub(crate) fn all() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// The name may hold blanks and brackets: fields are counted from the last bracket.
fn parse(pid: i32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Process {
        pid,
        zombie: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

/// Children, their children, and so on, of `root`; without zombies.
pub(crate) fn descendants(root: i32) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in all() {
        children.entry(process.parent).or_default().push(process);
    }
    let (mut found, mut open) = (Vec::new(), vec![root]);
    while let Some(parent) = open.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            open.push(child.pid);
            found.push(child);
        }
    }
    found.retain(|process| !process.zombie);
    found
}

/// Processes with this text (`NAME=value`) in their environment, as far as this user can read it; without zombies.
pub(crate) fn marked(mark: &str) -> Vec<Process> {
    let mut found = all();
    found.retain(|process| !process.zombie && has_mark(process.pid, mark));
    found
}

/// Whether a process has this text in its environment.
pub(crate) fn has_mark(pid: i32, mark: &str) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
}

/// Identity of this boot of the machine.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Signals exactly this process: the handle is opened first, then it is checked that the pid was not used again.
pub(crate) fn signal(target: &Process, signal: Signal) {
    let Some(pid) = Pid::from_raw(target.pid) else { return };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if process(target.pid).is_some_and(|now| now.start_time == target.start_time) {
        // Gone in between is what was wanted.
        let _ = pidfd_send_signal(&handle, signal);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;

    #[test]
    fn a_process_whose_name_looks_like_a_stat_line_is_read_right() {
        let stat = "42 (a) R 1 (b) S 7 42 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 1 2";
        let expected = Process { pid: 42, parent: 7, session: 9, start_time: 12345, zombie: false };
        assert_eq!(parse(42, stat), Some(expected));
        assert!(process(i32::try_from(std::process::id()).unwrap()).is_some());
    }
}
