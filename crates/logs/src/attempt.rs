//! One attempt's log as a row of segments: the head that stays, and a tail whose oldest segments are dropped.
//!
//! The first segment begins at 0 and is never dropped. Where the stream jumps from one segment to the next, bytes were
//! left out, and a reader is told how many.

use crate::{
    Limits, LogError,
    handles::Handles,
    record::{Kind, MAX_DATA},
    segment::{Piece, Segment},
    silent::Silent,
};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
};
use tenantry_model::AttemptId;

const SUFFIX: &str = ".seg";
/// What the way out of [`LogError::Damaged`] makes of a segment.
const MOVED: &str = ".seg.damaged";

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// How many bytes were new.
    pub stored: u64,
    /// How many bytes before them were never sent; noted in the log.
    pub lost: u64,
    /// The offset that is expected next.
    pub end: u64,
}

/// How far a log goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The offset that is expected next; 0 for an attempt without a log.
    pub end: u64,
    /// Nothing more will come.
    pub finished: bool,
}

/// Why a part of a log is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The log was too long: so many bytes between its head and its tail were not kept.
    LeftOut(u64),
    /// The agent could not send so many bytes (its spool was full, its disk was lost).
    Lost(u64),
    /// It was in a file that was damaged and has been moved away.
    Damaged,
}

/// A piece of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where it begins.
    pub offset: u64,
    /// The text to show: the log's bytes, or a line about what is missing.
    pub bytes: Bytes,
    /// Where to read on. After the log's own bytes it is `offset` and their number; after a missing part it is where
    /// the log goes on.
    pub next: u64,
    /// The log is finished and `next` is its end.
    pub end: bool,
    /// Set if `bytes` is a line about what is missing and not of the log itself.
    pub missing: Option<Missing>,
}

/// The segments of one attempt.
#[derive(Debug)]
pub struct AttemptLog {
    folder: PathBuf,
    number: u32,
    segments: VecDeque<Segment>,
    silent: Silent,
    /// It ended without a line.
    ended_silent: bool,
    /// Where segments began that were damaged and have been moved away.
    moved: Vec<u64>,
}

impl AttemptLog {
    /// Looks through the attempt's files; there may be none yet.
    pub fn load(root: &Path, attempt: &AttemptId) -> Result<Self, LogError> {
        let (folder, number) = (folder(root, attempt), attempt.number);
        let moved = starts(&folder, number, MOVED)?;
        let starts = starts(&folder, number, SUFFIX)?;
        let newest = starts.last().copied();
        let silent = Silent::of(root, attempt);
        let mut log = Self { folder, number, segments: VecDeque::new(), silent, ended_silent: false, moved };
        for start in starts {
            let segment = Segment::load(log.path(start), start, Some(start) == newest)?;
            log.segments.push_back(segment);
        }
        // A full disk may have taken a file and none of its bytes.
        log.ended_silent = log.extent().end == 0 && log.silent.is_noted()?;
        Ok(log)
    }

    /// Whether the files are as this knows them: another process may have appended.
    pub fn is_current(&self) -> Result<bool, LogError> {
        let known = self.segments.iter().map(|segment| segment.start);
        if !starts(&self.folder, self.number, SUFFIX)?.into_iter().eq(known) {
            return Ok(false);
        }
        if self.segments.back().is_some_and(|newest| newest.end > 0) {
            return self.segments.back().map_or(Ok(true), Segment::is_current);
        }
        let same = self.segments.back().map_or(Ok(true), Segment::is_current)?;
        Ok(same && self.ended_silent == self.silent.is_noted()?)
    }

    fn path(&self, start: u64) -> PathBuf {
        self.folder.join(format!("{}.{start:020}{SUFFIX}", self.number))
    }

    /// How far it goes.
    pub fn extent(&self) -> Extent {
        let finished = self.ended_silent || self.segments.iter().any(|segment| segment.finished);
        Extent { end: self.segments.back().map_or(0, |segment| segment.end), finished }
    }

    /// Takes in the part of `bytes` that is new.
    pub fn append(
        &mut self,
        handles: &Handles,
        limits: Limits,
        offset: u64,
        bytes: &[u8],
    ) -> Result<Appended, LogError> {
        let end = self.extent().end;
        let known = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut fresh = bytes.get(known..).unwrap_or_default();
        if fresh.is_empty() {
            return Ok(Appended { stored: 0, lost: 0, end });
        }
        let (stored, lost) = (fresh.len() as u64, offset.saturating_sub(end));
        let mut at = offset.max(end);
        if lost > 0 {
            let resumed = at.to_le_bytes();
            self.writable(handles, limits, end)?.append(handles, &[(Kind::Lost, end, &resumed)])?;
        }
        while !fresh.is_empty() {
            let segment = self.writable(handles, limits, at)?;
            let room = limits.of_segment(segment.start).saturating_sub(segment.kept);
            let (now, rest) = fresh.split_at(fresh.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            let mut records = Vec::new();
            for data in now.chunks(MAX_DATA) {
                records.push((Kind::Data, at, data));
                at += data.len() as u64;
            }
            segment.append(handles, &records)?;
            self.drop_oldest(handles, limits)?;
            fresh = rest;
        }
        Ok(Appended { stored, lost, end: at })
    }

    /// Notes that nothing more will come; answers the file that then has to be put on the disk, if any.
    pub fn finish(&mut self, handles: &Handles, limits: Limits) -> Result<Option<PathBuf>, LogError> {
        let Extent { end, finished } = self.extent();
        if finished {
            return Ok(None);
        }
        if end == 0 {
            let file = self.silent.note(handles)?;
            self.ended_silent = true;
            return Ok(Some(file));
        }
        let segment = self.writable(handles, limits, end)?;
        segment.append(handles, &[(Kind::Finished, end, &[])])?;
        Ok(Some(segment.path().to_owned()))
    }

    /// The newest segment, or after it a new one if it is full.
    fn writable(&mut self, handles: &Handles, limits: Limits, at: u64) -> Result<&mut Segment, LogError> {
        if self.segments.is_empty() {
            fs::create_dir_all(&self.folder).map_err(LogError::io("make", &self.folder))?;
        }
        let full = self.segments.back().is_none_or(|newest| newest.kept >= limits.of_segment(newest.start));
        if full {
            if let Some(newest) = self.segments.back() {
                // A later segment must never be on the disk while this one is not: a hole would look like damage.
                newest.sync(handles)?;
                handles.close(newest.path());
            }
            let path = self.path(at);
            self.segments.push_back(Segment::new(path, at));
        }
        let last = self.segments.len() - 1;
        Ok(&mut self.segments[last])
    }

    /// Drops the tail's oldest segments until it is within its limit; the newest one stays.
    fn drop_oldest(&mut self, handles: &Handles, limits: Limits) -> Result<(), LogError> {
        loop {
            let tail: u64 = self.segments.iter().skip(1).map(|segment| segment.kept).sum();
            if self.segments.len() < 3 || tail <= limits.tail {
                return Ok(());
            }
            let path = self.segments[1].path().to_owned();
            handles.close(&path);
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(LogError::io("remove", path)(error)),
            }
            self.segments.remove(1);
        }
    }

    /// Up to `most` bytes from `from` on, or a line about what is missing there.
    pub fn read(&self, from: u64, most: usize) -> Result<Chunk, LogError> {
        let extent = self.extent();
        let chunk = |bytes: Vec<u8>, next: u64, missing| Chunk {
            offset: from,
            bytes: bytes.into(),
            next,
            end: extent.finished && next >= extent.end,
            missing,
        };
        // The first segment that goes beyond `from`.
        let Some(segment) = self.segments.iter().find(|segment| segment.end > from) else {
            if self.moved.iter().any(|start| *start >= from.max(extent.end)) {
                // How far it went is not known, nor whether it was the end; more than this cannot be read.
                let line = "\n… the rest of this log was in a damaged file, which was moved away …\n";
                let missing = Some(Missing::Damaged);
                return Ok(Chunk { end: true, ..chunk(line.as_bytes().to_vec(), from + 1, missing) });
            }
            return Ok(chunk(Vec::new(), from, None));
        };
        if segment.start > from && self.moved.iter().any(|start| (from..segment.start).contains(start)) {
            let count = segment.start - from;
            let line = format!("\n… {count} bytes were in a damaged file, which was moved away …\n");
            return Ok(chunk(line.into_bytes(), segment.start, Some(Missing::Damaged)));
        }
        if segment.start > from {
            let count = segment.start - from;
            let line = format!("\n… {count} bytes left out: the log was longer than is kept …\n");
            return Ok(chunk(line.into_bytes(), segment.start, Some(Missing::LeftOut(count))));
        }
        Ok(match segment.read(from, most.max(1))? {
            Piece::Data(bytes) => {
                let next = from + bytes.len() as u64;
                chunk(bytes, next, None)
            }
            Piece::LostUntil(next) => {
                let count = next - from;
                let line = format!("\n… {count} bytes lost: the agent could not send them …\n");
                chunk(line.into_bytes(), next, Some(Missing::Lost(count)))
            }
        })
    }
}

/// Where the segments in a folder begin, in order.
fn starts(folder: &Path, number: u32, suffix: &str) -> Result<Vec<u64>, LogError> {
    let mut starts: Vec<u64> = match fs::read_dir(folder) {
        Ok(entries) => entries
            .filter_map(|entry| {
                entry.map(|entry| start_of(&entry.file_name().to_string_lossy(), number, suffix)).transpose()
            })
            .collect::<io::Result<_>>()
            .map_err(LogError::io("list", folder))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(LogError::io("list", folder)(error)),
    };
    starts.sort_unstable();
    Ok(starts)
}

/// The offset in the name of a segment of attempt `number`; other files are nobody's business here.
fn start_of(name: &str, number: u32, suffix: &str) -> Option<u64> {
    let (attempt, start) = name.strip_suffix(suffix)?.split_once('.')?;
    (attempt.parse() == Ok(number)).then(|| start.parse().ok()).flatten()
}

/// The folder of a step's logs: one folder for each operation, so that it can be removed as a whole. Names of
/// regions, namespaces and hooks are DNS names: no '/', no leading '.', at most 253 bytes.
fn folder(root: &Path, attempt: &AttemptId) -> PathBuf {
    let step = &attempt.step;
    root.join(attempt.operation.to_string())
        .join(step.region.as_str())
        .join(step.namespace.as_str())
        .join(step.name.as_str())
}
