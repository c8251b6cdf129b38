// SPDX-License-Identifier: GPL-2.0
//! Content predictable from a seed and a position.
//!
//! All content is a window into one table that repeats every [`PERIOD`] bytes,
//! computed once.  Sending hands slices of the table to the socket and
//! verifying is one `memcmp`, so checking costs an emulated processor little
//! more than the copy the kernel makes anyway.

use std::sync::OnceLock;

/// The length after which content repeats.
///
/// It is prime: blocks displaced by any number of pages, or by any number of
/// segments, differ from what belongs in their place.
pub(crate) const PERIOD: usize = 65_521;

/// The longest contiguous slice of content.
pub(crate) const MAX_SLICE: usize = 65_536;

/// The table: one period and what a slice needs beyond its end.
pub(crate) fn table() -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut state = 0x6e65_7463_6861_6e32_u64;
        let mut bytes = Vec::with_capacity(PERIOD + MAX_SLICE + 8);
        while bytes.len() < PERIOD {
            // xorshift64*: its upper bits pass for random.
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            let word = state.wrapping_mul(0x2545_f491_4f6c_dd1d);
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        bytes.truncate(PERIOD);
        while bytes.len() < PERIOD + MAX_SLICE {
            let missing = (PERIOD + MAX_SLICE - bytes.len()).min(PERIOD);
            bytes.extend_from_within(..missing);
        }
        bytes
    })
}

/// Spreads a seed over all 64 bits (the splitmix64 finaliser).
pub(crate) fn mix(seed: u64) -> u64 {
    let mut word = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// The endless content of one seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content {
    base: u64,
}

impl Content {
    /// The content of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Content {
            base: mix(seed) % PERIOD as u64,
        }
    }

    /// `len` bytes from position `pos` on, at most [`MAX_SLICE`].
    pub(crate) fn at(&self, pos: u64, len: usize) -> &'static [u8] {
        let start = ((self.base + pos % PERIOD as u64) % PERIOD as u64) as usize;
        let len = len.min(MAX_SLICE);
        &table()[start..start + len]
    }

    /// The offset in `data` of the first byte that does not belong at `pos`.
    pub(crate) fn first_bad(&self, pos: u64, data: &[u8]) -> Option<usize> {
        let mut done = 0;
        for chunk in data.chunks(MAX_SLICE) {
            let wanted = self.at(pos.wrapping_add(done as u64), chunk.len());
            if let Some(offset) = first_difference(chunk, wanted) {
                return Some(done + offset);
            }
            done += chunk.len();
        }
        None
    }
}

/// Where two slices first differ; the shorter end counts as a difference.
pub(crate) fn first_difference(left: &[u8], right: &[u8]) -> Option<usize> {
    if left == right {
        return None;
    }
    let common = left.len().min(right.len());
    let differs = left.iter().zip(right).position(|(a, b)| a != b);
    Some(differs.unwrap_or(common))
}

/// A checksum of a stream that does not depend on how reads cut it up: the
/// wrapping sum of its little-endian 64-bit words, the last padded with zeros.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    total: u64,
    pos: u64,
}

impl Sum {
    /// Adds the next bytes of the stream.
    pub(crate) fn add(&mut self, data: &[u8]) {
        // An earlier read may have stopped inside a word.
        let lead = ((8 - self.pos % 8) % 8) as usize;
        let (head, rest) = data.split_at(lead.min(data.len()));
        self.add_bytes(head);
        let words = rest.chunks_exact(8);
        let tail = words.remainder();
        let mut total = 0u64;
        for word in words {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(word);
            total = total.wrapping_add(u64::from_le_bytes(bytes));
        }
        self.total = self.total.wrapping_add(total);
        self.pos += (rest.len() - tail.len()) as u64;
        self.add_bytes(tail);
    }

    fn add_bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let shifted = u64::from(*byte) << (8 * (self.pos % 8));
            self.total = self.total.wrapping_add(shifted);
            self.pos += 1;
        }
    }

    /// The checksum so far.
    pub(crate) fn value(&self) -> u64 {
        self.total
    }

    /// Bytes added so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.pos
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_continuous() {
        let content = Content::new(7);
        let long = content.at(1000, MAX_SLICE);
        for step in [1, 999, 65_520] {
            let later = content.at(1000 + step as u64, 16);
            assert_eq!(later, &long[step..][..16.min(MAX_SLICE - step)]);
        }
        assert_eq!(content.at(3, 50), content.at(3 + PERIOD as u64, 50));
        assert_eq!(content.at(0, MAX_SLICE + 9).len(), MAX_SLICE);
    }

    #[test]
    fn displaced_pages_show() {
        let content = Content::new(7);
        for pages in 1..64u64 {
            assert_eq!(content.first_bad(0, content.at(0, 4096)), None);
            let bad = content.first_bad(pages * 4096, content.at(0, 4096));
            assert!(bad.is_some_and(|at| at < 8), "{pages} pages: {bad:?}");
        }
    }

    #[test]
    fn first_bad_byte_is_named() {
        let content = Content::new(1);
        let mut data = Vec::new();
        while data.len() < 200_000 {
            data.extend_from_slice(content.at(5 + data.len() as u64, 5000));
        }
        assert_eq!(content.first_bad(5, &data), None);
        data[150_001] ^= 1;
        assert_eq!(content.first_bad(5, &data), Some(150_001));
    }

    #[test]
    fn sum_ignores_how_reads_cut_the_stream() {
        let data = Content::new(3).at(0, 4099);
        let mut whole = Sum::default();
        whole.add(data);
        for cut in [1, 3, 8, 13, 1000] {
            let mut parts = Sum::default();
            data.chunks(cut).for_each(|part| parts.add(part));
            assert_eq!(parts.value(), whole.value());
            assert_eq!(parts.bytes(), 4099);
        }
    }

    #[test]
    fn lengths_count_as_differences() {
        assert_eq!(first_difference(b"abc", b"abc"), None);
        assert_eq!(first_difference(b"abc", b"ab"), Some(2));
        assert_eq!(first_difference(b"axc", b"abc"), Some(1));
    }
}
