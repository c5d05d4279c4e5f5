//! A program that gets each event on its standard input; exit code 0 means that it has taken it.
//!
//! It runs without a shell and without the manager's environment, which may hold credentials.

use crate::{CloudEvent, Sink, Undelivered};
use async_trait::async_trait;
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How long the program may run; then it is killed.
const TIMEOUT: Duration = Duration::from_secs(30);
/// So much of what it says goes into an error.
const SAID: usize = 300;
/// What it gets of the manager's environment.
const ENVIRONMENT: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// A program.
pub struct CommandSink {
    name: String,
    program: PathBuf,
}

impl CommandSink {
    /// The program at this path.
    #[must_use]
    pub fn new(program: &Path) -> Self {
        Self { name: format!("command:{}", program.display()), program: program.to_owned() }
    }

    async fn run(&self, body: &[u8]) -> Result<(), String> {
        let kept = ENVIRONMENT.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
        let child = Command::new(&self.program)
            .env_clear()
            .envs(kept)
            .stdin(whole(body).map_err(|error| format!("cannot be given the event: {error}"))?)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot be started: {error}"))?;
        let output =
            child.wait_with_output().await.map_err(|error| format!("cannot be waited for: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said: String = String::from_utf8_lossy(&output.stderr).trim().chars().take(SAID).collect();
        Err(format!("ended with {}: {said}", output.status))
    }
}

/// All of an event before the program starts: of a pipe it would read a part, or nothing, and take that for the event when
/// the manager ends meanwhile. In memory: there may be no folder that can be written.
fn whole(body: &[u8]) -> std::io::Result<Stdio> {
    let mut file = File::from(memfd_create("event", MemfdFlags::CLOEXEC)?);
    file.write_all(body)?;
    file.rewind()?;
    Ok(file.into())
}

#[async_trait]
impl Sink for CommandSink {
    fn name(&self) -> &str {
        &self.name
    }

    async fn deliver(&self, event: &CloudEvent) -> Result<(), Undelivered> {
        let mut body = serde_json::to_vec(event)
            .map_err(|error| Undelivered::for_good(format!("cannot be written: {error}")))?;
        body.push(b'\n');
        let done = tokio::time::timeout(TIMEOUT, self.run(&body)).await;
        let message = match done {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(message)) => message,
            Err(_) => format!("did not end within {} s", TIMEOUT.as_secs()),
        };
        Err(Undelivered::later(message))
    }
}
