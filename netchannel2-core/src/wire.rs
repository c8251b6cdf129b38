// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Messages, in two levels: structures as they lie in a ring, and what they mean once checked.
//!
//! A message has a *head*, which [`Message::parse`] takes from private memory and
//! [`Message::emit`] puts there, and a packet's message has inline bytes behind it, which stay in
//! the ring until their reader takes them. Nothing above this module sees a raw field.

mod credit;
mod features;
mod finish;
mod fragments;
mod header;
mod message;
mod metadata;
mod moderation;
mod packet;
mod pool;

pub(crate) use self::{
    message::{
        pad,
        parse_pad, //
    },
    packet::PacketView, //
};

pub use self::{
    credit::{
        MaxPackets,
        PacketCount,
        RawSetMaxPackets, //
    },
    features::{
        FeatureNames,
        Features, //
    },
    finish::{
        Finish,
        FinishBatch,
        FinishStatus,
        RawFinish,
        RawFinishEntry, //
    },
    fragments::{
        Fragments,
        RawFragment, //
    },
    header::{
        HeadLength,
        Kind,
        MessageSize,
        RawHeader, //
    },
    message::{
        BufferTooShort,
        Message, //
    },
    metadata::{
        Checksum,
        Gso,
        GsoKind,
        Hash,
        HashKind,
        PacketMeta, //
    },
    moderation::{
        Purpose,
        RawSetModeration,
        SetModeration,
        WishNumber, //
    },
    packet::{
        Packet,
        RawPacket,
        Way, //
    },
    pool::{
        PoolAdd,
        PoolAnswer,
        RawPoolAdd,
        RawPoolChunk, //
    },
};

/// The bytes of a message's header.
pub const HEADER_SIZE: u16 = 8;

/// The largest message: a packet with every fragment and every inline byte that it may have.
pub const MAX_MESSAGE: u16 = 32 + 18 * 8 + MAX_INLINE;

/// The most bytes of a packet that lie in its message.
pub const MAX_INLINE: u16 = 2048;

/// The most fragments of a packet: `MAX_SKB_FRAGS` and one for the linear part.
pub const MAX_FRAGMENTS: u8 = 18;

/// The most packets outstanding in one direction of a queue.
pub const MAX_OUTSTANDING: u16 = 256;

/// The most packets that one FINISH finishes.
pub const MAX_FINISHES: u16 = 64;

/// The fewest bytes that a side lets its peer have outstanding: one packet of any length.
pub const MIN_CREDIT_BYTES: u32 = 65_535;

/// The longest head of any message: a FINISH of [`MAX_FINISHES`] entries.
pub const MAX_HEAD: usize = 8 + 64 * 4;
