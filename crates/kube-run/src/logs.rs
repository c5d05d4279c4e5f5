//! Reads a container's log without loss or doubling, over broken streams.
//!
//! The kubelet stamps every line; a stream that breaks is opened again from the second of the newest stamp, and what
//! was given already is left out. Bytes pass as they are (not text). A log that the kubelet rotated while the stream
//! was down has lost its middle: nobody can bring it back. It must never buffer a whole line.

use jiff::Timestamp;

/// Longest stamp that the kubelet writes; what has no blank within it has no stamp.
const STAMP_BYTES: usize = 40;

/// Where reading stands: enough to go on after a broken stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Stamp of the newest line that was begun.
    pub stamp: Option<Timestamp>,
    /// Whole lines given with exactly this stamp.
    pub lines: u64,
    /// Bytes given of the line after them.
    pub partial: u64,
}

/// Turns stamped bytes into the hook's bytes.
#[derive(Debug, Default)]
pub struct LogReader {
    following: bool,
    position: Position,
    resume: Option<Position>,
    line: Line,
}

#[derive(Debug)]
enum Line {
    /// Reading the stamp.
    Stamp(Vec<u8>),
    /// Passing the line on, but for its first bytes.
    Pass { leave_out: u64 },
    /// Leaving the line out.
    Skip,
}

impl Default for Line {
    fn default() -> Self {
        Self::Stamp(Vec::new())
    }
}

impl LogReader {
    /// A new stream begins, from [`LogReader::since`] on. In a stream that is followed, lines without a stamp are the
    /// kubelet's own words about why it cannot follow ("failed to create fsnotify watcher: too many open files"); the
    /// hook's lines are read once the container has ended.
    pub fn reopen(&mut self, following: bool) {
        self.following = following;
        self.line = Line::default();
        self.resume = self.position.stamp.is_some().then_some(self.position);
    }

    /// The time from which the next stream must begin; `None`: from the start. Whole seconds, as the API has them.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.position.stamp.and_then(|stamp| Timestamp::from_second(stamp.as_second()).ok())
    }

    /// Where reading stands.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Takes bytes of the stream; appends what is new of the hook's own bytes to `out`.
    pub fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if let Line::Stamp(held) = &mut self.line {
                let room = STAMP_BYTES.saturating_sub(held.len());
                let take = bytes
                    .iter()
                    .take(room)
                    .position(|b| *b == b' ' || *b == b'\n')
                    .map_or(room.min(bytes.len()), |at| at + 1);
                held.extend_from_slice(&bytes[..take]);
                bytes = &bytes[take..];
                let whole = held.len() >= STAMP_BYTES || matches!(held.last(), Some(b' ' | b'\n'));
                if whole {
                    let held = std::mem::take(held);
                    self.begin(&held, out);
                }
                continue;
            }
            let end = bytes.iter().position(|b| *b == b'\n');
            let (now, rest) = bytes.split_at(end.map_or(bytes.len(), |at| at + 1));
            self.body(now, end.is_some(), out);
            bytes = rest;
        }
    }

    /// A line begins with `held`: its stamp and the blank, or no stamp at all.
    fn begin(&mut self, held: &[u8], out: &mut Vec<u8>) {
        let stamp = held
            .strip_suffix(b" ")
            .and_then(|text| std::str::from_utf8(text).ok())
            .and_then(|text| text.parse::<Timestamp>().ok());
        let Some(stamp) = stamp else {
            // Not the kubelet's format: pass it as it is.
            self.line = if self.resume.is_some() || self.following {
                Line::Skip
            } else {
                Line::Pass { leave_out: 0 }
            };
            self.body(held, held.last() == Some(&b'\n'), out);
            return;
        };
        if let Some(resume) = &mut self.resume {
            let had = resume.stamp.unwrap_or(Timestamp::MIN);
            if stamp < had || (stamp == had && resume.lines > 0) {
                if stamp == had {
                    resume.lines -= 1;
                }
                self.line = Line::Skip;
                return;
            }
            let leave_out = if stamp == had { resume.partial } else { 0 };
            if leave_out == 0 && self.position.partial > 0 {
                // The rest of the line that was being given is gone with a rotated file.
                out.push(b'\n');
                self.position.partial = 0;
            }
            self.resume = None;
            if leave_out > 0 {
                self.line = Line::Pass { leave_out };
                return;
            }
        }
        if self.position.stamp != Some(stamp) {
            self.position = Position { stamp: Some(stamp), lines: 0, partial: 0 };
        }
        self.line = Line::Pass { leave_out: 0 };
    }

    fn body(&mut self, bytes: &[u8], ends: bool, out: &mut Vec<u8>) {
        if let Line::Pass { leave_out } = &mut self.line {
            let skip = usize::try_from(*leave_out).unwrap_or(usize::MAX).min(bytes.len());
            *leave_out -= skip as u64;
            out.extend_from_slice(&bytes[skip..]);
            self.position.partial += (bytes.len() - skip) as u64;
            if ends {
                self.position.lines += 1;
                self.position.partial = 0;
            }
        }
        if ends {
            self.line = Line::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a kubelet holds: stamped lines; a stream begins at a second.
    fn kubelet(lines: &[(&str, &[u8])], since: Option<Timestamp>) -> Vec<u8> {
        let mut out = Vec::new();
        for (stamp, line) in lines {
            let at: Timestamp = stamp.parse().unwrap();
            if since.is_none_or(|since| at >= since) {
                out.extend_from_slice(stamp.as_bytes());
                out.push(b' ');
                out.extend_from_slice(line);
                out.push(b'\n');
            }
        }
        out
    }

    const LINES: [(&str, &[u8]); 6] = [
        ("2026-11-21T12:00:00.1Z", b"one"),
        ("2026-11-21T12:00:00.123456789Z", b"two \xff\xfe"),
        ("2026-11-21T12:00:00.123456789Z", b"two"),
        ("2026-11-21T12:00:00.123456789Z", b""),
        ("2026-11-21T12:00:01.000000001Z", b"a long one with blanks"),
        ("2026-11-21T12:00:02Z", b"last"),
    ];

    fn plain(lines: &[(&str, &[u8])]) -> Vec<u8> {
        lines.iter().flat_map(|(_, line)| [line, &b"\n"[..]].concat()).collect()
    }

    #[test]
    fn a_stream_broken_at_any_byte_and_again_loses_and_doubles_nothing() {
        let whole = kubelet(&LINES, None).len();
        for first in 0..=whole {
            for second in (0..=whole).step_by(5) {
                let mut reader = LogReader::default();
                let mut out = Vec::new();
                for cut in [first, second, whole] {
                    reader.reopen(true);
                    let stream = kubelet(&LINES, reader.since());
                    // In small pieces: a stamp may be cut anywhere.
                    for piece in stream[..cut.min(stream.len())].chunks(7) {
                        reader.feed(piece, &mut out);
                    }
                }
                assert_eq!(out, plain(&LINES), "broken after {first} and {second} bytes");
            }
        }
    }

    #[test]
    fn a_line_whose_rest_was_rotated_away_is_ended() {
        let mut reader = LogReader::default();
        let mut out = Vec::new();
        reader.feed(&kubelet(&LINES[..1], None)[..25], &mut out);
        reader.reopen(true);
        reader.feed(&kubelet(&LINES[4..], reader.since()), &mut out);
        assert_eq!(out, [b"on\n", &plain(&LINES[4..])[..]].concat());
    }

    #[test]
    fn what_a_kubelet_says_of_itself_while_following_is_not_the_hooks_log() {
        let mut reader = LogReader::default();
        let mut out = Vec::new();
        reader.reopen(true);
        reader.feed(b"failed to create fsnotify watcher: too many open files", &mut out);
        reader.reopen(false);
        reader.feed(&kubelet(&LINES, reader.since()), &mut out);
        assert_eq!(out, plain(&LINES));
    }

    #[test]
    fn what_has_no_stamp_is_passed_as_it_is() {
        let mut reader = LogReader::default();
        let mut out = Vec::new();
        let text = b"failed to try resolving symlinks in path \"/var/log/pods/a_b_c/hook/0.log\"\n\nshort\n";
        reader.feed(text, &mut out);
        assert_eq!(out, text);
    }
}
