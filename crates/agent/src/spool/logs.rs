//! Log text on its way to the manager: segment files of records, sent oldest first.
//!
//! Bounded: when the folder is over its limit the oldest segment goes, sent or not, and the manager shows the gap. It
//! never syncs: after a loss of power the executor gives the text again from where the spool ends.

use crate::AgentError;
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, VecDeque},
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tenantry_failpoints::Point;
use tenantry_model::AttemptId;
use tokio::sync::Notify;

/// How much log text is kept.
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    /// In all, in bytes; at least two segments.
    pub total: u64,
    /// Of one segment file, in bytes.
    pub segment: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { total: 256 * 1024 * 1024, segment: 4 * 1024 * 1024 }
    }
}

/// Stands before the bytes of a record, as one line of JSON.
#[derive(Serialize, Deserialize)]
struct Header {
    attempt: AttemptId,
    offset: u64,
    length: u32,
    last: bool,
}

/// One record of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Whose text.
    pub attempt: AttemptId,
    /// Where it begins in the attempt's log.
    pub offset: u64,
    /// Nothing follows.
    pub last: bool,
    length: u32,
    segment: u64,
    position: u64,
}

struct State {
    unsent: VecDeque<Piece>,
    /// Where each attempt's spooled text ends.
    ends: HashMap<AttemptId, u64>,
    segments: VecDeque<(u64, u64)>,
    writer: Option<File>,
    /// That there is no room was said.
    said: bool,
}

/// The log queue.
pub struct LogSpool {
    folder: PathBuf,
    limits: LogLimits,
    state: Mutex<State>,
    /// Woken by new text.
    pub text: Notify,
}

impl LogSpool {
    /// Opens `logs/` in `folder`.
    pub fn open(folder: &Path, limits: LogLimits) -> Result<Self, AgentError> {
        let folder = folder.join("logs");
        std::fs::create_dir_all(&folder).map_err(AgentError::folder("create", &folder))?;
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(AgentError::folder("read", &folder))? {
            let name = entry.map_err(AgentError::folder("read", &folder))?.file_name();
            if let Some(number) = name.to_str().and_then(|n| n.strip_suffix(".log")?.parse::<u64>().ok()) {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        let (mut unsent, mut ends, mut segments) = (VecDeque::new(), HashMap::new(), VecDeque::new());
        for number in numbers {
            let path = segment_path(&folder, number);
            let length = read_segment(&path, number, |piece| {
                ends.insert(piece.attempt.clone(), piece.offset + u64::from(piece.length));
                unsent.push_back(piece);
            })
            .map_err(AgentError::folder("read", &path))?;
            segments.push_back((number, length));
        }
        let state = Mutex::new(State { unsent, ends, segments, writer: None, said: false });
        Ok(Self { folder, limits, state, text: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the attempt's spooled text ends, if the spool has heard of it since it was opened.
    #[must_use]
    pub fn end(&self, attempt: &AttemptId) -> Option<u64> {
        self.state().ends.get(attempt).copied()
    }

    /// Bytes that are not acknowledged.
    #[must_use]
    pub fn unsent_bytes(&self) -> u64 {
        self.state().unsent.iter().map(|piece| u64::from(piece.length)).sum()
    }

    /// The manager has the log up to there: nothing before is wanted.
    pub fn begin_at(&self, attempt: &AttemptId, offset: u64) {
        let mut state = self.state();
        let end = state.ends.entry(attempt.clone()).or_default();
        *end = (*end).max(offset);
    }

    /// Nothing more will come of it.
    pub fn forget(&self, attempt: &AttemptId) {
        self.state().ends.remove(attempt);
    }

    /// Appends text; what is already there is left out.
    pub fn append(&self, attempt: &AttemptId, offset: u64, bytes: &[u8], last: bool) -> std::io::Result<()> {
        let mut state = self.state();
        let end = state.ends.get(attempt).copied().unwrap_or(0);
        let known = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX).min(bytes.len());
        let (offset, bytes) = (offset + known as u64, bytes.get(known..).unwrap_or_default());
        if bytes.is_empty() && !last {
            return Ok(());
        }
        let length = u32::try_from(bytes.len()).map_err(std::io::Error::other)?;
        let header = Header { attempt: attempt.clone(), offset, length, last };
        let mut record = serde_json::to_vec(&header)?;
        record.push(b'\n');
        let header_length = record.len() as u64;
        record.extend_from_slice(bytes);
        let (segment, position) = match self.put(&mut state, &record) {
            Ok((segment, start)) => (segment, start + header_length),
            Err(error) => {
                // Heard of, so that who gave it sees that it was not taken.
                state.ends.entry(attempt.clone()).or_insert(end);
                let said = std::mem::replace(&mut state.said, true);
                if !said {
                    tracing::error!(%attempt, offset, %error, "log text cannot be spooled until there is room again");
                }
                if last {
                    // An end needs no room; else whoever reads the log would wait for ever.
                    let (attempt, length) = (attempt.clone(), 0);
                    state.unsent.push_back(Piece { attempt, offset, last, length, segment: 0, position: 0 });
                    drop(state);
                    self.text.notify_one();
                }
                return Err(error);
            }
        };
        state.said = false;
        state.ends.insert(attempt.clone(), offset + u64::from(length));
        state.unsent.push_back(Piece { attempt: attempt.clone(), offset, last, length, segment, position });
        self.cut(&mut state);
        drop(state);
        Point::LogSpooled.reached();
        self.text.notify_one();
        Ok(())
    }

    /// Writes a record whole or not at all; answers its segment and where it begins.
    fn put(&self, state: &mut State, record: &[u8]) -> std::io::Result<(u64, u64)> {
        let (segment, start) = self.writable(state)?;
        if let Some(writer) = &mut state.writer {
            // A part of it could be taken for a record of its own when the next one is shorter.
            writer.write_all_at(record, start).inspect_err(|_| drop(writer.set_len(start)))?;
        }
        if let Some(newest) = state.segments.back_mut() {
            newest.1 = start + record.len() as u64;
        }
        Ok((segment, start))
    }

    /// The segment to append to and where; begins a new one when the newest is full.
    fn writable(&self, state: &mut State) -> std::io::Result<(u64, u64)> {
        match state.segments.back() {
            Some(&(number, length)) if length < self.limits.segment && state.writer.is_some() => {
                Ok((number, length))
            }
            newest => {
                // Also after a restart: a segment that was there before is only read.
                let number = newest.map_or(1, |(number, _)| number + 1);
                let path = segment_path(&self.folder, number);
                let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
                state.writer = Some(file);
                state.segments.push_back((number, 0));
                Ok((number, 0))
            }
        }
    }

    fn cut(&self, state: &mut State) {
        while state.segments.len() > 1
            && state.segments.iter().map(|(_, length)| length).sum::<u64>() > self.limits.total
        {
            let Some((oldest, length)) = state.segments.pop_front() else { return };
            tracing::warn!(bytes = length, "the log spool is full: the oldest log text is cut");
            let _ = std::fs::remove_file(segment_path(&self.folder, oldest));
            // An end is no text: it is kept, else a reader would wait for ever.
            state.unsent.retain_mut(|piece| {
                if piece.segment == oldest && piece.last {
                    piece.offset += u64::from(piece.length);
                    piece.length = 0;
                }
                piece.segment != oldest || piece.last
            });
        }
    }

    /// The oldest unsent pieces with their bytes, up to `count` of them and `size` bytes (one at least).
    #[must_use]
    pub fn unsent(&self, count: usize, size: usize) -> Vec<(Piece, Vec<u8>)> {
        let state = self.state();
        let (mut batch, mut bytes, mut open) = (Vec::new(), 0, None::<(u64, File)>);
        for piece in state.unsent.iter().take(count) {
            bytes += piece.length as usize;
            if bytes > size && !batch.is_empty() {
                break;
            }
            let mut text = vec![0; piece.length as usize];
            if piece.length > 0 {
                if open.as_ref().is_none_or(|(number, _)| *number != piece.segment) {
                    open = File::open(segment_path(&self.folder, piece.segment))
                        .ok()
                        .map(|file| (piece.segment, file));
                }
                let read = open.as_ref().map(|(_, file)| file.read_exact_at(&mut text, piece.position));
                if !matches!(read, Some(Ok(()))) {
                    tracing::error!(attempt = %piece.attempt, offset = piece.offset, "spooled log text cannot be read");
                    text.clear();
                }
            }
            batch.push((piece.clone(), text));
        }
        batch
    }

    /// The manager has stored these. Segments of which nothing is left are removed.
    pub fn acknowledge(&self, sent: &[Piece]) {
        let mut state = self.state();
        for piece in sent {
            if state.unsent.front() == Some(piece) {
                state.unsent.pop_front();
            } else {
                state
                    .unsent
                    .retain(|p| (&p.attempt, p.offset, p.last) != (&piece.attempt, piece.offset, piece.last));
            }
        }
        let oldest_needed = state.unsent.iter().filter(|p| p.length > 0).map(|p| p.segment).min();
        while let Some(&(number, _)) = state.segments.front() {
            let is_newest = state.segments.len() == 1;
            if is_newest && state.writer.is_some() || oldest_needed.is_some_and(|needed| number >= needed) {
                break;
            }
            let _ = std::fs::remove_file(segment_path(&self.folder, number));
            state.segments.pop_front();
        }
        // Sent and stored: nothing of the newest segment is needed either, so it begins again from its start.
        if state.unsent.is_empty() && state.segments.len() == 1 {
            if let Some(writer) = &state.writer
                && writer.set_len(0).is_err()
            {
                return;
            }
            if let Some(newest) = state.segments.back_mut() {
                newest.1 = 0;
            }
        }
    }
}

fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016}.log"))
}

/// Reads the headers of a segment up to its end or to a torn record; returns how many bytes are good.
fn read_segment(path: &Path, segment: u64, mut take: impl FnMut(Piece)) -> std::io::Result<u64> {
    let size = std::fs::metadata(path)?.len();
    let mut reader = BufReader::new(File::open(path)?);
    let mut good = 0;
    loop {
        let mut line = Vec::new();
        // A header is a few hundred bytes; a longer line is no header.
        reader.by_ref().take(64 * 1024).read_until(b'\n', &mut line)?;
        let Ok(header) = serde_json::from_slice::<Header>(&line) else { return Ok(good) };
        let position = good + line.len() as u64;
        let end = position + u64::from(header.length);
        if line.last() != Some(&b'\n') || end > size {
            return Ok(good);
        }
        take(Piece {
            attempt: header.attempt,
            offset: header.offset,
            last: header.last,
            length: header.length,
            segment,
            position,
        });
        reader.seek(SeekFrom::Start(end))?;
        good = end;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;

    fn attempt() -> AttemptId {
        let operation = "0192d3a0-0000-7000-8000-000000000000".parse().unwrap();
        AttemptId { operation, step: "eu1/crm/a".parse().unwrap(), number: 1 }
    }

    fn texts(spool: &LogSpool) -> Vec<(u64, String, bool)> {
        let unsent = spool.unsent(100, 1 << 20);
        unsent.into_iter().map(|(p, t)| (p.offset, String::from_utf8(t).unwrap(), p.last)).collect()
    }

    #[test]
    fn unsent_text_survives_a_restart_and_a_torn_record() {
        let folder = tempfile::tempdir().unwrap();
        let spool = LogSpool::open(folder.path(), LogLimits::default()).unwrap();
        spool.append(&attempt(), 0, b"hello ", false).unwrap();
        spool.append(&attempt(), 0, b"hello world", false).unwrap();
        drop(spool);
        let segment = std::fs::read_dir(folder.path().join("logs")).unwrap().next().unwrap().unwrap().path();
        let length = std::fs::metadata(&segment).unwrap().len();
        OpenOptions::new().write(true).open(&segment).unwrap().set_len(length - 2).unwrap();

        let spool = LogSpool::open(folder.path(), LogLimits::default()).unwrap();
        assert_eq!(spool.end(&attempt()), Some(6), "what was torn is wanted again");
        spool.append(&attempt(), 6, b"world", false).unwrap();
        spool.append(&attempt(), 11, b"", true).unwrap();
        let expected = [(0, "hello ", false), (6, "world", false), (11, "", true)];
        assert_eq!(texts(&spool), expected.map(|(at, text, last)| (at, text.to_owned(), last)));
    }

    #[test]
    fn acknowledged_text_leaves_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let limits = LogLimits { total: 1 << 20, segment: 1024 };
        let spool = LogSpool::open(folder.path(), limits).unwrap();
        for round in 0..20 {
            spool.append(&attempt(), round * 512, &[b'x'; 512], false).unwrap();
        }
        let sent: Vec<Piece> = spool.unsent(100, 1 << 20).into_iter().map(|(piece, _)| piece).collect();
        assert_eq!(sent.len(), 20);
        spool.acknowledge(&sent);
        let left: u64 = std::fs::read_dir(folder.path().join("logs"))
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert_eq!(left, 0);
        spool.append(&attempt(), 20 * 512, b"again", false).unwrap();
        assert_eq!(texts(&spool), [(20 * 512, "again".to_owned(), false)]);
    }

    #[test]
    fn a_report_is_bounded_in_bytes_but_never_empty() {
        let folder = tempfile::tempdir().unwrap();
        let spool = LogSpool::open(folder.path(), LogLimits::default()).unwrap();
        for round in 0..4 {
            spool.append(&attempt(), round * 100, &[b'x'; 100], false).unwrap();
        }
        assert_eq!(spool.unsent(100, 250).len(), 2);
        assert_eq!(spool.unsent(100, 10).len(), 1);
        assert_eq!(spool.unsent(3, 1000).len(), 3);
    }
}
