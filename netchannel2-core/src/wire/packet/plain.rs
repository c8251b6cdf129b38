// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Packets that use little of what a PACKET can say, as most do.

use zerocopy::FromBytes as _;

use super::{
    content,
    Packet,
    RawPacket,
    Way, //
};
use crate::{
    pool::PoolSlot,
    units::{
        InlineLength,
        PacketId,
        PacketLength, //
    },
    wire::{
        fragments::RawFragment,
        metadata::PacketMeta,
        Features, //
    },
};

impl Packet {
    /// Takes a packet without an id that lies in its message or in one slot, and says no more of
    /// itself than the state of its checksum.
    ///
    /// Goes by all rules for such a packet. [`None`] says that it is another, or breaks one:
    /// [`Self::parse_any`] finds out which.
    #[inline]
    pub(super) fn parse_plain(
        &mut self,
        raw: &RawPacket,
        rest: &[u8],
        negotiated: Features,
    ) -> Option<()> {
        let reserved = u32::from(raw.reserved.get()) | raw.reserved_too.get();
        if reserved != 0 || raw.id.get() != PacketId::NONE_ON_WIRE {
            return None;
        }
        let length = PacketLength::new(raw.length.get()).ok()?;
        let inline_length = InlineLength::new(raw.inline_length.get())?;
        if u32::from(raw.header.size.get())
            != content(raw.fragments, inline_length).next_multiple_of(8)
        {
            return None;
        }
        let meta = PacketMeta::parse_plain(raw, length, negotiated)?;
        let way = match (raw.way, raw.fragments) {
            (0, 0) if u32::from(inline_length.get()) == length.get() => Way::Inline,
            (1, 1) if negotiated.contains(Features::STAGED) => Way::Staged,
            _ => return None,
        };
        self.staged.clear();
        if way == Way::Staged {
            let (slot, _) = RawFragment::ref_from_prefix(rest).ok()?;
            let slot = slot.parse::<PoolSlot>(0).ok()?;
            if u32::from(slot.length().get()) != length.get() || inline_length != InlineLength::ZERO
            {
                return None;
            }
            self.staged.push(slot)?;
        }
        self.fragments.clear();
        self.id = None;
        self.length = length;
        self.way = way;
        self.inline_length = inline_length;
        self.meta = meta;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use zerocopy::IntoBytes as _;

    use super::*;
    use crate::{
        grant::{
            Fragment,
            GrantRef,
            PageName as _, //
        },
        units::FragmentLength,
        wire::{
            fragments::Fragments,
            Checksum,
            Gso,
            GsoKind,
            Hash,
            HashKind, //
        },
    };

    /// The head of a packet in its message, or in one slot, that says nothing of itself.
    fn head(way: Way, length: u16) -> Vec<u8> {
        let mut raw = RawPacket::default();
        raw.header.kind = 2;
        raw.id.set(PacketId::NONE_ON_WIRE);
        raw.way = way.to_wire();
        raw.length.set(length.into());
        let mut slot = Vec::new();
        if way == Way::Staged {
            raw.fragments = 1;
            slot.extend([33, 0, 0, 0, 0, 0]);
            slot.extend(length.to_le_bytes());
        } else {
            raw.inline_length.set(length);
        }
        let size = RawPacket::SIZE + u16::from(raw.fragments) * 8 + raw.inline_length.get();
        raw.header.size.set(size.next_multiple_of(8));
        let mut head = raw.as_bytes().to_vec();
        head.extend(slot);
        head
    }

    /// A packet of which nothing may be left when another is parsed in its place.
    fn earlier() -> Packet {
        let slots =
            [PoolSlot::FILLER; 2].map(|slot| Fragment::at_start(slot, FragmentLength::PAGE));
        let pages = [Fragment::<GrantRef>::FILLER; 2];
        Packet {
            id: PacketId::new(7),
            length: PacketLength::LARGEST,
            way: Way::Granted,
            inline_length: InlineLength::MAX,
            fragments: Fragments::from_slice(&pages).unwrap_or(Fragments::NONE),
            staged: Fragments::from_slice(&slots).unwrap_or(Fragments::NONE),
            meta: PacketMeta {
                checksum: Checksum::Partial {
                    start: 34,
                    offset: 16,
                },
                gso: Some(Gso {
                    kind: GsoKind::TcpV4,
                    size: 1448,
                }),
                hash: Some(Hash {
                    kind: HashKind::L4,
                    value: 9,
                }),
            },
        }
    }

    /// What each of the two makes of a head, in place of an earlier packet.
    fn both(head: &[u8], negotiated: Features) -> (Option<Packet>, Option<Packet>) {
        let (raw, rest) = match RawPacket::ref_from_prefix(head) {
            Ok(parts) => parts,
            Err(_) => return (None, None),
        };
        let (mut plain, mut any) = (earlier(), Packet::FILLER);
        (
            plain.parse_plain(raw, rest, negotiated).map(|()| plain),
            any.parse_any(raw, rest, negotiated).ok().map(|()| any),
        )
    }

    #[test]
    fn common_packets_are_plain() {
        let all = Features::all();
        for (way, length) in [(Way::Inline, 14), (Way::Inline, 2048), (Way::Staged, 1514)] {
            for flags in 0..3 {
                let mut head = head(way, length);
                if let Some(place) = head.get_mut(1) {
                    *place = flags;
                }
                // A checksum from the 14th byte on, which goes to its start: none fits into the
                // shortest packet.
                if let (1, Some(start)) = (flags, head.get_mut(18)) {
                    *start = 14;
                }
                let (plain, any) = both(&head, all);
                assert_eq!(plain, any);
                assert_eq!(plain.is_some(), flags != 1 || length > 14);
                let partial = Checksum::Partial {
                    start: 14,
                    offset: 0,
                };
                assert!(flags != 1 || plain.is_none_or(|it| it.meta.checksum == partial));
            }
        }
    }

    #[test]
    fn plain_packets_keep_every_rule() {
        let (mut agreed, mut left) = (0, 0);
        for features in [
            Features::all(),
            Features::CSUM,
            Features::STAGED,
            Features::empty(),
        ] {
            for way in [Way::Inline, Way::Staged] {
                let right = head(way, 1514);
                // Every other value of every byte.
                for place in 0..right.len() {
                    for value in 0..=u8::MAX {
                        let mut wrong = right.clone();
                        if let Some(byte) = wrong.get_mut(place) {
                            *byte = value;
                        }
                        match both(&wrong, features) {
                            (Some(plain), any) => {
                                assert_eq!(Some(plain), any, "byte {place} is {value}");
                                agreed += 1;
                            }
                            (None, _) => left += 1,
                        }
                    }
                }
            }
        }
        // Many of both kinds, or nothing was compared.
        assert!(agreed > 500 && left > 5000, "{agreed} and {left}");
    }
}
