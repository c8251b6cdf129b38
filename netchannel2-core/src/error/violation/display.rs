// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is said of a broken rule: the field, its value, and the rule.

use core::fmt;

use super::Violation;
use crate::{
    pool::{
        MAX_CHUNKS,
        MAX_SLOTS, //
    },
    units::{
        PacketLength,
        PAGE_SIZE, //
    },
    wire::{
        MAX_FINISHES,
        MAX_FRAGMENTS,
        MAX_INLINE,
        MAX_MESSAGE,
        MAX_OUTSTANDING,
        MIN_CREDIT_BYTES, //
    },
};

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ProducerIndex {
                found,
                before,
                limit,
            } => write!(
                f,
                "ring.prod is {found}: not a multiple of 8 in {before}..={limit}"
            ),
            Self::ConsumerIndex {
                found,
                before,
                limit,
            } => write!(
                f,
                "ring.cons is {found}: not a multiple of 8 in {before}..={limit}"
            ),
            Self::UnknownMessage(kind) => write!(f, "message.type is {kind}: unknown"),
            Self::MessageSize { size } => write!(
                f,
                "message.size is {size}: not a multiple of 8 in 8..={MAX_MESSAGE}"
            ),
            Self::MessageSizeMismatch { size, expected } => write!(
                f,
                "message.size is {size}: its contents take {expected} bytes"
            ),
            Self::MessageTruncated { size, available } => write!(
                f,
                "message.size is {size}: only {available} bytes are produced"
            ),
            Self::MessageWraps { size, to_end } => write!(
                f,
                "message.size is {size}: the ring ends after {to_end} bytes"
            ),
            Self::PadSize { size, at, to_end } => write!(
                f,
                "pad.size is {size}: from offset {at} the ring ends after {to_end} bytes"
            ),
            Self::Flags { kind, flags } => write!(
                f,
                "message.flags is {flags:#x}: not all known in messages of type {kind}"
            ),
            Self::Reserved { kind, value } => write!(
                f,
                "reserved field of message type {kind} is {value:#x}: must be 0"
            ),
            Self::CreditPackets(packets) => write!(
                f,
                "set_max_packets.max_packets is {packets}: allows no packet"
            ),
            Self::CreditBytes(bytes) => write!(
                f,
                "set_max_packets.max_bytes is {bytes}: below {MIN_CREDIT_BYTES}"
            ),
            Self::NotReady { kind } => {
                write!(f, "message.type is {kind}: SET_MAX_PACKETS must come first")
            }
            Self::CreditTwice => write!(f, "message.type is 1: SET_MAX_PACKETS came twice"),
            Self::TooManyPackets { allowed } => write!(
                f,
                "packet.id is one more: {allowed} packets are outstanding and allowed"
            ),
            Self::TooManyBytes {
                outstanding,
                length,
                allowed,
            } => write!(
                f,
                "packet.length is {length}: {outstanding} of {allowed} bytes are outstanding"
            ),
            Self::Way(way) => write!(f, "packet.way is {way}: unknown or not negotiated"),
            Self::PacketId(id) => write!(
                f,
                "packet.id is {id}: not below {MAX_OUTSTANDING}, or not 65535 for inline"
            ),
            Self::DuplicateId(id) => write!(f, "packet.id is {id}: outstanding already"),
            Self::PacketLength(length) => write!(
                f,
                "packet.length is {length}: not in {}..={}",
                PacketLength::MIN,
                PacketLength::MAX
            ),
            Self::InlineLength {
                inline_length,
                length,
            } => write!(
                f,
                "packet.inline_length is {inline_length}: \
                 at most {MAX_INLINE} of the packet's {length} bytes, all where it is inline"
            ),
            Self::FragmentCount { fragments, way } => write!(
                f,
                "packet.fragments is {fragments}: \
                 way 0 takes none, way {way} up to {MAX_FRAGMENTS}"
            ),
            Self::FragmentReference {
                fragment,
                reference,
            } => write!(
                f,
                "packet.fragment[{fragment}].reference is {reference}: reserved by Xen"
            ),
            Self::FragmentSlot { fragment, slot } => write!(
                f,
                "packet.fragment[{fragment}].slot is {slot}: not below {MAX_SLOTS}"
            ),
            Self::FragmentRange {
                fragment,
                length: 0,
                ..
            } => write!(f, "packet.fragment[{fragment}].length is 0: empty"),
            Self::FragmentRange {
                fragment,
                offset,
                length,
            } => write!(
                f,
                "packet.fragment[{fragment}].length is {length}: \
                 offset {offset} + length crosses the page of {PAGE_SIZE}"
            ),
            Self::FragmentSum { sum, length } => write!(
                f,
                "packet.length is {length}: inline bytes and fragments add up to {sum}"
            ),
            Self::Checksum {
                flags,
                start,
                offset,
            } => write!(
                f,
                "packet.flags is {flags:#x}: \
                 contradicts itself or csum_start {start} and csum_offset {offset}"
            ),
            Self::ChecksumRange {
                start,
                offset,
                length,
            } => write!(
                f,
                "packet.csum_start is {start}: \
                 inside the Ethernet header, or csum_offset {offset} + 2 more bytes cross {length}"
            ),
            Self::GsoType(gso_type) => write!(f, "packet.gso_type is {gso_type}: unknown"),
            Self::GsoSize {
                gso_type,
                gso_size,
                length,
            } => write!(
                f,
                "packet.gso_size is {gso_size}: \
                 does not go with gso_type {gso_type} and length {length}"
            ),
            Self::GsoWithoutChecksum => {
                write!(f, "packet.flags is 0x0: gso_type needs a partial checksum")
            }
            Self::HashType(hash_type) => write!(f, "packet.hash_type is {hash_type}: unknown"),
            Self::HashWithoutType(hash) => {
                write!(f, "packet.hash is {hash:#x}: hash_type is none")
            }
            Self::NotNegotiated(features) => write!(
                f,
                "packet uses features {:#x}: not negotiated",
                features.bits()
            ),
            Self::FinishCount(count) => {
                write!(f, "finish.count is {count}: not in 1..={MAX_FINISHES}")
            }
            Self::FinishStatus { entry, status } => {
                write!(f, "finish.entry[{entry}].status is {status}: unknown")
            }
            Self::FinishUnknown(id) => write!(f, "finish.id is {id}: not outstanding"),
            Self::PoolChunk(chunk) => {
                write!(f, "pool.chunk is {chunk}: not below {MAX_CHUNKS}")
            }
            Self::PoolReference { page, reference } => write!(
                f,
                "pool_add.reference[{page}] is {reference}: reserved by Xen"
            ),
            Self::PoolAnswer(answer) => write!(f, "pool_answer.answer is {answer}: unknown"),
            Self::PoolState { kind, chunk } => write!(
                f,
                "pool.chunk is {chunk}: in no state for a message of type {kind}"
            ),
            Self::PoolSlot(slot) => write!(
                f,
                "packet.fragment.slot is {slot}: chunk {} is not mapped",
                slot.chunk()
            ),
            Self::ModerationPurpose(purpose) => {
                write!(f, "set_moderation.purpose is {purpose}: unknown")
            }
            Self::ModerationAdaptive(bits) => {
                write!(f, "set_moderation.adaptive is {bits:#x}: not all known")
            }
            Self::Moderation { field, range } => write!(f, "set_moderation.{field} is {range}"),
        }
    }
}
