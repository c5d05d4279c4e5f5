//! The per-attempt shim (`tenantry shim FOLDER`): a small process of its own between agent and hook, so that a killed
//! agent finds its hooks and their exit codes again.
//!
//! It gets an open, locked file as stdin (the lock that says it lives) and what to run as stdout (a file in memory).
//! It must never know the manager or the contract, and never write anywhere but in its folder.

pub(crate) mod container;
pub(crate) mod files;
mod log;
pub(crate) mod processes;

use crate::masker::Masker;
use container::Wish;
use files::{End, ExitFile, KillFile, ShimFile, ShimSpec};
use jiff::Timestamp;
use log::BoundedLog;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process_group, set_child_subreaper, setsid,
    waitid,
};
use std::{
    fs::{File, OpenOptions},
    io::{self, PipeReader, Read},
    os::{fd::AsFd, unix::fs::FileExt, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

/// The log is given up this long after the last process of the hook is gone: somebody else has its pipe.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// Between two tries to write the end down.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs one hook to its end. Called by the agent only.
#[must_use]
pub fn main(folder: &Path) -> ExitCode {
    match run(folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody reads stderr; the folder is where people look.
            let _ = std::fs::write(folder.join("shim-error.txt"), format!("{error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn run(folder: &Path) -> io::Result<()> {
    let spec = read_spec()?;
    // Away from the agent's terminal and process group. It fails only for a leader, which is as far away already.
    let _ = setsid();
    // What the hook leaves behind becomes a child of the shim: it can be ended and waited for. What an engine's program
    // leaves behind is the engine's: ended, it could not write down how the container ended.
    if spec.container.is_none() {
        set_child_subreaper(Some(getpid()))?;
    }
    // Opened before the file is looked at: a kill is seen in one way or the other. Reading and writing, so that
    // opening does not wait for the other end.
    let control = OpenOptions::new().read(true).write(true).open(folder.join(files::CONTROL))?;
    if files::read::<KillFile>(folder, files::KILL)?.is_some() {
        let message = "killed before it was started".to_owned();
        return finish(folder, End::NotStarted { killed: true, message });
    }
    // A hook whose end could not be written down would be one of which nobody knows how it ended.
    let end = Reserved::take(folder)?;
    let me = getpid().as_raw_nonzero().get();
    let file = ShimFile {
        pid: me,
        start_time: processes::process(me).map_or(0, |process| process.start_time),
        boot_id: processes::boot_id(),
        started_at: Timestamp::now(),
    };
    files::write(folder, files::SHIM, &file, false)?;
    let (hook, output) = match spawn(&spec) {
        Ok(spawned) => spawned,
        Err(error) => {
            let program = spec.argv.first().map_or("", String::as_str);
            let message = format!("cannot start {program:?} in {}: {error}", spec.working_dir.display());
            return end.write(End::NotStarted { killed: false, message });
        }
    };
    let log = follow_output(folder, output, &spec);
    let state = Arc::new(Hook {
        pid: hook,
        over: Mutex::new(false),
        changed: Condvar::new(),
        told: Mutex::new(None),
    });
    listen(control, folder.to_owned(), Arc::clone(&state));
    let seen = wait(&state, spec.container.is_none())?;
    let how = match &spec.container {
        Some(container) => {
            let program = if let End::Code(code) = seen { Some(code) } else { None };
            let told = *state.told.lock().unwrap_or_else(PoisonError::into_inner);
            container.settle(program, &mut Wish::new(folder.to_owned(), told))
        }
        None => seen,
    };
    // Everybody who could write is gone, so this returns at once.
    let _ = log.recv_timeout(LOG_PATIENCE);
    end.write(how)
}

/// Room on the disk for the file that says how the hook ended: it must be possible to write it when the disk is full by then.
struct Reserved {
    folder: PathBuf,
    file: File,
}

impl Reserved {
    /// More than any end takes.
    const ROOM: usize = 16 * 1024;
    const NAME: &str = ".exit.reserved";

    fn take(folder: &Path) -> io::Result<Self> {
        let file = File::create(folder.join(Self::NAME))?;
        file.write_all_at(&[b' '; Self::ROOM], 0)?;
        file.sync_data()?;
        Ok(Self { folder: folder.to_owned(), file })
    }

    /// Blanks behind the end are nothing to who reads it. As long as it cannot be written the shim lives and holds its lock: the
    /// hook's end is not lost, it is told later.
    fn write(self, end: End) -> io::Result<()> {
        let bytes = serde_json::to_vec(&ExitFile { ended_at: Timestamp::now(), end })?;
        if bytes.len() > Self::ROOM {
            return Err(io::Error::other("an end is larger than what was reserved for it"));
        }
        let put = || {
            self.file.write_all_at(&bytes, 0)?;
            self.file.sync_data()?;
            std::fs::rename(self.folder.join(Self::NAME), self.folder.join(files::EXIT))
        };
        while let Err(error) = put() {
            // Its folder is gone: nobody wants to know.
            if error.kind() == io::ErrorKind::NotFound {
                return Err(error);
            }
            std::thread::sleep(AGAIN);
        }
        Ok(())
    }
}

fn finish(folder: &Path, end: End) -> io::Result<()> {
    files::write(folder, files::EXIT, &ExitFile { ended_at: Timestamp::now(), end }, true)
}

fn read_spec() -> io::Result<ShimSpec> {
    let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    serde_json::from_slice(&bytes)
        .map_err(|e| io::Error::other(format!("the shim is started by the agent only: {e}")))
}

/// The hook is the leader of a process group of its own, in the shim's session.
fn spawn(spec: &ShimSpec) -> io::Result<(Pid, PipeReader)> {
    let (reader, writer) = io::pipe()?;
    let (program, args) = spec.argv.split_first().ok_or_else(|| io::Error::other("the command is empty"))?;
    let child = Command::new(program)
        .args(args)
        .env_clear()
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&spec.working_dir)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    Ok((pid.ok_or_else(|| io::Error::other("the kernel gave a strange pid"))?, reader))
}

struct Hook {
    pid: Pid,
    /// Set, under this lock, before the pid is given back to the kernel: nobody signals a stranger.
    over: Mutex<bool>,
    changed: Condvar,
    /// Since when it is being ended.
    told: Mutex<Option<Instant>>,
}

/// Copies the output to the log, masked and bounded; the receiver hears when it has ended.
fn follow_output(folder: &Path, mut output: PipeReader, spec: &ShimSpec) -> mpsc::Receiver<()> {
    let mut log = BoundedLog::new(folder.join(files::LOG), spec.log_limit);
    let mut masker = Masker::new(&spec.mask);
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match output.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    // A full disk costs the log, never the hook: it must be able to go on writing.
                    let _ = log.write(&masker.push(buffer.get(..count).unwrap_or_default()));
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let _ = log.write(&masker.finish());
        let _ = log.finish();
        let _ = done.send(());
    });
    ended
}

/// Waits for kills.
fn listen(mut control: File, folder: PathBuf, hook: Arc<Hook>) {
    std::thread::spawn(move || {
        let mut byte = [0; 1];
        while matches!(control.read(&mut byte), Ok(1..)) {
            if let Ok(Some(kill)) = files::read::<KillFile>(&folder, files::KILL) {
                end(&hook, Duration::from_secs(kill.grace_seconds));
                return;
            }
        }
    });
}

/// SIGTERM to the group; after the grace SIGKILL to everything that came of the hook.
fn end(hook: &Hook, grace: Duration) {
    *hook.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    let over = hook.over.lock().unwrap_or_else(PoisonError::into_inner);
    if *over {
        return;
    }
    let _ = kill_process_group(hook.pid, Signal::TERM);
    let waited = hook.changed.wait_timeout_while(over, grace, |over| !*over);
    let (over, _) = waited.unwrap_or_else(PoisonError::into_inner);
    if !*over {
        let _ = kill_process_group(hook.pid, Signal::KILL);
        kill_descendants();
    }
}

fn has_children() -> bool {
    let looked = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG);
    !matches!(looked, Err(rustix::io::Errno::CHILD))
}

fn kill_descendants() {
    for process in processes::descendants(getpid().as_raw_nonzero().get()) {
        processes::signal(&process, Signal::KILL);
    }
}

/// Waits until the hook and everything it left behind is gone. As in a container, the end of the first process ends
/// the others, if they are its own (`alone`).
fn wait(hook: &Hook, alone: bool) -> io::Result<End> {
    let mut end = None;
    loop {
        // Looked at first, reaped under the lock.
        match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(rustix::io::Errno::CHILD) => break,
            Err(e) => return Err(e.into()),
        }
        let mut over = hook.over.lock().unwrap_or_else(PoisonError::into_inner);
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == hook.pid {
                *over = true;
                hook.changed.notify_all();
                end = Some(match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => End::Code(code),
                    (None, Some(signal)) => End::Signal(signal),
                    (None, None) => End::Lost,
                });
            }
        }
        drop(over);
        // What the hook left behind is the shim's child by now; without any there is nothing to look for in `/proc`.
        if end.is_some() && alone && has_children() {
            kill_descendants();
        }
    }
    end.ok_or_else(|| io::Error::other("the hook's end was not seen"))
}
