// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A packet that is about to be sent, or was just parsed, with its fragments where they are.

use zerocopy::{
    little_endian::{
        U16,
        U32, //
    },
    IntoBytes as _, //
};

use super::{
    Packet,
    RawPacket,
    Way, //
};
use crate::{
    error::Violation,
    grant::{
        Fragment,
        PageName, //
    },
    pool::PoolSlot,
    units::{
        InlineLength,
        PacketId,
        PacketLength, //
    },
    wire::{
        fragments::{
            sum,
            RawFragment, //
        },
        header::{
            Kind,
            MessageSize,
            RawHeader, //
        },
        message::BufferTooShort,
        metadata::PacketMeta,
        Features,
        MAX_FRAGMENTS, //
    },
};

/// A [`Packet`] whose fragments are where their owner has them.
///
/// One of `fragments` and `staged` is empty, but of a packet that [`Self::check`] refuses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacketView<'a> {
    pub(super) id: Option<PacketId>,
    pub(super) length: PacketLength,
    pub(super) way: Way,
    pub(super) inline_length: InlineLength,
    pub(super) fragments: &'a [Fragment],
    pub(super) staged: &'a [Fragment<PoolSlot>],
    pub(super) meta: PacketMeta,
}

impl<'a> PacketView<'a> {
    /// Takes an inline packet, or returns [`None`] if it is too long for that.
    #[inline]
    pub(crate) fn inline(length: PacketLength, meta: PacketMeta) -> Option<Self> {
        Some(Self {
            id: None,
            length,
            way: Way::Inline,
            inline_length: InlineLength::try_from(length).ok()?,
            fragments: &[],
            staged: &[],
            meta,
        })
    }

    /// Takes a staged packet.
    #[inline]
    pub(crate) const fn staged(
        length: PacketLength,
        staged: &'a [Fragment<PoolSlot>],
        meta: PacketMeta,
    ) -> Self {
        Self {
            id: None,
            length,
            way: Way::Staged,
            inline_length: InlineLength::ZERO,
            fragments: &[],
            staged,
            meta,
        }
    }

    /// Takes a granted packet, or returns [`None`] if it has too many inline bytes.
    #[inline]
    pub(crate) fn granted(
        id: PacketId,
        length: PacketLength,
        prefix: &[u8],
        fragments: &'a [Fragment],
        meta: PacketMeta,
    ) -> Option<Self> {
        Some(Self {
            id: Some(id),
            length,
            way: Way::Granted,
            inline_length: u16::try_from(prefix.len())
                .ok()
                .and_then(InlineLength::new)?,
            fragments,
            staged: &[],
            meta,
        })
    }

    /// Returns how many inline bytes there are.
    #[inline]
    pub(crate) const fn inline_length(&self) -> InlineLength {
        self.inline_length
    }

    /// Counts the fragments, or returns [`None`] for more than [`MAX_FRAGMENTS`].
    #[inline]
    fn count(&self) -> Option<u8> {
        let count = self.fragments.len().saturating_add(self.staged.len());
        u8::try_from(count)
            .ok()
            .filter(|count| *count <= MAX_FRAGMENTS)
    }

    /// Checks the rules that the receiver goes by.
    #[inline]
    pub(crate) fn check(&self, negotiated: Features) -> Result<(), Violation> {
        self.check_way()?;
        self.meta.check(self.length, negotiated)
    }

    #[inline]
    pub(super) fn check_way(&self) -> Result<(), Violation> {
        // All rules for what most packets are: in the message, or in one slot.
        let is_plain = match (self.way, self.staged) {
            (Way::Inline, []) => u32::from(self.inline_length.get()) == self.length.get(),
            (Way::Staged, [only]) => {
                self.inline_length == InlineLength::ZERO
                    && u32::from(only.length().get()) == self.length.get()
            }
            _ => false,
        };
        if is_plain && self.id.is_none() && self.fragments.is_empty() {
            return Ok(());
        }
        self.check_any_way()
    }

    fn check_any_way(&self) -> Result<(), Violation> {
        let length = self.length;
        let inline_length = self.inline_length.get();
        let way = self.way.to_wire();
        let (is_inline, needs_id, others) = match self.way {
            Way::Inline => (true, false, 0),
            Way::Staged => (false, false, self.fragments.len()),
            Way::Granted => (false, true, self.staged.len()),
            Way::Posted => return Err(Violation::Way(way)),
        };
        let count = self.count().filter(|_| others == 0);
        if count.is_none_or(|count| is_inline != (count == 0)) {
            let fragments = count.unwrap_or(u8::MAX);
            return Err(Violation::FragmentCount { fragments, way });
        }
        if needs_id != self.id.is_some() {
            let id = self.id.map_or(PacketId::NONE_ON_WIRE, PacketId::get);
            return Err(Violation::PacketId(id));
        }
        let short = u32::from(inline_length) < length.get();
        if u32::from(inline_length) > length.get() || is_inline == short {
            return Err(Violation::InlineLength {
                inline_length,
                length,
            });
        }
        // At most 2048 and 18 pages.
        let sum = match self.way {
            Way::Staged => sum(self.staged),
            _ => sum(self.fragments),
        };
        let sum = sum.saturating_add(inline_length.into());
        if sum != length.get() {
            return Err(Violation::FragmentSum { sum, length });
        }
        Ok(())
    }

    /// Returns the size of the message.
    #[inline]
    pub(crate) fn size(&self) -> Option<MessageSize> {
        Packet::size_with(self.count()?, self.inline_length)
    }

    /// Puts the head at the start of `into` and returns how long it is.
    #[inline]
    pub(crate) fn emit(&self, into: &mut [u8]) -> Result<usize, BufferTooShort> {
        let size = self.size().ok_or(BufferTooShort)?;
        self.emit_sized(size, into)
    }

    /// Does as [`Self::emit`] for a message whose [`Self::size`] is known.
    #[inline]
    pub(crate) fn emit_sized(
        &self,
        size: MessageSize,
        into: &mut [u8],
    ) -> Result<usize, BufferTooShort> {
        let raw = self.raw(size);
        let (start, rest) = into
            .split_first_chunk_mut::<{ RawPacket::SIZE as usize }>()
            .ok_or(BufferTooShort)?;
        start.copy_from_slice(raw.as_bytes());
        let fragments = match self.way {
            Way::Staged => emit_fragments(self.staged, rest)?,
            _ => emit_fragments(self.fragments, rest)?,
        };
        Ok(fragments.saturating_add(RawPacket::SIZE.into()))
    }

    #[inline]
    fn raw(&self, size: MessageSize) -> RawPacket {
        // One of the two is empty, and a message has a size only with so few.
        let count = self.fragments.len() | self.staged.len();
        let mut raw = RawPacket {
            header: RawHeader {
                kind: Kind::Packet.to_wire(),
                flags: 0,
                size: U16::new(size.get()),
            },
            id: U16::new(self.id.map_or(PacketId::NONE_ON_WIRE, PacketId::get)),
            way: self.way.to_wire(),
            fragments: u8::try_from(count).unwrap_or(u8::MAX),
            length: U32::new(self.length.get()),
            inline_length: U16::new(self.inline_length.get()),
            ..RawPacket::default()
        };
        self.meta.emit(&mut raw);
        raw
    }
}

#[inline]
fn emit_fragments<P: PageName>(
    fragments: &[Fragment<P>],
    into: &mut [u8],
) -> Result<usize, BufferTooShort> {
    let mut places = into.chunks_exact_mut(usize::from(RawFragment::SIZE));
    let mut length = 0_usize;
    for fragment in fragments {
        let place = places.next().ok_or(BufferTooShort)?;
        place.copy_from_slice(RawFragment::from(*fragment).as_bytes());
        length = length.saturating_add(place.len());
    }
    Ok(length)
}
