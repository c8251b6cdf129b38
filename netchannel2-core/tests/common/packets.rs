// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Strategies for messages that keep every rule.

use netchannel2_core::{
    grant::{
        Fragment,
        GrantRef, //
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
        Way, //
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
        1 => Just(Message::Pad),
    ]
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

pub(crate) fn packet() -> impl Strategy<Value = Packet> {
    prop_oneof![inline_packet(), granted_packet()]
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
                meta,
            }
        })
}

fn granted_packet() -> impl Strategy<Value = Packet> {
    // Eighteen whole pages would be longer than any packet.
    (1..=18_usize)
        .prop_flat_map(|count| {
            let most = if count < 16 { 4096 } else { 3500 };
            (
                prop::collection::vec(fragment(most), count),
                0..=2048_u16,
                0..256_u16,
            )
        })
        .prop_map(|(fragments, inline, id)| {
            let fragments = Fragments::from_slice(&fragments).unwrap();
            let inline = inline.max(14 - fragments.sum().min(14) as u16);
            (fragments, inline.min((65_535 - fragments.sum()) as u16), id)
        })
        .prop_flat_map(|(fragments, inline, id)| {
            let length = fragments.sum() + u32::from(inline);
            (Just((fragments, inline, id, length)), meta(length))
        })
        .prop_map(|((fragments, inline, id, length), meta)| Packet {
            id: PacketId::new(id),
            length: PacketLength::new(length).unwrap(),
            way: Way::Granted,
            inline_length: InlineLength::new(inline).unwrap(),
            fragments,
            meta,
        })
}

pub(crate) fn fragment(most: u16) -> impl Strategy<Value = Fragment> {
    (8..=u32::MAX, 1..=most)
        .prop_flat_map(|(reference, length)| (Just(reference), 0..=4096 - length, Just(length)))
        .prop_map(|(reference, offset, length)| {
            let offset = PageOffset::new(offset).unwrap();
            let length = FragmentLength::new(length).unwrap();
            Fragment::new(GrantRef::new(reference).unwrap(), offset, length).unwrap()
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
    let gso = option::of((kind, 1..length as u16).prop_map(|(kind, size)| Gso { kind, size }));
    let kind = select(vec![HashKind::L3, HashKind::L4]);
    let hash = option::of((kind, any::<u32>()).prop_map(|(kind, value)| Hash { kind, value }));
    (checksum, gso, hash).prop_map(|(checksum, gso, hash)| PacketMeta {
        checksum,
        gso: gso.filter(|_| matches!(checksum, Checksum::Partial { .. })),
        hash,
    })
}
