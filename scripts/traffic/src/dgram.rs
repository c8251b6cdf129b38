// SPDX-License-Identifier: GPL-2.0
//! UDP datagram layout: a checksummed header, then content that follows from it.
//!
//! ```text
//!  0  magic     "NC2U", or "NC2X" when the server refuses a damaged datagram
//!  4  session   which run the datagram belongs to
//!  8  seq       its number in the run
//! 12  length    of the whole datagram
//! 16  crc       of the 16 bytes before it
//! 20  content   at position seq * STRIDE of the session's content
//! ```

use crate::content::Content;

/// Bytes of the header.
pub(crate) const HEADER: usize = 20;
/// The smallest datagram: a header alone.
pub(crate) const MIN: u64 = HEADER as u64;
/// The largest datagram IPv4 carries.
pub(crate) const MAX: u64 = 65_507;
/// The sequence number in a refusal of a datagram whose header is damaged.
pub(crate) const UNKNOWN: u32 = u32::MAX;

const ECHO: [u8; 4] = *b"NC2U";
const REFUSAL: [u8; 4] = *b"NC2X";

/// From one datagram's content to the next one's; odd, so neighbours differ.
const STRIDE: u64 = 4099;

/// What a sound header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Which run the datagram belongs to.
    pub session: u32,
    /// Its number in the run.
    pub seq: u32,
    /// Bytes of the whole datagram.
    pub len: u32,
}

/// What a received datagram turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Sound from the first byte to the last.
    Sound(Header),
    /// The server's word that this datagram reached it damaged.
    Refusal(Header),
    /// Damaged behind a sound header, from this offset on.
    BadContent(Header, usize),
    /// The header itself is damaged, or it is somebody else's datagram.
    BadHeader,
}

/// The session number of a run with this seed.
pub(crate) fn session(seed: u64) -> u32 {
    (crate::content::mix(seed) >> 32) as u32
}

/// The header of a datagram with content.
pub(crate) fn header(session: u32, seq: u32, len: usize) -> [u8; HEADER] {
    encode(ECHO, session, seq, len)
}

/// The server's answer to a damaged datagram.
pub(crate) fn refusal(session: u32, seq: u32) -> [u8; HEADER] {
    encode(REFUSAL, session, seq, HEADER)
}

/// The content behind the header of datagram `seq`.
pub(crate) fn body(session: u32, seq: u32, len: usize) -> &'static [u8] {
    let len = len.saturating_sub(HEADER);
    Content::new(session.into()).at(u64::from(seq) * STRIDE, len)
}

/// Looks at a received datagram, every byte of it.
pub(crate) fn inspect(data: &[u8]) -> Seen {
    let Some((head, rest)) = data.split_at_checked(HEADER) else {
        return Seen::BadHeader;
    };
    if word(head, 16) != crc32fast::hash(&head[..16]) {
        return Seen::BadHeader;
    }
    let header = Header {
        session: word(head, 4),
        seq: word(head, 8),
        len: word(head, 12),
    };
    match head {
        [b'N', b'C', b'2', b'U', ..] => {}
        [b'N', b'C', b'2', b'X', ..] if rest.is_empty() => return Seen::Refusal(header),
        _ => return Seen::BadHeader,
    }
    let wanted = body(header.session, header.seq, header.len as usize);
    match crate::content::first_difference(rest, wanted) {
        None => Seen::Sound(header),
        Some(offset) => Seen::BadContent(header, HEADER + offset),
    }
}

fn encode(magic: [u8; 4], session: u32, seq: u32, len: usize) -> [u8; HEADER] {
    let mut head = [0; HEADER];
    head[..4].copy_from_slice(&magic);
    head[4..8].copy_from_slice(&session.to_be_bytes());
    head[8..12].copy_from_slice(&seq.to_be_bytes());
    head[12..16].copy_from_slice(&(len as u32).to_be_bytes());
    let crc = crc32fast::hash(&head[..16]);
    head[16..].copy_from_slice(&crc.to_be_bytes());
    head
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(seq: u32, len: usize) -> Vec<u8> {
        let mut all = header(9, seq, len).to_vec();
        all.extend_from_slice(body(9, seq, len));
        all
    }

    #[test]
    fn sound_datagrams_pass() {
        for len in [20, 21, 1472, 65_507] {
            let data = datagram(77, len);
            assert_eq!(data.len(), len);
            assert!(matches!(inspect(&data), Seen::Sound(h) if h.seq == 77));
        }
        let Seen::Refusal(header) = inspect(&refusal(9, 3)) else {
            panic!("a refusal is not recognised");
        };
        assert_eq!((header.session, header.seq), (9, 3));
    }

    #[test]
    fn every_damaged_byte_is_caught() {
        let good = datagram(5, 60);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            match inspect(&bad) {
                Seen::BadHeader => assert!(at < HEADER),
                Seen::BadContent(_, offset) => assert_eq!(offset, at),
                other => panic!("byte {at}: {other:?}"),
            }
        }
    }

    #[test]
    fn wrong_lengths_are_caught() {
        let good = datagram(5, 60);
        assert!(matches!(inspect(&good[..59]), Seen::BadContent(_, 59)));
        assert_eq!(inspect(&good[..19]), Seen::BadHeader);
        assert_eq!(inspect(&[]), Seen::BadHeader);
        let mut long = good;
        long.push(0);
        assert!(matches!(inspect(&long), Seen::BadContent(_, 60)));
    }
}
