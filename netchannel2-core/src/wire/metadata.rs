// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a packet says of itself: checksum, segmentation and hash.

use super::{
    packet::RawPacket,
    Features, //
};
use crate::{
    error::Violation,
    units::PacketLength, //
};

/// The header flag that says that the checksum is the receiver's to complete.
const CSUM_PARTIAL: u8 = 1 << 0;

/// The header flag that says that the checksum has been verified.
const CSUM_VALID: u8 = 1 << 1;

/// All header flags that a packet has.
const KNOWN_FLAGS: u8 = CSUM_PARTIAL | CSUM_VALID;

/// The state of a packet's checksum (`ip_summed` of Linux' `struct sk_buff`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// Nobody has looked at it (`CHECKSUM_NONE`).
    #[default]
    None,
    /// It is right (`CHECKSUM_UNNECESSARY`).
    Valid,
    /// It covers the pseudo header only (`CHECKSUM_PARTIAL`).
    Partial {
        /// Where summing starts, in bytes from the start of the packet.
        start: u16,
        /// Where the sum goes, in bytes from `start`.
        offset: u16,
    },
}

/// How a packet is to be cut into segments (`gso_type` of Linux' `struct skb_shared_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsoKind {
    /// TCP over IPv4 (`SKB_GSO_TCPV4`).
    TcpV4,
    /// TCP over IPv6 (`SKB_GSO_TCPV6`).
    TcpV6,
    /// UDP over either (`SKB_GSO_UDP_L4`).
    UdpL4,
}

impl GsoKind {
    /// Returns the feature that the kind needs.
    pub const fn feature(self) -> Features {
        match self {
            Self::TcpV4 => Features::GSO_TCPV4,
            Self::TcpV6 => Features::GSO_TCPV6,
            Self::UdpL4 => Features::GSO_UDP_L4,
        }
    }

    const fn to_wire(self) -> u8 {
        match self {
            Self::TcpV4 => 1,
            Self::TcpV6 => 2,
            Self::UdpL4 => 3,
        }
    }
}

/// A packet that is to be cut into segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    /// How.
    pub kind: GsoKind,
    /// How many bytes of payload each segment has (`gso_size`).
    pub size: u16,
}

impl Gso {
    /// The least payload of a TCP segment (`TCP_MIN_GSO_SIZE` of Linux' include/net/tcp.h).
    const MIN_TCP: u16 = 8;

    /// How many segments UDP has at most (`UDP_MAX_SEGMENTS` of Linux' include/linux/udp.h).
    const MAX_UDP_SEGMENTS: u32 = 128;

    /// More than the headers of UDP take that is cut.
    const UDP_HEADERS: u32 = 128;

    /// Whether a packet of `length` bytes is cut into no more segments than a stack makes of one.
    ///
    /// Who receives it may have to cut it: a packet of 65535 segments would keep a CPU.
    #[inline]
    fn suits(self, length: PacketLength) -> bool {
        // No more than 65535 * 128.
        let size = u32::from(self.size);
        let few = match self.kind {
            GsoKind::TcpV4 | GsoKind::TcpV6 => self.size >= Self::MIN_TCP,
            GsoKind::UdpL4 => {
                length.get().saturating_sub(Self::UDP_HEADERS) <= size * Self::MAX_UDP_SEGMENTS
            }
        };

        size > 0 && size < length.get() && few
    }
}

/// What a hash was computed over (`enum pkt_hash_types` of Linux).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKind {
    /// Addresses (`PKT_HASH_TYPE_L3`).
    L3,
    /// Addresses and ports (`PKT_HASH_TYPE_L4`).
    L4,
}

/// The hash of a packet's flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    /// What it was computed over.
    pub kind: HashKind,
    /// The hash.
    pub value: u32,
}

/// Everything that a packet says of itself beside its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketMeta {
    /// The state of its checksum.
    pub checksum: Checksum,
    /// How it is to be cut into segments.
    pub gso: Option<Gso>,
    /// The hash of its flow.
    pub hash: Option<Hash>,
}

impl PacketMeta {
    /// A packet that says nothing of itself.
    pub const NONE: Self = Self {
        checksum: Checksum::None,
        gso: None,
        hash: None,
    };

    /// Leaves out what the peer need not know where `negotiated` does not let it be said.
    #[inline]
    #[must_use]
    pub fn reduced_to(self, negotiated: Features) -> Self {
        let checksum = match self.checksum {
            Checksum::Valid if !negotiated.contains(Features::CSUM) => Checksum::None,
            checksum => checksum,
        };
        Self {
            checksum,
            gso: self.gso,
            hash: self.hash.filter(|_| negotiated.contains(Features::HASH)),
        }
    }

    /// Checks the rules for a packet of `length` bytes.
    ///
    /// # Errors
    ///
    /// Returns the [`Violation`] that the peer would see.
    #[inline]
    pub fn check(self, length: PacketLength, negotiated: Features) -> Result<(), Violation> {
        let mut needed = Features::empty();
        if self.checksum != Checksum::None {
            needed |= Features::CSUM;
        }
        if let Checksum::Partial { start, offset } = self.checksum {
            if !covers(length, start, offset) {
                return Err(Violation::ChecksumRange {
                    start,
                    offset,
                    length,
                });
            }
        }
        if let Some(gso) = self.gso {
            needed |= gso.kind.feature();
            if !gso.suits(length) {
                return Err(Violation::GsoSize {
                    gso_type: gso.kind.to_wire(),
                    gso_size: gso.size,
                    length,
                });
            }
            if !matches!(self.checksum, Checksum::Partial { .. }) {
                return Err(Violation::GsoWithoutChecksum);
            }
        }
        if self.hash.is_some() {
            needed |= Features::HASH;
        }
        let missing = needed.difference(negotiated);
        if !missing.is_empty() {
            return Err(Violation::NotNegotiated(missing));
        }
        Ok(())
    }

    #[inline]
    pub(super) fn parse(
        raw: &RawPacket,
        length: PacketLength,
        negotiated: Features,
    ) -> Result<Self, Violation> {
        match Self::parse_plain(raw, length, negotiated) {
            Some(meta) => Ok(meta),
            None => Self::parse_all(raw, length, negotiated),
        }
    }

    /// Takes what most packets say, nothing but the state of their checksum, by all rules for that;
    /// [`None`] is for [`Self::parse_all`].
    #[inline]
    pub(super) fn parse_plain(
        raw: &RawPacket,
        length: PacketLength,
        negotiated: Features,
    ) -> Option<Self> {
        if raw.says_more_than_checksum() {
            return None;
        }
        let (start, offset) = (raw.csum_start.get(), raw.csum_offset.get());
        let checksum = match raw.header.flags {
            0 if start | offset == 0 => return Some(Self::NONE),
            CSUM_VALID if start | offset == 0 => Checksum::Valid,
            CSUM_PARTIAL if covers(length, start, offset) => Checksum::Partial { start, offset },
            _ => return None,
        };
        negotiated.contains(Features::CSUM).then_some(Self {
            checksum,
            ..Self::NONE
        })
    }

    fn parse_all(
        raw: &RawPacket,
        length: PacketLength,
        negotiated: Features,
    ) -> Result<Self, Violation> {
        let meta = Self {
            checksum: checksum(raw)?,
            gso: gso(raw, length)?,
            hash: hash(raw)?,
        };
        meta.check(length, negotiated)?;
        Ok(meta)
    }

    #[inline]
    pub(super) fn emit(self, raw: &mut RawPacket) {
        raw.header.flags = match self.checksum {
            Checksum::None => 0,
            Checksum::Valid => CSUM_VALID,
            Checksum::Partial { start, offset } => {
                raw.csum_start.set(start);
                raw.csum_offset.set(offset);
                CSUM_PARTIAL
            }
        };
        if let Some(gso) = self.gso {
            raw.gso_type = gso.kind.to_wire();
            raw.gso_size.set(gso.size);
        }
        if let Some(hash) = self.hash {
            raw.hash_type = match hash.kind {
                HashKind::L3 => 1,
                HashKind::L4 => 2,
            };
            raw.hash.set(hash.value);
        }
    }
}

/// Whether a checksum from `start` on that goes `offset` bytes behind it lies in a packet's payload.
#[inline]
fn covers(length: PacketLength, start: u16, offset: u16) -> bool {
    // At most twice 65535 and 2.
    u32::from(start) >= PacketLength::MIN
        && u32::from(start) + u32::from(offset) + 2 <= length.get()
}

#[inline]
fn checksum(raw: &RawPacket) -> Result<Checksum, Violation> {
    let flags = raw.header.flags;
    if flags & !KNOWN_FLAGS != 0 {
        return Err(Violation::Flags {
            kind: raw.header.kind,
            flags,
        });
    }
    let (start, offset) = (raw.csum_start.get(), raw.csum_offset.get());
    match flags {
        CSUM_PARTIAL => Ok(Checksum::Partial { start, offset }),
        0 if start == 0 && offset == 0 => Ok(Checksum::None),
        CSUM_VALID if start == 0 && offset == 0 => Ok(Checksum::Valid),
        _ => Err(Violation::Checksum {
            flags,
            start,
            offset,
        }),
    }
}

#[inline]
fn gso(raw: &RawPacket, length: PacketLength) -> Result<Option<Gso>, Violation> {
    let gso_size = raw.gso_size.get();
    let kind = match raw.gso_type {
        0 if gso_size == 0 => return Ok(None),
        0 => {
            return Err(Violation::GsoSize {
                gso_type: 0,
                gso_size,
                length,
            })
        }
        1 => GsoKind::TcpV4,
        2 => GsoKind::TcpV6,
        3 => GsoKind::UdpL4,
        unknown => return Err(Violation::GsoType(unknown)),
    };
    Ok(Some(Gso {
        kind,
        size: gso_size,
    }))
}

#[inline]
fn hash(raw: &RawPacket) -> Result<Option<Hash>, Violation> {
    let value = raw.hash.get();
    let kind = match raw.hash_type {
        0 if value == 0 => return Ok(None),
        0 => return Err(Violation::HashWithoutType(value)),
        1 => HashKind::L3,
        2 => HashKind::L4,
        unknown => return Err(Violation::HashType(unknown)),
    };
    Ok(Some(Hash { kind, value }))
}
