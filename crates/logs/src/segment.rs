//! One segment file: looked through when it is first needed, appended to, read from. It knows records and bytes, and
//! nothing of the attempt's other segments.

use crate::{
    LogError,
    handles::Handles,
    record::{self, HEADER, Header, Kind},
};
use std::{
    fs::{File, OpenOptions},
    io::{BufReader, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

/// A place is noted about every so many bytes of a file, so that a read need not begin at the file's start.
const NOTE_EVERY: u64 = 64 * 1024;

/// A segment: the stream from `start` to `end`, without what was lost in between.
#[derive(Debug)]
pub struct Segment {
    path: PathBuf,
    /// First offset in the stream.
    pub start: u64,
    /// Offset after the last byte.
    pub end: u64,
    /// Bytes of the stream that are in it.
    pub kept: u64,
    /// The stream is said to end here.
    pub finished: bool,
    /// Length of the file up to its last whole record.
    file_length: u64,
    /// Offsets in the stream and where in the file the record that begins there is.
    places: Vec<(u64, u64)>,
}

/// A piece of a segment.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// The stream's bytes.
    Data(Vec<u8>),
    /// Never sent; the stream goes on at this offset.
    LostUntil(u64),
}

impl Segment {
    /// A segment without a file yet: the first append makes it.
    pub fn new(path: PathBuf, start: u64) -> Self {
        Self { path, start, end: start, kept: 0, finished: false, file_length: 0, places: Vec::new() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks through a file. In the newest segment a torn end (the process or the machine died while it was written)
    /// is cut off; what a killed process had not written was never acknowledged. Everything else that is not as
    /// written is damage.
    pub fn load(path: PathBuf, start: u64, newest: bool) -> Result<Self, LogError> {
        let file = File::open(&path).map_err(LogError::io("open", &path))?;
        let length = file.metadata().map_err(LogError::io("look at", &path))?.len();
        let mut segment = Self::new(path, start);
        let mut reader = BufReader::with_capacity(128 * 1024, file);
        let mut data = Vec::new();
        while segment.file_length < length {
            let Some(header) = segment.next_record(&mut reader, &mut data)? else {
                break;
            };
            segment.note(&header, &data);
        }
        if segment.file_length < length {
            let rest = length - segment.file_length;
            if !newest || segment.whole_record_follows(length)? {
                return Err(segment.damaged(segment.file_length));
            }
            tracing::warn!(file = %segment.path.display(), bytes = rest, "cut off a record that was not written to its end");
            segment.cut_file()?;
        }
        Ok(segment)
    }

    /// Whether the file has the length that this knows.
    pub fn is_current(&self) -> Result<bool, LogError> {
        match std::fs::metadata(&self.path) {
            Ok(file) => Ok(file.len() == self.file_length),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(LogError::io("look at", &self.path)(error)),
        }
    }

    /// The record at `file_length`; `None` if there is no whole one.
    fn next_record(
        &self,
        reader: &mut BufReader<File>,
        data: &mut Vec<u8>,
    ) -> Result<Option<Header>, LogError> {
        let mut head = [0; HEADER];
        if !self.fill(reader, &mut head)? {
            return Ok(None);
        }
        let Some(header) = record::header(&head) else {
            return Ok(None);
        };
        data.resize(header.length, 0);
        if !self.fill(reader, data)? || !header.fits(data) || header.offset != self.end {
            return Ok(None);
        }
        Ok(Some(header))
    }

    fn fill(&self, reader: &mut impl std::io::Read, buffer: &mut [u8]) -> Result<bool, LogError> {
        match reader.read_exact(buffer) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(LogError::io("read", &self.path)(error)),
        }
    }

    /// Whether the unreadable record is followed by readable ones: then it is not the last one, and not torn.
    fn whole_record_follows(&self, length: u64) -> Result<bool, LogError> {
        let mut file = File::open(&self.path).map_err(LogError::io("open", &self.path))?;
        file.seek(SeekFrom::Start(self.file_length)).map_err(LogError::io("read", &self.path))?;
        let mut rest = Vec::new();
        file.take(length - self.file_length)
            .read_to_end(&mut rest)
            .map_err(LogError::io("read", &self.path))?;
        Ok((1..rest.len().saturating_sub(HEADER - 1)).any(|at| {
            let head = rest[at..at + HEADER].try_into().ok().and_then(record::header);
            head.is_some_and(|head| {
                rest.get(at + HEADER..at + HEADER + head.length).is_some_and(|data| head.fits(data))
            })
        }))
    }

    fn note(&mut self, header: &Header, data: &[u8]) {
        let at = self.file_length;
        if self.places.last().is_none_or(|(_, noted)| at - noted >= NOTE_EVERY) {
            self.places.push((header.offset, at));
        }
        match header.kind {
            Kind::Data => self.kept += header.length as u64,
            Kind::Lost => {}
            Kind::Finished => self.finished = true,
        }
        self.end = header.end(data);
        self.file_length = at + (HEADER + header.length) as u64;
    }

    /// Appends records as one write; on an error the file is as it was before.
    pub fn append(&mut self, handles: &Handles, records: &[(Kind, u64, &[u8])]) -> Result<(), LogError> {
        let mut bytes = Vec::with_capacity(records.iter().map(|(_, _, data)| HEADER + data.len()).sum());
        for (kind, offset, data) in records {
            record::write(&mut bytes, *kind, *offset, data);
        }
        let file = handles.append(&self.path)?;
        if let Err(error) = (&*file).write_all(&bytes) {
            // A full disk may have taken a part: what stands after the last whole record must not stay there.
            self.cut_file()?;
            return Err(LogError::io("append to", &self.path)(error));
        }
        let mut rest = bytes.as_slice();
        while let Some((head, tail)) = rest.split_first_chunk::<HEADER>()
            && let Some(header) = record::header(head)
        {
            let (data, next) = tail.split_at(header.length);
            self.note(&header, data);
            rest = next;
        }
        Ok(())
    }

    /// Puts it on the disk: when it is full and when the log ends.
    pub fn sync(&self, handles: &Handles) -> Result<(), LogError> {
        handles.append(&self.path)?.sync_data().map_err(LogError::io("write to disk", &self.path))
    }

    fn cut_file(&self) -> Result<(), LogError> {
        let cut = |path: &Path| OpenOptions::new().write(true).open(path)?.set_len(self.file_length);
        cut(&self.path).map_err(LogError::io("cut", &self.path))
    }

    /// Up to `most` bytes from `from`, which lies in this segment.
    pub fn read(&self, from: u64, most: usize) -> Result<Piece, LogError> {
        let place = self.places.partition_point(|(offset, _)| *offset <= from).saturating_sub(1);
        let mut at = self.places.get(place).map_or(0, |(_, at)| *at);
        let mut file = File::open(&self.path).map_err(LogError::io("open", &self.path))?;
        file.seek(SeekFrom::Start(at)).map_err(LogError::io("read", &self.path))?;
        let mut reader = BufReader::new(file);
        let (mut found, mut head, mut data) = (Vec::new(), [0; HEADER], Vec::new());
        while at < self.file_length && found.len() < most {
            if !self.fill(&mut reader, &mut head)? {
                return Err(self.damaged(at));
            }
            let header = record::header(&head).ok_or_else(|| self.damaged(at))?;
            data.resize(header.length, 0);
            if !self.fill(&mut reader, &mut data)? || !header.fits(&data) {
                return Err(self.damaged(at));
            }
            at += (HEADER + header.length) as u64;
            let end = header.end(&data);
            if end <= from {
                continue;
            }
            match header.kind {
                Kind::Data => {
                    // Both fit a record's length.
                    let skip = usize::try_from(from.saturating_sub(header.offset)).unwrap_or(usize::MAX);
                    let fresh = data.get(skip..).unwrap_or_default();
                    found.extend_from_slice(&fresh[..fresh.len().min(most - found.len())]);
                }
                Kind::Lost if found.is_empty() => return Ok(Piece::LostUntil(end)),
                Kind::Lost => break,
                Kind::Finished => {}
            }
        }
        Ok(Piece::Data(found))
    }

    fn damaged(&self, position: u64) -> LogError {
        LogError::Damaged { path: self.path.clone(), position }
    }
}
