// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Any message.

use zerocopy::{
    FromBytes as _,
    IntoBytes as _, //
};

use super::{
    credit::{
        MaxPackets,
        RawSetMaxPackets, //
    },
    finish::{
        FinishBatch,
        RawFinish, //
    },
    header::{
        Kind,
        RawHeader, //
    },
    packet::{
        Packet,
        RawPacket, //
    },
    Features, //
};
use crate::{
    error::Violation,
    units::Bytes, //
};

/// A message that keeps every rule that can be seen in it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Says how much its sender lets its receiver have outstanding.
    SetMaxPackets(MaxPackets),
    /// Carries a packet.
    Packet(Packet),
    /// Gives back packets.
    Finish(FinishBatch),
    /// Fills the ring up to its end.
    Pad,
}

/// Says that a buffer is shorter than the head of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferTooShort;

impl Message {
    /// Checks the head of a message, which lies in private memory.
    ///
    /// `head` has the bytes that [`super::HeadLength`] asks for; whatever follows is ignored. The
    /// size of a PAD is the ring's to check.
    ///
    /// # Errors
    ///
    /// Returns the [`Violation`] of the first rule that the message breaks.
    pub fn parse(head: &[u8], negotiated: Features) -> Result<Self, Violation> {
        let truncated = |size| Violation::MessageTruncated {
            size,
            available: Bytes::new(crate::units::length_of(head)),
        };
        let (header, _) = RawHeader::ref_from_prefix(head).map_err(|_| truncated(0))?;
        let size = header.size.get();
        let kind = Kind::from_wire(header.kind)?;
        if kind != Kind::Packet && header.flags != 0 {
            return Err(Violation::Flags {
                kind: header.kind,
                flags: header.flags,
            });
        }
        match kind {
            Kind::SetMaxPackets => {
                let (raw, _) =
                    RawSetMaxPackets::ref_from_prefix(head).map_err(|_| truncated(size))?;
                if size != 16 {
                    return Err(Violation::MessageSizeMismatch { size, expected: 16 });
                }
                MaxPackets::parse(raw).map(Self::SetMaxPackets)
            }
            Kind::Packet => {
                let (raw, rest) = RawPacket::ref_from_prefix(head).map_err(|_| truncated(size))?;
                Packet::parse(raw, rest, negotiated).map(Self::Packet)
            }
            Kind::Finish => {
                let (raw, rest) = RawFinish::ref_from_prefix(head).map_err(|_| truncated(size))?;
                FinishBatch::parse(raw, rest).map(Self::Finish)
            }
            Kind::Pad => head
                .first_chunk::<{ super::HEADER_SIZE as usize }>()
                .map(|_| Self::Pad)
                .ok_or(truncated(size)),
        }
    }

    /// Puts the head of the message at the start of `into` and returns how long it is.
    ///
    /// A PAD has the size 8; [`crate::ring::Producer`] emits the ones that are longer.
    ///
    /// # Errors
    ///
    /// Returns [`BufferTooShort`] if the head does not fit; [`super::MAX_HEAD`] bytes always do.
    pub fn emit(&self, into: &mut [u8]) -> Result<usize, BufferTooShort> {
        match self {
            Self::SetMaxPackets(credit) => put(credit.to_raw().as_bytes(), into),
            Self::Packet(packet) => packet.emit(into),
            Self::Finish(batch) => batch.emit(into),
            Self::Pad => put(&pad(8), into),
        }
    }
}

/// Returns the first 8 bytes of a PAD of `size` bytes.
pub(crate) const fn pad(size: u16) -> [u8; 8] {
    let [low, high] = size.to_le_bytes();
    [Kind::Pad.to_wire(), 0, low, high, 0, 0, 0, 0]
}

/// Checks that `rest` starts with `padding` bytes that are zero.
pub(super) fn check_padding(kind: Kind, rest: &[u8], padding: Bytes) -> Result<(), Violation> {
    let nonzero = match rest.get(..padding.as_usize()) {
        Some(bytes) => bytes.iter().copied().find(|byte| *byte != 0),
        None => {
            return Err(Violation::MessageTruncated {
                size: u16::try_from(padding.get()).unwrap_or(u16::MAX),
                available: Bytes::new(crate::units::length_of(rest)),
            })
        }
    };
    match nonzero {
        Some(byte) => Err(Violation::Reserved {
            kind: kind.to_wire(),
            value: u32::from(byte),
        }),
        None => Ok(()),
    }
}

fn put(head: &[u8], into: &mut [u8]) -> Result<usize, BufferTooShort> {
    into.get_mut(..head.len())
        .ok_or(BufferTooShort)?
        .copy_from_slice(head);
    Ok(head.len())
}
