// SPDX-License-Identifier: GPL-2.0 OR MIT

//! POOL_ADD, POOL_DROP and POOL_ANSWER: chunks of staged memory come and go.

use zerocopy::{
    little_endian::{
        U16,
        U32, //
    },
    FromBytes as _, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

use super::{
    header::{
        Kind,
        RawHeader, //
    },
    message::truncated, //
};
use crate::{
    error::Violation,
    grant::GrantRef,
    pool::{
        ChunkIndex,
        CHUNK_PAGES, //
    },
};

const PAGES: usize = CHUNK_PAGES as usize;

/// POOL_ADD, as it lies in the ring.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RawPoolAdd {
    /// Type 5, no flags.
    pub header: RawHeader,
    /// The chunk.
    pub chunk: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// The pages in their order, by references into the sender's grant table.
    pub references: [U32; PAGES],
}

static_assertions::const_assert_eq!(size_of::<RawPoolAdd>(), PoolAdd::SIZE as usize);

/// POOL_DROP and POOL_ANSWER, as they lie in the ring.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RawPoolChunk {
    /// Type 6 or 7, no flags.
    pub header: RawHeader,
    /// The chunk.
    pub chunk: u8,
    /// Of POOL_ANSWER a [`PoolAnswer`], else zero.
    pub answer: u8,
    /// Zero.
    pub reserved: U16,
}

static_assertions::const_assert_eq!(size_of::<RawPoolChunk>(), RawPoolChunk::SIZE as usize);

impl RawPoolChunk {
    /// The size of the structure.
    pub(crate) const SIZE: u16 = 8;

    pub(super) const fn drop(chunk: ChunkIndex) -> Self {
        Self::new(Kind::PoolDrop, chunk, 0)
    }

    pub(super) const fn answer(chunk: ChunkIndex, answer: PoolAnswer) -> Self {
        Self::new(Kind::PoolAnswer, chunk, answer.to_wire())
    }

    const fn new(kind: Kind, chunk: ChunkIndex, answer: u8) -> Self {
        Self {
            header: RawHeader {
                kind: kind.to_wire(),
                flags: 0,
                size: U16::new(Self::SIZE),
            },
            chunk: chunk.get(),
            answer,
            reserved: U16::ZERO,
        }
    }

    fn parse(head: &[u8]) -> Result<(&Self, ChunkIndex), Violation> {
        let (raw, _) = Self::ref_from_prefix(head).map_err(|_| truncated(head))?;
        check(&raw.header, Self::SIZE, raw.reserved.get().into())?;
        Ok((raw, chunk(raw.chunk)?))
    }
}

/// A chunk that the peer may map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolAdd {
    /// The chunk.
    pub chunk: ChunkIndex,
    /// Its pages, in their order.
    pub references: [GrantRef; PAGES],
}

impl PoolAdd {
    /// The size of the message.
    pub(crate) const SIZE: u16 = 8 + 4 * CHUNK_PAGES;

    pub(super) fn parse(head: &[u8]) -> Result<Self, Violation> {
        let (raw, _) = RawPoolAdd::ref_from_prefix(head).map_err(|_| truncated(head))?;
        let [low, middle, high] = raw.reserved;
        check(
            &raw.header,
            Self::SIZE,
            u32::from_le_bytes([low, middle, high, 0]),
        )?;
        let mut add = Self {
            chunk: chunk(raw.chunk)?,
            references: [GrantRef::FIRST; PAGES],
        };
        for ((to, from), page) in add.references.iter_mut().zip(&raw.references).zip(0..) {
            let reference = from.get();
            *to = GrantRef::new(reference).ok_or(Violation::PoolReference { page, reference })?;
        }
        Ok(add)
    }

    pub(super) fn to_raw(self) -> RawPoolAdd {
        RawPoolAdd {
            header: RawHeader {
                kind: Kind::PoolAdd.to_wire(),
                flags: 0,
                size: U16::new(Self::SIZE),
            },
            chunk: self.chunk.get(),
            reserved: [0; 3],
            references: self.references.map(|reference| U32::new(reference.get())),
        }
    }
}

/// What a side says of a chunk of its peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolAnswer {
    /// It is mapped: packets may name its slots.
    Mapped,
    /// It is not mapped and will not be.
    Refused,
    /// After POOL_DROP, it is not mapped any more.
    Dropped,
    /// It is mapped, and the peer is asked for POOL_DROP soon.
    GiveBack,
}

impl PoolAnswer {
    /// Returns the number on the wire.
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::Mapped => 0,
            Self::Refused => 1,
            Self::Dropped => 2,
            Self::GiveBack => 3,
        }
    }

    /// Takes a number from the wire.
    ///
    /// # Errors
    ///
    /// Returns [`Violation::PoolAnswer`] for a number without a meaning.
    pub const fn from_wire(answer: u8) -> Result<Self, Violation> {
        match answer {
            0 => Ok(Self::Mapped),
            1 => Ok(Self::Refused),
            2 => Ok(Self::Dropped),
            3 => Ok(Self::GiveBack),
            _ => Err(Violation::PoolAnswer(answer)),
        }
    }

    pub(super) fn parse(head: &[u8]) -> Result<(ChunkIndex, Self), Violation> {
        let (raw, chunk) = RawPoolChunk::parse(head)?;
        Ok((chunk, Self::from_wire(raw.answer)?))
    }
}

/// Checks a POOL_DROP, which lies in private memory.
pub(super) fn parse_drop(head: &[u8]) -> Result<ChunkIndex, Violation> {
    let (raw, chunk) = RawPoolChunk::parse(head)?;
    if raw.answer != 0 {
        return Err(Violation::Reserved {
            kind: raw.header.kind,
            value: raw.answer.into(),
        });
    }
    Ok(chunk)
}

fn chunk(chunk: u8) -> Result<ChunkIndex, Violation> {
    ChunkIndex::new(chunk).ok_or(Violation::PoolChunk(chunk))
}

fn check(header: &RawHeader, expected: u16, reserved: u32) -> Result<(), Violation> {
    header.without_flags()?;
    let size = header.size.get();
    if size != expected {
        return Err(Violation::MessageSizeMismatch {
            size,
            expected: expected.into(),
        });
    }
    if reserved != 0 {
        return Err(Violation::Reserved {
            kind: header.kind,
            value: reserved,
        });
    }
    Ok(())
}
