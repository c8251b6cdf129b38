// SPDX-License-Identifier: GPL-2.0 OR MIT

//! FINISH: packets that are given back to their sender.

use zerocopy::{
    little_endian::U16,
    FromBytes as _,
    IntoBytes as _, //
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
        MessageSize,
        RawHeader, //
    },
    message::{
        truncated,
        BufferTooShort, //
    },
    HEADER_SIZE,
    MAX_FINISHES, //
};
use crate::{
    error::Violation,
    units::{
        Bytes,
        PacketId, //
    }, //
};

/// The start of a FINISH, as it lies in the ring; entries and padding to 8 bytes follow.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RawFinish {
    /// Type 3, no flags.
    pub header: RawHeader,
    /// How many entries follow.
    pub count: U16,
    /// Zero.
    pub reserved: U16,
}

static_assertions::const_assert_eq!(size_of::<RawFinish>(), 8);

/// One entry of a FINISH, as it lies in the ring.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RawFinishEntry {
    /// The packet.
    pub id: U16,
    /// What became of it, a [`FinishStatus`].
    pub status: u8,
    /// Zero.
    pub reserved: u8,
}

static_assertions::const_assert_eq!(size_of::<RawFinishEntry>(), 4);

const ENTRY_SIZE: u16 = 4;

// A full FINISH is the longest head.
static_assertions::const_assert_eq!(
    super::MAX_HEAD,
    HEADER_SIZE as usize + MAX_FINISHES as usize * ENTRY_SIZE as usize
);

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishStatus {
    /// The receiver has it.
    Ok,
    /// A grant copy failed.
    CopyFailed,
    /// The receiver had no memory for it.
    NoMemory,
    /// The receiver's stack would not take it.
    BadPacket,
}

impl FinishStatus {
    /// Returns the number on the wire.
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::CopyFailed => 1,
            Self::NoMemory => 2,
            Self::BadPacket => 3,
        }
    }

    /// Takes a number from the wire, or returns [`None`] for one without a meaning.
    pub const fn from_wire(status: u8) -> Option<Self> {
        match status {
            0 => Some(Self::Ok),
            1 => Some(Self::CopyFailed),
            2 => Some(Self::NoMemory),
            3 => Some(Self::BadPacket),
            _ => None,
        }
    }
}

/// A packet that is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finish {
    /// The packet.
    pub id: PacketId,
    /// What became of it.
    pub status: FinishStatus,
}

/// The packets that one FINISH gives back.
///
/// # Invariants
///
/// `length` is at most [`MAX_FINISHES`]; on the wire it is at least 1.
#[derive(Clone, Copy)]
pub struct FinishBatch {
    entries: [Option<Finish>; MAX_FINISHES as usize],
    length: u16,
}

impl FinishBatch {
    /// Starts a batch with no packet in it.
    pub const fn new() -> Self {
        // INVARIANT: Zero is within the bound.
        Self {
            entries: [None; MAX_FINISHES as usize],
            length: 0,
        }
    }

    /// Adds a packet, or hands it back if the batch is full.
    ///
    /// # Errors
    ///
    /// Returns `finish` if [`MAX_FINISHES`] packets are in the batch.
    pub fn push(&mut self, finish: Finish) -> Result<(), Finish> {
        match self.entries.get_mut(usize::from(self.length)) {
            Some(entry) => {
                *entry = Some(finish);
                // INVARIANT: The entry exists, so the length was below the bound.
                self.length = self.length.saturating_add(1);
                Ok(())
            }
            None => Err(finish),
        }
    }

    /// Iterates over the packets, in the order of the message.
    pub fn iter(&self) -> impl Iterator<Item = Finish> + '_ {
        self.entries
            .iter()
            .take(usize::from(self.length))
            .flatten()
            .copied()
    }

    /// Returns how many packets there are, as on the wire.
    pub const fn count(&self) -> u16 {
        self.length
    }

    /// Returns how many packets there are.
    pub fn len(&self) -> usize {
        usize::from(self.length)
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Returns the size of the message, with its padding.
    pub fn size(&self) -> MessageSize {
        // The bound of `length` keeps it a size; the largest would be refused by a short ring.
        MessageSize::for_content(content(self.length)).unwrap_or(MessageSize::MAX)
    }

    /// Checks a FINISH, which lies in private memory.
    pub(crate) fn parse(head: &[u8]) -> Result<Self, Violation> {
        let mut batch = Self::new();
        batch.parse_from(head)?;
        Ok(batch)
    }

    /// Checks a FINISH, in place of what this was before; after an error its contents mean nothing.
    pub(crate) fn parse_from(&mut self, head: &[u8]) -> Result<(), Violation> {
        let (raw, mut rest) = RawFinish::ref_from_prefix(head).map_err(|_| truncated(head))?;
        raw.header.without_flags()?;
        let kind = Kind::Finish.to_wire();
        let count = raw.count.get();
        if count == 0 || count > MAX_FINISHES {
            return Err(Violation::FinishCount(count));
        }
        if raw.reserved.get() != 0 {
            return Err(Violation::Reserved {
                kind,
                value: u32::from(raw.reserved.get()),
            });
        }
        let size = raw.header.size.get();
        let expected = content(count).next_multiple_of(8);
        let padding = expected.saturating_sub(content(count));
        let mismatch = Violation::MessageSizeMismatch { size, expected };
        if u32::from(size) != expected {
            return Err(mismatch);
        }

        // INVARIANT: Zero is within the bound.
        self.length = 0;
        for entry in 0..count {
            let (raw, tail) = RawFinishEntry::ref_from_prefix(rest).map_err(|_| truncated(head))?;
            rest = tail;
            if raw.reserved != 0 {
                return Err(Violation::Reserved {
                    kind,
                    value: u32::from(raw.reserved),
                });
            }
            let id = raw.id.get();
            let finish = Finish {
                id: PacketId::new(id).ok_or(Violation::FinishUnknown(id))?,
                status: FinishStatus::from_wire(raw.status).ok_or(Violation::FinishStatus {
                    entry,
                    status: raw.status,
                })?,
            };
            self.push(finish).map_err(|_| mismatch)?;
        }
        let padding = rest
            .get(..Bytes::new(padding).as_usize())
            .ok_or_else(|| truncated(head))?;
        match padding.iter().find(|byte| **byte != 0) {
            Some(byte) => Err(Violation::Reserved {
                kind,
                value: u32::from(*byte),
            }),
            None => Ok(()),
        }
    }

    pub(super) fn emit(&self, into: &mut [u8]) -> Result<usize, BufferTooShort> {
        let size = self.size();
        let head = RawFinish {
            header: RawHeader {
                kind: Kind::Finish.to_wire(),
                flags: 0,
                size: U16::new(size.get()),
            },
            count: U16::new(self.length),
            reserved: U16::ZERO,
        };
        let whole = usize::from(size.get());
        let into = into.get_mut(..whole).ok_or(BufferTooShort)?;
        into.fill(0);
        let (start, entries) = into
            .split_first_chunk_mut::<{ size_of::<RawFinish>() }>()
            .ok_or(BufferTooShort)?;
        start.copy_from_slice(head.as_bytes());
        for (to, finish) in entries
            .chunks_exact_mut(usize::from(ENTRY_SIZE))
            .zip(self.iter())
        {
            let raw = RawFinishEntry {
                id: U16::new(finish.id.get()),
                status: finish.status.to_wire(),
                reserved: 0,
            };
            to.copy_from_slice(raw.as_bytes());
        }
        Ok(whole)
    }
}

/// Returns the size of a FINISH without padding; the widths keep the arithmetic in bounds.
fn content(count: u16) -> u32 {
    u32::from(HEADER_SIZE) + u32::from(count) * u32::from(ENTRY_SIZE)
}

impl Default for FinishBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for FinishBatch {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for FinishBatch {}

impl core::fmt::Debug for FinishBatch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
