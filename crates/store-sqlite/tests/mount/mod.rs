//! File systems of a test's own: a disk that is full, a folder that is read-only. Tests of several crates use this file.
#![allow(dead_code, clippy::missing_errors_doc, clippy::must_use_candidate)] // each uses a part

use std::{error::Error, fs::File, io::Write as _, path::Path, process::Command};
use tempfile::TempDir;

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// Runs a program of the system.
pub fn run(program: &str, arguments: &[&str]) -> Outcome<()> {
    let done = Command::new(program).args(arguments).output()?;
    if done.status.success() {
        Ok(())
    } else {
        Err(format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr)).into())
    }
}

/// The file that [`Mount::fill`] makes.
const FILLER: &str = "filler";

/// Something mounted on a folder, until it is dropped.
pub struct Mount(TempDir);

impl Mount {
    pub fn new(arguments: &[&str]) -> Outcome<Self> {
        let folder = TempDir::new()?;
        let at = folder.path().to_str().ok_or("not UTF-8")?.to_owned();
        run("mount", &[arguments, &[&at]].concat())?;
        Ok(Self(folder))
    }

    /// A small disk of its own.
    pub fn disk(size: &str) -> Outcome<Self> {
        Self::new(&["-t", "tmpfs", "-o", &format!("size={size}"), "tenantry-test"])
    }

    /// Takes all the room that is left, until [`Mount::free`].
    pub fn fill(&self) -> Outcome<()> {
        let mut filler = File::options().append(true).create(true).open(self.path().join(FILLER))?;
        while filler.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
        Ok(())
    }

    /// Gives it back.
    pub fn free(&self) -> Outcome<()> {
        Ok(std::fs::remove_file(self.path().join(FILLER))?)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).output();
    }
}

/// Whether this user may mount; else such tests count as ignored.
pub fn may_mount() -> bool {
    Mount::new(&["-t", "tmpfs", "-o", "size=64k", "tenantry-test"]).is_ok()
}
