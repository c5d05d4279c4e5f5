//! A bounded number of files that are open for appending: thousands of attempts may write, each now and then, and a
//! process may have only so many files open.

use crate::LogError;
use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Open files, the least recently used of which is closed when there are too many.
#[derive(Debug)]
pub struct Handles {
    most: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    clock: u64,
    files: HashMap<PathBuf, (u64, Arc<File>)>,
}

impl Handles {
    /// At most `most` files stay open.
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), open: Mutex::default() }
    }

    /// The file, opened for appending (and made, for its owner only, if it is not there).
    pub fn append(&self, path: &Path) -> Result<Arc<File>, LogError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.clock += 1;
        let now = open.clock;
        if let Some((used, file)) = open.files.get_mut(path) {
            *used = now;
            return Ok(Arc::clone(file));
        }
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        let file = Arc::new(file.map_err(LogError::io("open", path))?);
        if open.files.len() >= self.most
            && let Some(oldest) =
                open.files.iter().min_by_key(|(_, (used, _))| *used).map(|(path, _)| path.clone())
        {
            open.files.remove(&oldest);
        }
        open.files.insert(path.to_owned(), (now, Arc::clone(&file)));
        Ok(file)
    }

    /// Forgets every file under `path`: it is full, or about to be removed.
    pub fn close(&self, path: &Path) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.files.retain(|file, _| !file.starts_with(path));
    }
}
