// SPDX-License-Identifier: GPL-2.0 OR MIT

//! PACKET: a packet, with its bytes or where they are.

mod plain;
mod view;

pub(crate) use self::view::PacketView;

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
    fragments::{
        Fragments,
        RawFragment, //
    },
    header::{
        MessageSize,
        RawHeader, //
    },
    message::{
        truncated,
        BufferTooShort, //
    },
    metadata::{
        PacketMeta, //
    },
    Features, //
};
use crate::{
    error::Violation,
    grant::PageName,
    pool::PoolSlot,
    units::{
        InlineLength,
        PacketId,
        PacketLength, //
    },
};

/// The start of a PACKET, as it lies in the ring; fragments, inline bytes and padding follow.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RawPacket {
    /// Type 2; bit 0 of the flags is a partial checksum, bit 1 a valid one.
    pub header: RawHeader,
    /// The id for FINISH, or 65535 for a packet that needs none.
    pub id: U16,
    /// How the bytes travel, a [`Way`].
    pub way: u8,
    /// How many fragments follow.
    pub fragments: u8,
    /// How many bytes the packet has.
    pub length: U32,
    /// How many of them follow the fragments.
    pub inline_length: U16,
    /// How the packet is to be cut into segments: 0 for not at all.
    pub gso_type: u8,
    /// What the hash was computed over: 0 for no hash.
    pub hash_type: u8,
    /// How many bytes of payload a segment has.
    pub gso_size: U16,
    /// Where a partial checksum starts.
    pub csum_start: U16,
    /// Where a partial checksum goes, from its start.
    pub csum_offset: U16,
    /// Zero.
    pub reserved: U16,
    /// The hash of the flow.
    pub hash: U32,
    /// Zero.
    pub reserved_too: U32,
}

impl RawPacket {
    /// The size of the structure.
    pub(crate) const SIZE: u16 = 32;

    /// Says whether the packet is to be cut into segments or has a hash.
    #[inline]
    pub(super) const fn says_more_than_checksum(&self) -> bool {
        let small = self.gso_type as u16 | self.hash_type as u16 | self.gso_size.get();
        small as u32 | self.hash.get() != 0
    }
}

static_assertions::const_assert_eq!(size_of::<RawPacket>(), RawPacket::SIZE as usize);

/// How the bytes of a packet travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// In the message.
    Inline,
    /// In slots of the sender's pool, which the receiver has mapped; needs the feature.
    Staged,
    /// On pages that the receiver copies from.
    Granted,
    /// In a buffer that the receiver lent; not in version 1.
    Posted,
}

impl Way {
    /// Returns the number on the wire.
    #[inline]
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::Inline => 0,
            Self::Staged => 1,
            Self::Granted => 2,
            Self::Posted => 3,
        }
    }

    /// Takes a number from the wire.
    ///
    /// # Errors
    ///
    /// Returns [`Violation::Way`] for a way that does not exist or that was not negotiated.
    #[inline]
    pub const fn from_wire(way: u8, negotiated: Features) -> Result<Self, Violation> {
        match way {
            0 => Ok(Self::Inline),
            1 if negotiated.contains(Features::STAGED) => Ok(Self::Staged),
            2 => Ok(Self::Granted),
            _ => Err(Violation::Way(way)),
        }
    }
}

/// A packet whose message keeps every rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The id for FINISH; a granted packet has one.
    pub id: Option<PacketId>,
    /// How many bytes the packet has.
    pub length: PacketLength,
    /// How they travel.
    pub way: Way,
    /// How many of them, the first ones, lie in the message.
    pub inline_length: InlineLength,
    /// Where the rest of them is, of a granted packet.
    pub fragments: Fragments,
    /// Where the rest of them is, of a staged packet.
    pub staged: Fragments<PoolSlot>,
    /// What the packet says of itself.
    pub meta: PacketMeta,
}

impl Packet {
    /// Returns the size of the whole message: head, inline bytes and padding.
    ///
    /// Is [`None`] never, as the fields' types keep the bounds that it adds up to.
    #[inline]
    pub fn size(&self) -> Option<MessageSize> {
        self.view().size()
    }

    /// Returns the size of a message with that many fragments and inline bytes, if there is one.
    #[inline]
    pub fn size_with(fragments: u8, inline_length: InlineLength) -> Option<MessageSize> {
        MessageSize::for_content(content(fragments, inline_length))
    }

    /// Returns the size of the head: the fixed part and the fragments.
    #[inline]
    pub fn head_size(&self) -> u16 {
        head_size(self.fragments.count().saturating_add(self.staged.count()))
    }

    /// Checks what a sender is about to send by the rules that its receiver goes by.
    ///
    /// # Errors
    ///
    /// Returns the [`Violation`] that the peer would see.
    #[inline]
    pub fn check(&self, negotiated: Features) -> Result<(), Violation> {
        self.view().check(negotiated)
    }

    #[inline]
    fn view(&self) -> PacketView<'_> {
        PacketView {
            id: self.id,
            length: self.length,
            way: self.way,
            inline_length: self.inline_length,
            fragments: self.fragments.as_slice(),
            staged: self.staged.as_slice(),
            meta: self.meta,
        }
    }

    /// A value to parse into.
    pub(crate) const FILLER: Self = Self {
        id: None,
        length: PacketLength::LARGEST,
        way: Way::Inline,
        inline_length: InlineLength::ZERO,
        fragments: Fragments::NONE,
        staged: Fragments::NONE,
        meta: PacketMeta::NONE,
    };

    /// Checks the head of a PACKET, which lies in private memory.
    #[inline]
    pub(crate) fn parse(head: &[u8], negotiated: Features) -> Result<Self, Violation> {
        let mut packet = Self::FILLER;
        packet.parse_from(head, negotiated)?;
        Ok(packet)
    }

    /// Checks the head of a PACKET, in place of what this was before.
    ///
    /// In place, as a packet is long and few of its fragments are in use. After an error its
    /// contents mean nothing.
    #[inline]
    pub(crate) fn parse_from(
        &mut self,
        head: &[u8],
        negotiated: Features,
    ) -> Result<(), Violation> {
        let (raw, rest) = RawPacket::ref_from_prefix(head).map_err(|_| truncated(head))?;
        match self.parse_plain(raw, rest, negotiated) {
            Some(()) => Ok(()),
            None => self.parse_any(raw, rest, negotiated),
        }
    }

    /// Does as [`Self::parse_from`] for any packet.
    // Not inlined: its registers are saved for it alone.
    #[inline(never)]
    fn parse_any(
        &mut self,
        raw: &RawPacket,
        rest: &[u8],
        negotiated: Features,
    ) -> Result<(), Violation> {
        let reserved = u32::from(raw.reserved.get()) | raw.reserved_too.get();
        if reserved != 0 {
            return Err(Violation::Reserved {
                kind: raw.header.kind,
                value: reserved,
            });
        }
        self.way = Way::from_wire(raw.way, negotiated)?;
        let length = PacketLength::new(raw.length.get())?;
        self.length = length;
        self.id = match raw.id.get() {
            PacketId::NONE_ON_WIRE => None,
            id => Some(PacketId::new(id).ok_or(Violation::PacketId(id))?),
        };
        let inline_length = raw.inline_length.get();
        self.inline_length = InlineLength::new(inline_length).ok_or(Violation::InlineLength {
            inline_length,
            length,
        })?;
        self.meta = PacketMeta::parse(raw, length, negotiated)?;
        self.fragments.clear();
        self.staged.clear();
        match self.way {
            Way::Staged => parse_fragments(raw, rest, &mut self.staged)?,
            _ => parse_fragments(raw, rest, &mut self.fragments)?,
        }
        self.view().check_way()?;
        let size = raw.header.size.get();
        let expected = content(raw.fragments, self.inline_length).next_multiple_of(8);
        if u32::from(size) != expected {
            return Err(Violation::MessageSizeMismatch { size, expected });
        }
        Ok(())
    }

    pub(super) fn emit(&self, into: &mut [u8]) -> Result<usize, BufferTooShort> {
        self.view().emit(into)
    }
}

/// Returns the size of the head; the widths keep the arithmetic in bounds.
#[inline]
fn head_size(fragments: u8) -> u16 {
    RawPacket::SIZE + u16::from(fragments) * RawFragment::SIZE
}

#[inline]
fn content(fragments: u8, inline_length: InlineLength) -> u32 {
    u32::from(head_size(fragments)) + u32::from(inline_length.get())
}

#[inline]
fn parse_fragments<P: PageName>(
    raw: &RawPacket,
    mut rest: &[u8],
    into: &mut Fragments<P>,
) -> Result<(), Violation> {
    let too_many = Violation::FragmentCount {
        fragments: raw.fragments,
        way: raw.way,
    };
    for place in 0..raw.fragments {
        let (raw_fragment, tail) =
            RawFragment::ref_from_prefix(rest).map_err(|_| Violation::MessageSizeMismatch {
                size: raw.header.size.get(),
                expected: u32::from(head_size(raw.fragments)),
            })?;
        rest = tail;
        into.push(raw_fragment.parse(place)?).ok_or(too_many)?;
    }
    Ok(())
}
