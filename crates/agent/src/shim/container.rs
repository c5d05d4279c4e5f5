//! The container of an attempt, through the command line of its engine (docker, podman).
//!
//! The engine's program runs as the hook's process and passes signals on; but it is not the container. Whether that is over,
//! and how it ended, only the engine's own record says. The container is not removed by itself, so that the record is there
//! when the program, the shim or the machine went down in between.

use super::files::End;
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::Duration,
};

/// Label with the attempt's nonce: a container of that name without it is somebody else's.
pub(crate) const LABEL: &str = "tenantry.io/attempt-nonce";
/// Pauses while the engine does not answer.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A container that was ended by force.
const SIGKILL: i32 = 9;

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
    /// What the engine's program needs of the agent's environment (`DOCKER_HOST`, `CONTAINERS_CONF`, …).
    pub env: Vec<(String, String)>,
}

/// What the engine's record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    /// There is none, or it belongs to somebody else.
    Absent,
    /// Made, never started: the engine says why in the log.
    NotStarted,
    Running,
    Exited(i32),
}

impl Container {
    /// Waits until the container is over, removes it, and says how it ended. It returns only when that is certain: an engine
    /// that does not answer is asked again for as long as it takes. `kill`: whether it is to be ended by force.
    pub(crate) fn settle(&self, kill: impl Fn() -> bool) -> End {
        let mut forced = false;
        let mut pause = FIRST_PAUSE;
        loop {
            match self.record() {
                Ok(Record::Running) if kill() => {
                    // `rm` fails while the engine is away: then it is still running at the next look. The grace is over: podman's
                    // `rm --force` alone would give it ten seconds more.
                    forced = true;
                    let _ = self.call(&["kill", "--signal", "KILL", &self.name]);
                    if self.remove().is_ok() {
                        return End::Signal(SIGKILL);
                    }
                }
                // It goes on, or the engine cannot say: looked at again.
                Ok(Record::Running) | Err(_) => {}
                Ok(record) => {
                    if record == Record::Absent || self.remove().is_ok() {
                        return end(record, forced);
                    }
                }
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
            // A person waits for a kill; it shall not wait for the next look of a long row.
            if kill() {
                pause = pause.min(Duration::from_secs(1));
            }
        }
    }

    fn record(&self) -> io::Result<Record> {
        let format =
            format!("{{{{.State.Status}}}} {{{{.State.ExitCode}}}} {{{{index .Config.Labels \"{LABEL}\"}}}}");
        let output = self.call(&["inspect", "--type", "container", "--format", &format, &self.name])?;
        if output.status.success() {
            return Ok(read(&String::from_utf8_lossy(&output.stdout), &self.nonce));
        }
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        if said.contains("no such") { Ok(Record::Absent) } else { Err(io::Error::other(said)) }
    }

    fn remove(&self) -> io::Result<()> {
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

fn read(text: &str, nonce: &str) -> Record {
    let mut words = text.split_whitespace();
    let (status, code, label) = (words.next(), words.next(), words.next());
    if label != Some(nonce) {
        return Record::Absent;
    }
    match (status, code.and_then(|code| code.parse().ok())) {
        (Some("exited" | "dead" | "stopped"), Some(code)) => Record::Exited(code),
        (Some("created" | "configured" | "initialized"), _) => Record::NotStarted,
        _ => Record::Running,
    }
}

fn end(record: Record, forced: bool) -> End {
    match record {
        // Gone between two looks, by our own hand.
        Record::Absent if forced => End::Signal(SIGKILL),
        Record::Absent | Record::NotStarted | Record::Running => End::NotStarted {
            killed: false,
            message: "the container engine did not start it; what the engine said is in the log".to_owned(),
        },
        Record::Exited(code) => End::Code(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_record_is_read_as_docker_and_podman_write_it() {
        for (text, record) in [
            ("exited 3 n1\n", Record::Exited(3)),
            ("exited 137 n1\n", Record::Exited(137)),
            ("running 0 n1\n", Record::Running),
            ("paused 0 n1\n", Record::Running),
            ("created 0 n1\n", Record::NotStarted),
            ("initialized 0 n1\n", Record::NotStarted),
            // Somebody else's container of that name, with another label or none.
            ("exited 0 n2\n", Record::Absent),
            ("running 0 \n", Record::Absent),
            ("running 0 <no value>\n", Record::Absent),
        ] {
            assert_eq!(read(text, "n1"), record, "{text}");
        }
    }

    #[test]
    fn a_container_that_never_started_is_no_failure_of_the_hook() {
        assert!(matches!(end(Record::NotStarted, false), End::NotStarted { killed: false, .. }));
        assert_eq!(end(Record::Exited(127), false), End::Code(127));
        assert_eq!(end(Record::Absent, true), End::Signal(9));
    }
}
