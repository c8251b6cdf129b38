// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Any message.

use zerocopy::{
    FromBytes as _,
    IntoBytes as _, //
};

use super::{
    credit::MaxPackets,
    finish::FinishBatch,
    header::{
        Kind,
        RawHeader, //
    },
    moderation::SetModeration,
    packet::Packet,
    pool::{
        parse_drop,
        PoolAdd,
        PoolAnswer,
        RawPoolChunk, //
    },
    Features, //
};
use crate::{
    error::Violation,
    pool::ChunkIndex,
    units::{
        length_of,
        Bytes, //
    },
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
    /// Offers a chunk of staged memory.
    PoolAdd(PoolAdd),
    /// Says that a chunk is not used any more.
    PoolDrop(ChunkIndex),
    /// Says what became of a chunk of the peer's.
    PoolAnswer(ChunkIndex, PoolAnswer),
    /// Says how long events may wait.
    SetModeration(SetModeration),
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
        let (header, _) = RawHeader::ref_from_prefix(head).map_err(|_| truncated(head))?;
        let kind = Kind::from_wire(header.kind)?;
        kind.check(negotiated)?;
        match kind {
            Kind::SetMaxPackets => MaxPackets::parse(head).map(Self::SetMaxPackets),
            Kind::Packet => Packet::parse(head, negotiated).map(Self::Packet),
            Kind::Finish => FinishBatch::parse(head).map(Self::Finish),
            Kind::PoolAdd => PoolAdd::parse(head).map(Self::PoolAdd),
            Kind::PoolDrop => parse_drop(head).map(Self::PoolDrop),
            Kind::PoolAnswer => {
                PoolAnswer::parse(head).map(|(chunk, answer)| Self::PoolAnswer(chunk, answer))
            }
            Kind::SetModeration => {
                SetModeration::parse_negotiated(head, negotiated).map(Self::SetModeration)
            }
            Kind::Pad => parse_pad(head).map(|()| Self::Pad),
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
            Self::PoolAdd(add) => put(add.to_raw().as_bytes(), into),
            Self::PoolDrop(chunk) => put(RawPoolChunk::drop(*chunk).as_bytes(), into),
            Self::PoolAnswer(chunk, answer) => {
                put(RawPoolChunk::answer(*chunk, *answer).as_bytes(), into)
            }
            Self::SetModeration(moderation) => put(moderation.to_raw().as_bytes(), into),
            Self::Pad => put(&pad(8), into),
        }
    }
}

/// Checks the head of a PAD, whose size is the ring's to check.
pub(crate) fn parse_pad(head: &[u8]) -> Result<(), Violation> {
    let (header, rest) = RawHeader::ref_from_prefix(head).map_err(|_| truncated(head))?;
    header.without_flags()?;
    rest.first_chunk::<4>().map(|_| ()).ok_or(truncated(head))
}

/// Returns the first 8 bytes of a PAD of `size` bytes.
pub(crate) const fn pad(size: u16) -> [u8; 8] {
    let [low, high] = size.to_le_bytes();
    [Kind::Pad.to_wire(), 0, low, high, 0, 0, 0, 0]
}

/// Says that the private bytes of a message end too soon.
#[cold]
pub(super) fn truncated(head: &[u8]) -> Violation {
    let size = match head {
        [_, _, low, high, ..] => u16::from_le_bytes([*low, *high]),
        _ => 0,
    };
    Violation::MessageTruncated {
        size,
        available: Bytes::new(length_of(head)),
    }
}

fn put(head: &[u8], into: &mut [u8]) -> Result<usize, BufferTooShort> {
    into.get_mut(..head.len())
        .ok_or(BufferTooShort)?
        .copy_from_slice(head);
    Ok(head.len())
}
