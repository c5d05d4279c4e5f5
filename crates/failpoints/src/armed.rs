//! What a passage does in a test build: it is counted in the folder that [`VARIABLE`] names, and ends the process if
//! the folder's file `crash` names it.
//!
//! Everything is in files, so that counting goes on in the process that takes over. A folder that is not there (yet)
//! switches all of it off: a test makes it when what it prepares is done.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Names the folder. `passages` in it gets a line at each passage, its failpoint's name. `crash` may hold lines `NAME
/// NUMBER`: the process ends at that passage of that name, and says so in `crashed`, which has the same lines.
pub const VARIABLE: &str = "TENANTRY_FAILPOINTS";

/// Counting and ending are one step: of two threads that pass at once only one has the number.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub(crate) fn reached(name: &str) {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(folder) = FOLDER.get_or_init(|| std::env::var_os(VARIABLE).map(PathBuf::from)) else { return };
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // Not there: nothing is counted, and nobody asked for an end.
    if append(&folder.join("passages"), name).is_err() {
        return;
    }
    let lines = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    let number = lines("passages").lines().filter(|line| *line == name).count();
    let passage = format!("{name} {number}");
    if lines("crash").lines().any(|line| line == passage) && append(&folder.join("crashed"), &passage).is_ok()
    {
        // Nothing unwinds, nothing is flushed, no destructor runs.
        std::process::abort();
    }
}

/// One write to the end of the file: lines of several processes do not mix.
fn append(file: &Path, line: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(file)?;
    file.write_all(format!("{line}\n").as_bytes())
}
