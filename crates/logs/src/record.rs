//! The form of a record in a segment file. Pure: bytes to record and back.
//!
//! `kind (1) · offset in the stream (8) · length (4) · CRC-32C of kind, offset, length and data (4) · data`, numbers in
//! little endian. The checksum tells a torn or overwritten record from a whole one.

use crc::{CRC_32_ISCSI, Crc};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Bytes before the data.
pub const HEADER: usize = 17;
/// Longest data of one record; longer chunks become several, so that a small read reads little.
pub const MAX_DATA: usize = 64 * 1024;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The stream's bytes from `offset` on.
    Data,
    /// The agent never sent these: the data is the stream's offset at which it went on, in 8 bytes.
    Lost,
    /// Nothing follows `offset`.
    Finished,
}

/// A header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the record says.
    pub kind: Kind,
    /// Where it begins in the stream.
    pub offset: u64,
    /// Of its data.
    pub length: usize,
    crc: u32,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Data => b'D',
            Self::Lost => b'L',
            Self::Finished => b'F',
        }
    }
}

fn checksum(head: &[u8], data: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(head);
    digest.update(data);
    digest.finalize()
}

/// Appends a record to `out`. `data` is at most [`MAX_DATA`] long.
pub fn write(out: &mut Vec<u8>, kind: Kind, offset: u64, data: &[u8]) {
    debug_assert!(data.len() <= MAX_DATA);
    let begin = out.len();
    out.push(kind.byte());
    out.extend(offset.to_le_bytes());
    // At most MAX_DATA, so it fits.
    out.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes());
    let crc = checksum(&out[begin..], data);
    out.extend(crc.to_le_bytes());
    out.extend(data);
}

/// Reads a header; `None` if no record begins so.
pub fn header(bytes: &[u8; HEADER]) -> Option<Header> {
    let kind = match bytes[0] {
        b'D' => Kind::Data,
        b'L' => Kind::Lost,
        b'F' => Kind::Finished,
        _ => return None,
    };
    let offset = u64::from_le_bytes(bytes[1..9].try_into().ok()?);
    let length = u32::from_le_bytes(bytes[9..13].try_into().ok()?) as usize;
    let crc = u32::from_le_bytes(bytes[13..17].try_into().ok()?);
    (length <= MAX_DATA).then_some(Header { kind, offset, length, crc })
}

impl Header {
    /// Whether `data` is what was written under this header.
    pub fn fits(&self, data: &[u8]) -> bool {
        let mut head = [0; 13];
        head[0] = self.kind.byte();
        head[1..9].copy_from_slice(&self.offset.to_le_bytes());
        head[9..13].copy_from_slice(&u32::try_from(self.length).unwrap_or(u32::MAX).to_le_bytes());
        data.len() == self.length && checksum(&head, data) == self.crc
    }

    /// Where the stream goes on after this record.
    pub fn end(&self, data: &[u8]) -> u64 {
        match self.kind {
            Kind::Data => self.offset.saturating_add(self.length as u64),
            Kind::Lost => data.try_into().map_or(self.offset, u64::from_le_bytes),
            Kind::Finished => self.offset,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_record_reads_back_and_every_flipped_bit_is_seen(
            data in proptest::collection::vec(any::<u8>(), 0..300), offset: u64, flip in any::<prop::sample::Index>()
        ) {
            let mut bytes = Vec::new();
            write(&mut bytes, Kind::Data, offset, &data);
            let read = |bytes: &[u8]| {
                let header = header(bytes[..HEADER].try_into().unwrap())?;
                let data = bytes.get(HEADER..HEADER + header.length)?;
                (header.fits(data) && HEADER + header.length == bytes.len()).then(|| (header.offset, data.to_vec()))
            };
            prop_assert_eq!(read(&bytes), Some((offset, data)));
            let bit = flip.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(read(&bytes), None);
        }
    }
}
