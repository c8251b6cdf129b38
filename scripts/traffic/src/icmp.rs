// SPDX-License-Identifier: GPL-2.0
//! ICMP echo packets whose checksum costs nothing.
//!
//! The payload of every size is a slice of the content table that starts at an
//! even offset, so its contribution to the Internet checksum is the difference
//! of two precomputed sums, and no byte is touched in order to send it.

use crate::content::{first_difference, mix, table, MAX_SLICE, PERIOD};

/// Bytes of an ICMP echo header.
pub(crate) const HEADER: usize = 8;
/// The largest payload an IPv4 packet carries.
pub(crate) const MAX_PAYLOAD: usize = 65_507;

const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;

/// From one size's payload to the next one's.
const STRIDE: u64 = 7919;

/// Builds requests and judges replies of one run.
pub(crate) struct Echo {
    ident: u16,
    base: u64,
    /// Sums of the 16-bit words before each even offset of the table.  The
    /// table has 65 528 words, so the last sum still fits.
    sums: Vec<u32>,
}

/// What a received packet turns out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Not a reply to this run.
    Foreign,
    /// The whole reply to the request of this size.
    Sound(usize),
    /// A damaged reply to the request of this size, and what is wrong.
    Bad(usize, String),
}

impl Echo {
    /// A run with this identifier and seed.
    pub(crate) fn new(ident: u16, seed: u64) -> Self {
        let mut total = 0u32;
        let mut sums = vec![0];
        for pair in table()[..PERIOD + MAX_SLICE].chunks_exact(2) {
            total += u32::from(u16::from_be_bytes([pair[0], pair[1]]));
            sums.push(total);
        }
        Echo {
            ident,
            base: mix(seed) % PERIOD as u64,
            sums,
        }
    }

    /// The header of the request of this size, which is also its number.
    pub(crate) fn request(&self, size: usize) -> [u8; HEADER] {
        self.header(ECHO_REQUEST, size)
    }

    /// The payload of the request of this size.
    pub(crate) fn payload(&self, size: usize) -> &'static [u8] {
        let start = self.start(size);
        &table()[start..start + size.min(MAX_PAYLOAD)]
    }

    /// Judges a packet as a raw socket delivers it, IP header first.
    pub(crate) fn judge(&self, packet: &[u8]) -> Reply {
        let Some(first) = packet.first() else {
            return Reply::Foreign;
        };
        let ip_header = usize::from(first & 15) * 4;
        let Some((head, payload)) = packet
            .get(ip_header..)
            .and_then(|icmp| icmp.split_at_checked(HEADER))
        else {
            return Reply::Foreign;
        };
        let [kind, _, _, _, ident @ .., seq_high, seq_low] = head else {
            return Reply::Foreign;
        };
        if *kind != ECHO_REPLY || ident != self.ident.to_be_bytes() {
            return Reply::Foreign;
        }
        let size = usize::from(u16::from_be_bytes([*seq_high, *seq_low]));
        if size > MAX_PAYLOAD {
            return Reply::Foreign;
        }
        let wanted = self.payload(size);
        if let Some(at) = first_difference(payload, wanted) {
            return Reply::Bad(size, describe(size, at, payload, wanted));
        }
        // With the payload known to be right, so is its checksum.
        let right = self.header(ECHO_REPLY, size);
        let mut head: [u8; HEADER] = [
            *kind, head[1], head[2], head[3], ident[0], ident[1], *seq_high, *seq_low,
        ];
        if head[2..4] == [0xff, 0xff] {
            // The other way to write zero in one's complement.
            head[2..4].fill(0);
        }
        if head != right {
            return Reply::Bad(
                size,
                format!("size {size}: the reply's header is {head:02x?} instead of {right:02x?}"),
            );
        }
        Reply::Sound(size)
    }

    fn header(&self, kind: u8, size: usize) -> [u8; HEADER] {
        let seq = (size as u16).to_be_bytes();
        let ident = self.ident.to_be_bytes();
        let mut sum = u64::from(kind) << 8;
        sum += u64::from(self.ident) + u64::from(size as u16);
        sum += u64::from(self.payload_sum(size));
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let check = (!(sum as u16)).to_be_bytes();
        [
            kind, 0, check[0], check[1], ident[0], ident[1], seq[0], seq[1],
        ]
    }

    fn payload_sum(&self, size: usize) -> u32 {
        let start = self.start(size);
        let words = self.sums[start / 2 + size / 2] - self.sums[start / 2];
        let odd = match size % 2 {
            0 => 0,
            _ => u32::from(table()[start + size - 1]) << 8,
        };
        // The sum of a part of the table and one more word of it still fits.
        words + odd
    }

    fn start(&self, size: usize) -> usize {
        let place = (self.base + size as u64 * STRIDE) % PERIOD as u64;
        place as usize & !1
    }
}

fn describe(size: usize, at: usize, got: &[u8], wanted: &[u8]) -> String {
    match (got.get(at), wanted.get(at)) {
        (Some(got), Some(wanted)) => {
            format!("size {size}: byte {at} of the reply is {got:#04x} instead of {wanted:#04x}")
        }
        _ => format!(
            "size {size}: the reply has {} payload bytes, right up to offset {at}",
            got.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checksum the slow way, over a whole ICMP message.
    fn checksum(message: &[u8]) -> u16 {
        let mut sum = 0u64;
        for pair in message.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u64::from(u16::from_be_bytes([pair[0], low]));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    fn reply(echo: &Echo, size: usize) -> Vec<u8> {
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet.extend_from_slice(&echo.header(ECHO_REPLY, size));
        packet.extend_from_slice(echo.payload(size));
        packet
    }

    #[test]
    fn checksums_match_the_slow_way() {
        for seed in 0..20 {
            let echo = Echo::new(0xabcd, seed);
            for size in [0, 1, 2, 3, 56, 1471, 1472, 1473, 65_506, 65_507] {
                let mut message = echo.request(size).to_vec();
                message.extend_from_slice(echo.payload(size));
                assert_eq!(message.len(), HEADER + size);
                assert_eq!(checksum(&message), 0, "seed {seed}, size {size}");
            }
        }
    }

    #[test]
    fn replies_are_judged_to_the_byte() {
        let echo = Echo::new(77, 3);
        let good = reply(&echo, 100);
        assert_eq!(echo.judge(&good), Reply::Sound(100));
        for at in 28..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let Reply::Bad(100, what) = echo.judge(&bad) else {
                panic!("byte {at} goes unnoticed");
            };
            assert!(what.contains(&format!("byte {} of", at - 28)), "{what}");
        }
        let mut bad = good.clone();
        bad[22] ^= 1;
        assert!(matches!(echo.judge(&bad), Reply::Bad(100, _)));
        assert!(matches!(echo.judge(&good[..127]), Reply::Bad(100, _)));
    }

    #[test]
    fn strangers_and_stumps_are_foreign() {
        let echo = Echo::new(77, 3);
        let good = reply(&echo, 8);
        assert_eq!(Echo::new(78, 3).judge(&good), Reply::Foreign);
        for len in 0..28 {
            assert_eq!(echo.judge(&good[..len]), Reply::Foreign);
        }
        let mut request = good;
        request[20] = ECHO_REQUEST;
        assert_eq!(echo.judge(&request), Reply::Foreign);
    }
}
