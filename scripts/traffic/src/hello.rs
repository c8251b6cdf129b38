// SPDX-License-Identifier: GPL-2.0
//! TCP connection header and verdict.
//!
//! A client opens every connection with a [`Hello`] that says what the server
//! does with it; a server ends a [`Mode::Sink`] connection with a [`Verdict`].

use std::time::Duration;

/// Bytes of an encoded [`Hello`].
pub(crate) const HELLO: usize = 32;
/// Bytes of an encoded [`Verdict`].
pub(crate) const VERDICT: usize = 36;
/// The length of a stream that ends when the client says so.
pub(crate) const UNLIMITED: u64 = u64::MAX;

const HELLO_MAGIC: [u8; 4] = *b"NC2T";
const VERDICT_MAGIC: [u8; 4] = *b"NC2V";

/// What the server does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It verifies what the client sends and returns a verdict.
    Sink,
    /// It sends content, which the client verifies.
    Source,
    /// It verifies blocks and returns them as they are.
    Echo,
    /// It returns single bytes.
    Rr,
}

impl Mode {
    /// The name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::Sink => "sink",
            Mode::Source => "source",
            Mode::Echo => "echo",
            Mode::Rr => "rr",
        }
    }
}

/// The first bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// What the server does with it.
    pub mode: Mode,
    /// The seed of its content.
    pub seed: u64,
    /// Bytes of content, or [`UNLIMITED`].
    pub length: u64,
    /// How long the client is ready to wait; the server waits no shorter.
    pub timeout: Duration,
}

impl Hello {
    /// The bytes that travel.
    pub(crate) fn encode(&self) -> [u8; HELLO] {
        let mut out = [0; HELLO];
        out[..4].copy_from_slice(&HELLO_MAGIC);
        out[4] = match self.mode {
            Mode::Sink => 0,
            Mode::Source => 1,
            Mode::Echo => 2,
            Mode::Rr => 3,
        };
        out[8..16].copy_from_slice(&self.seed.to_be_bytes());
        out[16..24].copy_from_slice(&self.length.to_be_bytes());
        let millis = u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX);
        out[24..28].copy_from_slice(&millis.to_be_bytes());
        seal(&mut out);
        out
    }

    /// The hello in `bytes`, unless they are damaged or something else.
    pub(crate) fn decode(bytes: &[u8; HELLO]) -> Option<Self> {
        if !sealed(bytes, HELLO_MAGIC) {
            return None;
        }
        Some(Hello {
            mode: match bytes[4] {
                0 => Mode::Sink,
                1 => Mode::Source,
                2 => Mode::Echo,
                3 => Mode::Rr,
                _ => return None,
            },
            seed: long(bytes, 8),
            length: long(bytes, 16),
            timeout: Duration::from_millis(long(bytes, 20) & 0xffff_ffff),
        })
    }
}

/// What the server makes of a stream sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether the connection's hello was intact.
    pub understood: bool,
    /// Bytes received.
    pub bytes: u64,
    /// Their [`crate::content::Sum`].
    pub sum: u64,
    /// The position of the first damaged byte.
    pub first_bad: Option<u64>,
}

impl Verdict {
    /// The bytes that travel.
    pub(crate) fn encode(&self) -> [u8; VERDICT] {
        let mut out = [0; VERDICT];
        out[..4].copy_from_slice(&VERDICT_MAGIC);
        out[4] = u8::from(self.understood);
        out[8..16].copy_from_slice(&self.bytes.to_be_bytes());
        out[16..24].copy_from_slice(&self.sum.to_be_bytes());
        // No stream gets as long as the mark for "nothing is damaged".
        out[24..32].copy_from_slice(&self.first_bad.unwrap_or(u64::MAX).to_be_bytes());
        seal(&mut out);
        out
    }

    /// The verdict in `bytes`, unless they are damaged or something else.
    pub(crate) fn decode(bytes: &[u8; VERDICT]) -> Option<Self> {
        if !sealed(bytes, VERDICT_MAGIC) {
            return None;
        }
        Some(Verdict {
            understood: bytes[4] == 1,
            bytes: long(bytes, 8),
            sum: long(bytes, 16),
            first_bad: Some(long(bytes, 24)).filter(|at| *at != u64::MAX),
        })
    }
}

/// Puts the checksum of what precedes it into the last four bytes.
fn seal(message: &mut [u8]) {
    let (body, crc) = message.split_at_mut(message.len() - 4);
    crc.copy_from_slice(&crc32fast::hash(body).to_be_bytes());
}

fn sealed(message: &[u8], magic: [u8; 4]) -> bool {
    let (body, crc) = message.split_at(message.len() - 4);
    body.starts_with(&magic) && crc == crc32fast::hash(body).to_be_bytes()
}

fn long(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_be_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hellos_survive_the_trip_and_damage_does_not() {
        for mode in [Mode::Sink, Mode::Source, Mode::Echo, Mode::Rr] {
            let hello = Hello {
                mode,
                seed: 0x0123_4567_89ab_cdef,
                length: UNLIMITED,
                timeout: Duration::from_millis(5250),
            };
            let wire = hello.encode();
            assert_eq!(Hello::decode(&wire), Some(hello));
            for at in 0..HELLO {
                let mut bad = wire;
                bad[at] ^= 1;
                assert_eq!(Hello::decode(&bad), None, "byte {at}");
            }
        }
    }

    #[test]
    fn verdicts_survive_the_trip() {
        for first_bad in [None, Some(0), Some(1 << 40)] {
            let verdict = Verdict {
                understood: true,
                bytes: 1 << 41,
                sum: 99,
                first_bad,
            };
            assert_eq!(Verdict::decode(&verdict.encode()), Some(verdict));
        }
        assert_eq!(Verdict::decode(&[0; VERDICT]), None);
    }
}
