//! The container of an attempt, through the command line of its engine (docker, podman).
//!
//! The engine's program runs as the hook's process and passes signals on; but it is not the container. Whether that is over,
//! and how it ended, only the engine's own record says. The container is not removed by itself, so that the record is there
//! when the program, the shim or the machine went down in between.
//!
//! The record may lag: podman starts the hook, and notes it afterwards. Its program may end in between (SIGTERM is enough, and
//! it leaves with 0), and then the record says for ever that nothing was started. So "never started" is believed only where
//! the container was not even made, or where the engine's program itself says that it could not; else the hook's processes
//! are looked for, and when there are none any more its end counts as lost.

use super::{
    files::{self, End, MARK},
    processes::{self, Process},
};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Label with the attempt's nonce: a container of that name without it is somebody else's.
pub(crate) const LABEL: &str = "tenantry.io/attempt-nonce";
/// Pauses while the engine does not answer.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A container that was ended by force.
const SIGKILL: i32 = 9;
/// Codes with which the engine's own program ends when it could not start the container.
const REFUSED: std::ops::RangeInclusive<i32> = 125..=127;
/// The record must say so often that the container runs while none of its processes is there.
const GONE_AFTER: u32 = 3;

/// Which container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Container {
    /// The engine's program.
    pub engine: PathBuf,
    /// The attempt's name.
    pub name: String,
    /// The attempt's nonce.
    pub nonce: String,
    /// The file into which the engine's program writes the container's id before it starts it. `None`: prepared by a version
    /// that had none.
    #[serde(default)]
    pub id_file: Option<PathBuf>,
    /// What the engine's program needs of the agent's environment (`DOCKER_HOST`, `CONTAINERS_CONF`, …).
    pub env: Vec<(String, String)>,
}

/// What the engine's record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    /// There is none, or it belongs to somebody else.
    Absent,
    /// Made; nothing is noted of a start. `whole`: the engine has nothing of it ready either.
    Made {
        whole: bool,
    },
    Running,
    Exited(i32),
    /// It ended while nobody was there who could note how (the machine went down).
    ExitedUnseen,
}

/// That the hook is to be ended, and since when this process knows it: by a clock that nobody sets.
#[derive(Debug)]
pub(crate) struct Wish {
    folder: PathBuf,
    seen: Option<Instant>,
}

impl Wish {
    /// Looked for in the attempt's folder; `seen`: when it was found, if it was.
    pub(crate) fn new(folder: PathBuf, seen: Option<Instant>) -> Self {
        Self { folder, seen }
    }

    /// What is left of the grace; `None` while nobody wants the end.
    pub(crate) fn grace_left(&mut self) -> Option<Duration> {
        let kill: files::KillFile = files::read(&self.folder, files::KILL).ok().flatten()?;
        let seen = *self.seen.get_or_insert_with(Instant::now);
        Some(Duration::from_secs(kill.grace_seconds).saturating_sub(seen.elapsed()))
    }
}

impl Container {
    /// Waits until the container is over, removes it, and says how it ended. It returns only when that is certain: an engine
    /// that does not answer is asked again for as long as it takes. `program`: the code with which the engine's program
    /// ended by itself; `None`: nobody saw it, or a signal ended it.
    pub(crate) fn settle(&self, program: Option<i32>, wish: &mut Wish) -> End {
        let (mut told, mut forced, mut gone) = (false, false, 0);
        let mut pause = FIRST_PAUSE;
        loop {
            let grace = wish.grace_left();
            let over = match self.record() {
                // The engine cannot say: looked at again.
                Err(_) => None,
                Ok(Record::Exited(code)) => Some(End::Code(code)),
                Ok(Record::ExitedUnseen) => Some(End::Lost),
                Ok(Record::Running) => {
                    gone = if self.is_gone() { gone + 1 } else { 0 };
                    match grace {
                        _ if gone >= GONE_AFTER => Some(End::Lost),
                        Some(Duration::ZERO) => {
                            // The grace is over: podman's `rm --force` alone would give it ten seconds more.
                            forced = true;
                            let _ = self.call(&["kill", "--signal", "KILL", &self.name]);
                            Some(End::Signal(SIGKILL))
                        }
                        // The engine's program ended before it could pass it on.
                        Some(_) if !told => {
                            told = self.call(&["kill", "--signal", "TERM", &self.name]).is_ok();
                            None
                        }
                        _ => None,
                    }
                }
                // Gone between two looks, by our own hand.
                Ok(Record::Absent) if forced => Some(End::Signal(SIGKILL)),
                Ok(record) if self.never_ran(record, program) => Some(End::NotStarted {
                    killed: grace.is_some(),
                    message: "the container engine did not start it; what the engine said is in the log"
                        .to_owned(),
                }),
                Ok(_) => {
                    let hook = self.processes();
                    match grace {
                        _ if hook.is_empty() => Some(End::Lost),
                        Some(Duration::ZERO) => {
                            forced = true;
                            for process in &hook {
                                processes::signal(process, Signal::KILL);
                            }
                            None
                        }
                        Some(_) if !told => {
                            told = true;
                            first_of(&hook).for_each(|process| processes::signal(process, Signal::TERM));
                            None
                        }
                        _ => None,
                    }
                }
            };
            // Removed before its end is told: what the engine may still have had in mind cannot begin any more. And looked
            // after: what had begun in between is ended by that, or waited for.
            if let Some(end) = over
                && self.remove().is_ok()
                && (matches!(end, End::Code(_)) || self.processes().is_empty())
            {
                return end;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
            // A person waits for a kill; it shall not wait for the next look of a long row.
            if grace.is_some() {
                pause = pause.min(Duration::from_secs(1));
            }
        }
    }

    /// Whether it is certain that no process of the hook has ever run.
    fn never_ran(&self, record: Record, program: Option<i32>) -> bool {
        let refused = program.is_some_and(|code| REFUSED.contains(&code));
        let made = match &self.id_file {
            Some(file) => std::fs::metadata(file).is_ok_and(|file| file.len() > 0),
            None => !refused,
        };
        !made || (refused && record == Record::Made { whole: true })
    }

    /// The hook's processes, as far as this user can see them.
    fn processes(&self) -> Vec<Process> {
        processes::marked(&format!("{MARK}={}", self.nonce))
    }

    /// Whether podman's record stands still because who would write it was killed. Of other engines it is not asked: a service
    /// keeps their records, and their processes may be out of sight.
    fn is_gone(&self) -> bool {
        let podman = self.engine.file_name().is_some_and(|name| name == "podman");
        let elsewhere = self.env.iter().any(|(name, _)| name == "CONTAINER_HOST");
        if !podman || elsewhere || processes::process(1).is_none() {
            return false;
        }
        let format = "{{.State.Pid}} {{.State.ConmonPid}}";
        let Ok(output) = self.call(&["inspect", "--type", "container", "--format", format, &self.name])
        else {
            return false;
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let pids: Vec<i32> = text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        let lives = |pid: &i32| processes::process(*pid).is_some_and(|process| !process.zombie);
        output.status.success() && pids.len() == 2 && !pids.iter().any(lives) && self.processes().is_empty()
    }

    fn record(&self) -> io::Result<Record> {
        let format = format!(
            "{{{{.State.Status}}}} {{{{.State.ExitCode}}}} {{{{index .Config.Labels \"{LABEL}\"}}}} {{{{.State.FinishedAt}}}}"
        );
        let output = self.call(&["inspect", "--type", "container", "--format", &format, &self.name])?;
        if output.status.success() {
            return Ok(read(&String::from_utf8_lossy(&output.stdout), &self.nonce));
        }
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        if said.contains("no such") { Ok(Record::Absent) } else { Err(io::Error::other(said)) }
    }

    /// Removes the attempt's container, if there is one; never somebody else's of that name.
    fn remove(&self) -> io::Result<()> {
        if self.record()? == Record::Absent {
            return Ok(());
        }
        let output = self.call(&["rm", "--force", "--volumes", &self.name])?;
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        if output.status.success() || said.contains("no such") { Ok(()) } else { Err(io::Error::other(said)) }
    }

    fn call(&self, args: &[&str]) -> io::Result<Output> {
        Command::new(&self.engine)
            .args(args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .output()
    }
}

/// Those whose parents are not among them: as in a cluster, the others are told by the first.
fn first_of(all: &[Process]) -> impl Iterator<Item = &Process> {
    all.iter().filter(|process| !all.iter().any(|other| other.pid == process.parent))
}

fn read(text: &str, nonce: &str) -> Record {
    let mut words = text.split_whitespace();
    let (status, code, label, finished) = (words.next(), words.next(), words.next(), words.next());
    if label != Some(nonce) {
        return Record::Absent;
    }
    match (status, code.and_then(|code| code.parse().ok())) {
        // The engines' "never".
        (Some("exited" | "dead" | "stopped"), _) if finished.is_some_and(|at| at.starts_with("0001-")) => {
            Record::ExitedUnseen
        }
        (Some("exited" | "dead" | "stopped"), Some(code)) => Record::Exited(code),
        (Some("created" | "configured"), _) => Record::Made { whole: true },
        (Some("initialized"), _) => Record::Made { whole: false },
        _ => Record::Running,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;

    #[test]
    fn the_engines_record_is_read_as_docker_and_podman_write_it() {
        const AT: &str = "2026-11-30 19:29:21.49673519 +0000 UTC";
        const NEVER: &str = "0001-01-01 00:00:00 +0000 UTC";
        for (text, finished, record) in [
            ("exited 3 n1", AT, Record::Exited(3)),
            ("exited 137 n1", "2026-11-30T19:29:21.49673519Z", Record::Exited(137)),
            // After a reboot: the code is that of nobody.
            ("exited 0 n1", NEVER, Record::ExitedUnseen),
            ("running 0 n1", NEVER, Record::Running),
            ("paused 0 n1", NEVER, Record::Running),
            ("created 0 n1", "0001-01-01T00:00:00Z", Record::Made { whole: true }),
            ("initialized 0 n1", NEVER, Record::Made { whole: false }),
            // Somebody else's container of that name, with another label or none.
            ("exited 0 n2", AT, Record::Absent),
            ("running 0 ", NEVER, Record::Absent),
            ("running 0 <no value>", NEVER, Record::Absent),
        ] {
            assert_eq!(read(&format!("{text} {finished}\n"), "n1"), record, "{text}");
        }
    }

    #[test]
    fn never_started_is_believed_only_where_nothing_can_have_run() {
        let folder = tempfile::tempdir().unwrap();
        let id = folder.path().join("id");
        let container = |id_file| Container {
            engine: "/usr/bin/podman".into(),
            name: "a".to_owned(),
            nonce: "n1".to_owned(),
            id_file,
            env: Vec::new(),
        };
        let (made, begun) = (Record::Made { whole: true }, Record::Made { whole: false });
        let with = container(Some(id.clone()));
        // The engine's program was ended, or ended, before it made anything.
        for program in [None, Some(0), Some(125)] {
            assert!(with.never_ran(Record::Absent, program), "{program:?}");
        }
        std::fs::write(&id, "").unwrap();
        assert!(with.never_ran(made, None), "no id was written yet");
        std::fs::write(&id, "cec8bbde").unwrap();
        for (record, program, never) in [
            // No such command, as the engine says.
            (made, Some(127), true),
            // Told to end before it had noted the start: podman leaves with 0.
            (begun, Some(0), false),
            (made, Some(0), false),
            (made, None, false),
            // It had it ready, and something failed after that.
            (begun, Some(126), false),
            // Somebody removed it.
            (Record::Absent, Some(125), false),
            (Record::Absent, None, false),
        ] {
            assert_eq!(with.never_ran(record, program), never, "{record:?} {program:?}");
        }
        let before = container(None);
        assert!(before.never_ran(Record::Absent, Some(125)) && !before.never_ran(made, None));
    }
}
