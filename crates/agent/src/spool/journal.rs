//! One append-only file of JSON lines, rewritten when most of it is history.
//!
//! A crash leaves at most one torn line at the end, which is cut off when the file is read. Appends reach the page
//! cache at once (they survive a kill -9 of the agent) and the disk with [`Journal::file`]'s sync. What the disk has no room
//! for waits in memory, in order, and no part of it stays in the file.

use crate::AgentError;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

pub(super) struct Journal {
    path: PathBuf,
    file: Arc<File>,
    lines: usize,
    /// Up to the end of the last whole line.
    length: u64,
    /// Lines that could not be written yet.
    waiting: VecDeque<Vec<u8>>,
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
        let waiting = VecDeque::new();
        Ok(Self { path: path.to_owned(), file: Arc::new(file), lines, length: good, waiting })
    }

    pub fn append<E: Serialize>(&mut self, entry: &E) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.waiting.push_back(line);
        self.flush()
    }

    /// Writes what waits.
    pub fn flush(&mut self) -> std::io::Result<()> {
        while let Some(line) = self.waiting.front() {
            if let Err(error) = (&*self.file).write_all(line) {
                // A part may have been taken, and the next line would go on in the middle of it.
                self.file.set_len(self.length)?;
                return Err(error);
            }
            self.length += line.len() as u64;
            self.lines += 1;
            self.waiting.pop_front();
        }
        Ok(())
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
        // What is left of it would take the room that is missing.
        let written = write(&temporary, entries).inspect_err(|_| drop(std::fs::remove_file(&temporary)));
        let (lines, length) = written?;
        std::fs::rename(&temporary, &self.path)?;
        sync_folder(&self.path)?;
        self.file = Arc::new(OpenOptions::new().append(true).open(&self.path)?);
        (self.lines, self.length) = (lines, length);
        // All of it is in memory, and so in the new file.
        self.waiting.clear();
        Ok(())
    }
}

/// Writes a file of entries to the disk; how many lines and bytes it has.
fn write<E: Serialize>(path: &Path, entries: impl Iterator<Item = E>) -> std::io::Result<(usize, u64)> {
    let mut writer = BufWriter::new(File::create(path)?);
    let mut lines = 0;
    for entry in entries {
        serde_json::to_writer(&mut writer, &entry)?;
        writer.write_all(b"\n")?;
        lines += 1;
    }
    let file = writer.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.sync_data()?;
    Ok((lines, file.metadata()?.len()))
}

/// Makes a rename in the file's folder durable.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
