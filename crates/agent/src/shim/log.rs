//! The log file: head and tail within a bound, the middle left out and said so.
//!
//! A runaway hook must not fill the disk, and must not wait for anybody either: what has no room is read and dropped, also
//! when others have filled the disk. The log says how much is missing, and goes on when there is room again.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::PathBuf,
};

/// The end of a log that is too long is kept in memory up to this size.
const TAIL: u64 = 1024 * 1024;

pub(super) struct BoundedLog {
    path: PathBuf,
    /// Made with the first byte: most hooks of a large operation say nothing.
    file: Option<File>,
    limit: u64,
    room: u64,
    tail: VecDeque<u8>,
    tail_room: usize,
    dropped: u64,
    /// What the disk had no room for and the log does not say yet.
    lost: u64,
}

impl BoundedLog {
    pub fn new(path: PathBuf, limit: u64) -> Self {
        let tail = TAIL.min(limit / 4);
        let tail_room = usize::try_from(tail).unwrap_or(0);
        Self {
            path,
            file: None,
            limit,
            room: limit - tail,
            tail: VecDeque::new(),
            tail_room,
            dropped: 0,
            lost: 0,
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let direct = usize::try_from(self.room).unwrap_or(usize::MAX).min(bytes.len());
        let (direct, rest) = bytes.split_at(direct);
        self.room -= direct.len() as u64;
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(self.tail_room);
        self.tail.drain(..over);
        self.dropped += over as u64;
        self.put(direct)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let noted = match self.lost {
            0 => Ok(()),
            lost => self.put_whole(
                format!("\n[tenantry: {lost} bytes are lost here, because there was no room on the disk]\n")
                    .as_bytes(),
            ),
        };
        let done = noted.and_then(|()| {
            self.lost = 0;
            self.put_whole(bytes)
        });
        if done.is_err() {
            self.lost += bytes.len() as u64;
        }
        done
    }

    /// All of it or nothing: a full disk may take a part, of which nobody could say how long it is.
    fn put_whole(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(OpenOptions::new().append(true).create(true).open(&self.path)?),
        };
        let before = file.metadata()?.len();
        file.write_all(bytes).inspect_err(|_| drop(file.set_len(before)))
    }

    pub fn finish(mut self) -> io::Result<()> {
        if self.dropped > 0 {
            let (dropped, limit) = (self.dropped, self.limit);
            let note = format!(
                "\n[tenantry: {dropped} bytes are left out here, because the log is longer than {limit} bytes]\n"
            );
            self.put(note.as_bytes())?;
        }
        let tail = std::mem::take(&mut self.tail);
        let (front, back) = tail.as_slices();
        self.put(front)?;
        self.put(back)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;

    fn written(limit: u64, pieces: &[&[u8]]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = BoundedLog::new(path.clone(), limit);
        for piece in pieces {
            log.write(piece).unwrap();
        }
        log.finish().unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_log_within_the_bound_is_kept_as_it_is() {
        assert_eq!(written(16, &[b"0123456789", b"abcdef"]), "0123456789abcdef");
    }

    #[test]
    fn a_log_over_the_bound_keeps_head_and_tail_and_says_what_is_missing() {
        let text = written(16, &[b"0123456789", b"abcdefghijklmnop", b"xyz"]);
        assert!(text.starts_with("0123456789ab\n[tenantry: 13 bytes"), "{text}");
        assert!(text.ends_with("]\npxyz"), "{text}");
    }
}
