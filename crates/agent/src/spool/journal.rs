//! One append-only file of JSON lines, rewritten when most of it is history.
//!
//! A crash leaves at most one torn line at the end, which is cut off when the file is read. Appends reach the page
//! cache at once (they survive a kill -9 of the agent) and the disk with [`Journal::file`]'s sync.

use crate::AgentError;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

pub(super) struct Journal {
    path: PathBuf,
    file: Arc<File>,
    lines: usize,
}

impl Journal {
    /// Opens or makes the file and gives every entry to `take`, oldest first.
    pub fn open<E: DeserializeOwned>(path: &Path, mut take: impl FnMut(E)) -> Result<Self, AgentError> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(AgentError::folder("open", path))?;
        let mut reader = BufReader::new(&file);
        let (mut good, mut lines, mut line) = (0_u64, 0_usize, Vec::new());
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(AgentError::folder("read", path))?;
            if read == 0 {
                break;
            }
            if line.last() != Some(&b'\n') {
                // Torn by a crash: it was never synced, so nobody was told that it is there.
                file.set_len(good).map_err(AgentError::folder("write", path))?;
                break;
            }
            lines += 1;
            good += read as u64;
            take(serde_json::from_slice(&line).map_err(|e| AgentError::Damaged {
                path: path.to_owned(),
                line: lines,
                message: e.to_string(),
            })?);
        }
        Ok(Self { path: path.to_owned(), file: Arc::new(file), lines })
    }

    pub fn append<E: Serialize>(&mut self, entry: &E) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.lines += 1;
        (&*self.file).write_all(&line)
    }

    /// How many entries the file has.
    pub fn lines(&self) -> usize {
        self.lines
    }

    pub fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Replaces the file by `entries`, synced. A crash in the middle leaves the old file in force.
    pub fn rewrite<'e, E: Serialize + 'e>(
        &mut self,
        entries: impl Iterator<Item = E> + 'e,
    ) -> std::io::Result<()> {
        let temporary = self.path.with_extension("new");
        let mut writer = BufWriter::new(File::create(&temporary)?);
        let mut lines = 0;
        for entry in entries {
            serde_json::to_writer(&mut writer, &entry)?;
            writer.write_all(b"\n")?;
            lines += 1;
        }
        writer.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_data()?;
        std::fs::rename(&temporary, &self.path)?;
        sync_folder(&self.path)?;
        self.file = Arc::new(OpenOptions::new().append(true).open(&self.path)?);
        self.lines = lines;
        Ok(())
    }
}

/// Makes a rename in the file's folder durable.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
