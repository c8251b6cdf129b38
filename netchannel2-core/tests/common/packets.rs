// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Strategies for messages that keep every rule.

use core::ops::Range;

use netchannel2_core::{
    grant::{
        Fragment,
        GrantRef,
        PageName, //
    },
    knobs::Switch,
    moderation::{
        Frames,
        Rule,
        Settings,
        Usecs, //
    },
    pool::{
        ChunkIndex,
        PoolSlot,
        CHUNK_PAGES,
        MAX_CHUNKS,
        MAX_SLOTS, //
    },
    units::{
        Bytes,
        FragmentLength,
        InlineLength,
        PacketId,
        PacketLength,
        PageOffset, //
    },
    wire::{
        Checksum,
        Finish,
        FinishBatch,
        FinishStatus,
        Fragments,
        Gso,
        GsoKind,
        Hash,
        HashKind,
        MaxPackets,
        Message,
        Packet,
        PacketCount,
        PacketMeta,
        PoolAdd,
        PoolAnswer,
        Purpose,
        SetModeration,
        Way,
        WishNumber, //
    },
};
use proptest::{
    option,
    prelude::*,
    sample::select, //
};

pub(crate) fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        1 => max_packets().prop_map(Message::SetMaxPackets),
        8 => packet().prop_map(Message::Packet),
        3 => finishes().prop_map(Message::Finish),
        3 => pool_message(),
        1 => moderation().prop_map(Message::SetModeration),
        1 => Just(Message::Pad),
    ]
}

/// A message about a chunk.
pub(crate) fn pool_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        pool_add().prop_map(Message::PoolAdd),
        chunk().prop_map(Message::PoolDrop),
        (chunk(), 0..4_u8).prop_map(|(chunk, answer)| {
            Message::PoolAnswer(chunk, PoolAnswer::from_wire(answer).unwrap())
        }),
    ]
}

fn chunk() -> impl Strategy<Value = ChunkIndex> {
    (0..MAX_CHUNKS).prop_map(|chunk| ChunkIndex::new(chunk).unwrap())
}

pub(crate) fn pool_add() -> impl Strategy<Value = PoolAdd> {
    let reference = (8..=u32::MAX).prop_map(|reference| GrantRef::new(reference).unwrap());
    let references = prop::collection::vec(reference, usize::from(CHUNK_PAGES));
    (chunk(), references).prop_map(|(chunk, references)| PoolAdd {
        chunk,
        references: references.try_into().unwrap(),
    })
}

pub(crate) fn max_packets() -> impl Strategy<Value = MaxPackets> {
    (1..=256_u32, 65_535..=u32::MAX).prop_map(|(packets, bytes)| {
        MaxPackets::new(PacketCount::clamped(packets).unwrap(), Bytes::new(bytes)).unwrap()
    })
}

pub(crate) fn finishes() -> impl Strategy<Value = FinishBatch> {
    let status = select(vec![
        FinishStatus::Ok,
        FinishStatus::CopyFailed,
        FinishStatus::NoMemory,
        FinishStatus::BadPacket,
    ]);
    prop::collection::vec((0..256_u16, status), 1..=64).prop_map(|entries| {
        let mut batch = FinishBatch::new();
        for (id, status) in entries {
            let id = PacketId::new(id).unwrap();
            batch.push(Finish { id, status }).unwrap();
        }
        batch
    })
}

pub(crate) fn moderation() -> impl Strategy<Value = SetModeration> {
    let purpose = select(vec![Purpose::Wish, Purpose::InForce]);
    (purpose, any::<u16>(), rule(), rule()).prop_map(|(purpose, number, packets, completions)| {
        SetModeration {
            purpose,
            number: WishNumber::new(number),
            settings: Settings {
                packets,
                completions,
            },
        }
    })
}

pub(crate) fn rule() -> impl Strategy<Value = Rule> {
    let adaptive = select(vec![Switch::Off, Switch::On]);
    (0..=10_000_u32, 1..=128_u32, adaptive).prop_map(|(usecs, frames, adaptive)| Rule {
        usecs: Usecs::new(usecs).unwrap(),
        frames: Frames::new(frames).unwrap(),
        adaptive,
    })
}

pub(crate) fn packet() -> impl Strategy<Value = Packet> {
    prop_oneof![inline_packet(), granted_packet(), staged_packet()]
}

fn inline_packet() -> impl Strategy<Value = Packet> {
    (14..=2048_u32)
        .prop_flat_map(|length| (Just(length), meta(length)))
        .prop_map(|(length, meta)| {
            let length = PacketLength::new(length).unwrap();
            Packet {
                id: None,
                length,
                way: Way::Inline,
                inline_length: InlineLength::try_from(length).unwrap(),
                fragments: Fragments::NONE,
                staged: Fragments::NONE,
                meta,
            }
        })
}

fn granted_packet() -> impl Strategy<Value = Packet> {
    (in_fragments(fragment), 0..256_u16).prop_map(|(body, id)| Packet {
        id: PacketId::new(id),
        way: Way::Granted,
        fragments: body.fragments,
        staged: Fragments::NONE,
        length: body.length,
        inline_length: body.inline_length,
        meta: body.meta,
    })
}

fn staged_packet() -> impl Strategy<Value = Packet> {
    packet_in_slots(0..MAX_SLOTS)
}

/// A packet in some of the `slots`.
pub(crate) fn packet_in_slots(slots: Range<u16>) -> impl Strategy<Value = Packet> {
    in_fragments(move |most| staged_fragment(slots.clone(), most)).prop_map(|body| Packet {
        id: None,
        way: Way::Staged,
        fragments: Fragments::NONE,
        staged: body.fragments,
        length: body.length,
        inline_length: body.inline_length,
        meta: body.meta,
    })
}

/// What packets in fragments have in common.
#[derive(Clone, Debug)]
struct Body<P: PageName> {
    fragments: Fragments<P>,
    length: PacketLength,
    inline_length: InlineLength,
    meta: PacketMeta,
}

fn in_fragments<P: PageName, S: Strategy<Value = Fragment<P>>>(
    fragment: impl Fn(u16) -> S,
) -> impl Strategy<Value = Body<P>> {
    // Eighteen whole pages would be longer than any packet.
    (1..=18_usize)
        .prop_flat_map(move |count| {
            let most = if count < 16 { 4096 } else { 3500 };
            (prop::collection::vec(fragment(most), count), 0..=2048_u16)
        })
        .prop_map(|(fragments, inline)| {
            let fragments = Fragments::from_slice(&fragments).unwrap();
            let inline = inline.max(14 - fragments.sum().min(14) as u16);
            (fragments, inline.min((65_535 - fragments.sum()) as u16))
        })
        .prop_flat_map(|(fragments, inline)| {
            let length = fragments.sum() + u32::from(inline);
            (Just((fragments, inline, length)), meta(length))
        })
        .prop_map(|((fragments, inline, length), meta)| Body {
            length: PacketLength::new(length).unwrap(),
            inline_length: InlineLength::new(inline).unwrap(),
            fragments,
            meta,
        })
}

pub(crate) fn fragment(most: u16) -> impl Strategy<Value = Fragment> {
    let page = (8..=u32::MAX).prop_map(|reference| GrantRef::new(reference).unwrap());
    on_page(page, most)
}

fn staged_fragment(slots: Range<u16>, most: u16) -> impl Strategy<Value = Fragment<PoolSlot>> {
    let page = slots.prop_map(|slot| PoolSlot::new(slot.into()).unwrap());
    on_page(page, most)
}

fn on_page<P: PageName>(
    page: impl Strategy<Value = P>,
    most: u16,
) -> impl Strategy<Value = Fragment<P>> {
    (page, 1..=most)
        .prop_flat_map(|(page, length)| (Just(page), 0..=4096 - length, Just(length)))
        .prop_map(|(page, offset, length)| {
            let offset = PageOffset::new(offset).unwrap();
            Fragment::new(page, offset, FragmentLength::new(length).unwrap()).unwrap()
        })
}

fn meta(length: u32) -> impl Strategy<Value = PacketMeta> {
    // A packet of less than 16 bytes has no place for a checksum behind its header.
    let partial = (14..=length.max(16) - 2)
        .prop_flat_map(move |start| (Just(start), 0..=length.max(16) - 2 - start))
        .prop_map(move |(start, offset)| match length {
            14..=15 => Checksum::None,
            _ => Checksum::Partial {
                start: start as u16,
                offset: offset as u16,
            },
        });
    let checksum = prop_oneof![Just(Checksum::None), Just(Checksum::Valid), partial];
    let kind = select(vec![GsoKind::TcpV4, GsoKind::TcpV6, GsoKind::UdpL4]);
    let gso = option::of(kind.prop_flat_map(move |kind| {
        let least = match kind {
            GsoKind::UdpL4 => length.saturating_sub(128).div_ceil(128).max(1),
            _ => 8,
        };
        (least as u16..length as u16).prop_map(move |size| Gso { kind, size })
    }));
    let kind = select(vec![HashKind::L3, HashKind::L4]);
    let hash = option::of((kind, any::<u32>()).prop_map(|(kind, value)| Hash { kind, value }));
    (checksum, gso, hash).prop_map(|(checksum, gso, hash)| PacketMeta {
        checksum,
        gso: gso.filter(|_| matches!(checksum, Checksum::Partial { .. })),
        hash,
    })
}
