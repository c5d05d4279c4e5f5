//! Replaces secrets in a stream of bytes by `***`, also where a secret is cut by the border of two reads.
//!
//! It must never know where secrets or bytes come from.

use tenantry_mutants::{self as mutants, Mutant};

/// What stands for a secret.
const MASK: &[u8] = b"***";
/// Shorter values are not masked: every log is full of `1` and `no`.
const SHORTEST: usize = 4;
/// Lines of a secret of several lines (a key) are masked one by one too, from this length on.
const SHORTEST_LINE: usize = 8;

/// Masks one stream.
#[derive(Debug)]
pub struct Masker {
    /// Longest first.
    secrets: Vec<Vec<u8>>,
    begins: Box<[bool; 256]>,
    /// Bytes that may be the beginning of a secret.
    held: Vec<u8>,
    /// So many bytes at the start of `held` belong to a secret whose mask is already written.
    masked: usize,
}

impl Masker {
    /// Masks these values; empty and very short ones are passed over.
    pub fn new<S: AsRef<[u8]>>(values: impl IntoIterator<Item = S>) -> Self {
        let mut secrets: Vec<Vec<u8>> = Vec::new();
        for value in values {
            let value = value.as_ref();
            let trimmed = value.trim_ascii();
            if trimmed.len() >= SHORTEST {
                secrets.push(trimmed.to_vec());
            }
            let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            secrets.extend(lines.filter(|line| line.len() >= SHORTEST_LINE).map(<[u8]>::to_vec));
        }
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        let mut begins = Box::new([false; 256]);
        for first in secrets.iter().filter_map(|secret| secret.first()) {
            begins[usize::from(*first)] = true;
        }
        Self { secrets, begins, held: Vec::new(), masked: 0 }
    }

    /// Takes bytes; gives back what is certain by now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        self.drain(false)
    }

    /// Nothing follows: gives back the rest.
    pub fn finish(&mut self) -> Vec<u8> {
        self.drain(true)
    }

    fn drain(&mut self, last: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.held.len());
        let mut at = 0;
        while let Some(&byte) = self.held.get(at) {
            if self.begins[usize::from(byte)] {
                let rest = &self.held[at..];
                let may_follow = !last && !mutants::on(Mutant::MaskWithinReads);
                if may_follow && self.secrets.iter().any(|s| s.len() > rest.len() && s.starts_with(rest)) {
                    // A longer secret than any that is complete here may follow.
                    break;
                }
                if let Some(secret) = self.secrets.iter().find(|s| rest.starts_with(s)) {
                    // Overlapping secrets become one mask: else the end of the second one would show.
                    if self.masked <= at {
                        out.extend_from_slice(MASK);
                    }
                    self.masked = self.masked.max(at + secret.len());
                }
            }
            if at >= self.masked {
                out.push(byte);
            }
            at += 1;
        }
        self.held.drain(..at);
        self.masked = self.masked.saturating_sub(at);
        out
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;

    fn masked_in_pieces(secrets: &[&str], text: &[u8], piece: usize) -> Vec<u8> {
        let mut masker = Masker::new(secrets);
        let mut out = Vec::new();
        for bytes in text.chunks(piece) {
            out.extend(masker.push(bytes));
        }
        out.extend(masker.finish());
        out
    }

    #[test]
    fn a_secret_is_masked_wherever_the_chunks_are_cut() {
        let text = b"user=x password=hunter22 again hunter2 hunter22hunter22 hunter";
        for piece in 1..=text.len() {
            let out = masked_in_pieces(&["hunter22"], text, piece);
            assert_eq!(
                String::from_utf8(out).unwrap(),
                "user=x password=*** again hunter2 ****** hunter",
                "{piece}"
            );
        }
    }

    #[test]
    fn overlapping_secrets_leave_nothing_of_either() {
        for piece in 1..=8 {
            assert_eq!(masked_in_pieces(&["abcdef", "defghi"], b"-abcdefghi-", piece), b"-***-", "{piece}");
            assert_eq!(
                masked_in_pieces(&["abcd", "abcdefgh"], b"abcdef abcdefgh", piece),
                b"***ef ***",
                "{piece}"
            );
        }
    }

    #[test]
    fn each_long_line_of_a_key_is_masked() {
        let key = "-----BEGIN-----\nAAAABBBBCCCC\nDDDDEEEEFFFF\n-----END-----\n";
        let out = masked_in_pieces(&[key], b"read AAAABBBBCCCC\nthen DDDDEEEEFFFF\n", 5);
        assert_eq!(out, b"read ***\nthen ***\n");
    }

    #[test]
    fn what_is_no_secret_passes_byte_for_byte() {
        let all: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        assert_eq!(masked_in_pieces(&["", "1", "no"], &all, 7), all);
        assert_eq!(masked_in_pieces(&["something else"], &all, 4096), all);
    }
}
