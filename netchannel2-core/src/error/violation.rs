// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Rules of a running queue.

use core::fmt;

use crate::{
    moderation::OutOfRange,
    pool::{
        PoolSlot,
        MAX_CHUNKS,
        MAX_SLOTS, //
    },
    units::{
        Bytes,
        PacketId,
        PacketLength,
        RingIndex,
        RingOffset,
        PAGE_SIZE, //
    },
    wire::{
        Features,
        MAX_FINISHES,
        MAX_FRAGMENTS,
        MAX_INLINE,
        MAX_MESSAGE,
        MAX_OUTSTANDING,
        MIN_CREDIT_BYTES, //
    },
};

/// A rule that the peer broke in shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The producer's index is unaligned, went back or is more than a ring ahead.
    ProducerIndex {
        /// What the control page says.
        found: RingIndex,
        /// The index before.
        before: RingIndex,
        /// The highest index that was allowed.
        limit: RingIndex,
    },
    /// The consumer's index is unaligned, went back or passed what was produced.
    ConsumerIndex {
        /// What the control page says.
        found: RingIndex,
        /// The index before.
        before: RingIndex,
        /// The highest index that was allowed.
        limit: RingIndex,
    },
    /// The message's type has no meaning.
    UnknownMessage(u8),
    /// The message's size is not a multiple of 8, or out of bounds.
    MessageSize {
        /// The size in its header.
        size: u16,
    },
    /// The message's size differs from what its contents add up to.
    MessageSizeMismatch {
        /// The size in its header.
        size: u16,
        /// The size of its contents.
        expected: u32,
    },
    /// The message goes on beyond what the peer produced.
    MessageTruncated {
        /// The size in its header.
        size: u16,
        /// How many bytes there are.
        available: Bytes,
    },
    /// The message crosses the end of the ring.
    MessageWraps {
        /// The size in its header.
        size: u16,
        /// How many bytes there are up to the end.
        to_end: Bytes,
    },
    /// A PAD does not reach exactly to the end of the ring, or starts at its beginning.
    PadSize {
        /// The size in its header.
        size: u16,
        /// Where it lies.
        at: RingOffset,
        /// How many bytes there are up to the end.
        to_end: Bytes,
    },
    /// Flag bits that this type of message does not have.
    Flags {
        /// The message's type.
        kind: u8,
        /// All its flag bits.
        flags: u8,
    },
    /// A field that must be zero is not.
    Reserved {
        /// The message's type.
        kind: u8,
        /// The field's value.
        value: u32,
    },

    /// SET_MAX_PACKETS allows no packet.
    CreditPackets(u32),
    /// SET_MAX_PACKETS allows less than one packet of the largest size.
    CreditBytes(u32),
    /// SET_MAX_PACKETS is not the first message, which is this one.
    NotReady {
        /// The first message's type.
        kind: u8,
    },
    /// SET_MAX_PACKETS came a second time.
    CreditTwice,
    /// There are more packets outstanding than SET_MAX_PACKETS allows.
    TooManyPackets {
        /// How many are allowed.
        allowed: u16,
    },
    /// There are more bytes outstanding than SET_MAX_PACKETS allows.
    TooManyBytes {
        /// How many bytes are outstanding without this packet.
        outstanding: Bytes,
        /// The packet's length.
        length: PacketLength,
        /// How many are allowed.
        allowed: Bytes,
    },

    /// The packet's way does not exist or was not negotiated.
    Way(u8),
    /// The packet's id is not below 256, or an inline packet has one.
    PacketId(u16),
    /// A packet with this id is outstanding already.
    DuplicateId(PacketId),
    /// The packet's length is out of bounds.
    PacketLength(u32),
    /// More of the packet is inline than may be, or than there is.
    InlineLength {
        /// The number of inline bytes.
        inline_length: u16,
        /// The packet's length.
        length: PacketLength,
    },
    /// The packet's way does not go with this number of fragments.
    FragmentCount {
        /// The number of fragments.
        fragments: u8,
        /// The packet's way.
        way: u8,
    },
    /// A fragment names one of the references that Xen reserves.
    FragmentReference {
        /// The fragment's place in the packet.
        fragment: u8,
        /// The reference.
        reference: u32,
    },
    /// A fragment names a slot that no pool has.
    FragmentSlot {
        /// The fragment's place in the packet.
        fragment: u8,
        /// The slot.
        slot: u32,
    },
    /// A fragment is empty or crosses the end of its page.
    FragmentRange {
        /// The fragment's place in the packet.
        fragment: u8,
        /// Where it starts.
        offset: u16,
        /// How many bytes it has.
        length: u16,
    },
    /// The inline bytes and the fragments do not add up to the packet's length.
    FragmentSum {
        /// What they add up to.
        sum: u32,
        /// The packet's length.
        length: PacketLength,
    },
    /// Both checksum flags are set, or fields are set without the flag that gives them meaning.
    Checksum {
        /// All flag bits of the message.
        flags: u8,
        /// Where summing starts.
        start: u16,
        /// Where the sum goes, from there.
        offset: u16,
    },
    /// The place of the checksum lies outside of the packet, or in its Ethernet header.
    ChecksumRange {
        /// Where summing starts.
        start: u16,
        /// Where the sum goes, from there.
        offset: u16,
        /// The packet's length.
        length: PacketLength,
    },
    /// The kind of segmentation does not exist.
    GsoType(u8),
    /// The size of segments is zero, not below the packet's, or set without segmentation.
    GsoSize {
        /// The kind of segmentation.
        gso_type: u8,
        /// How many bytes a segment has.
        gso_size: u16,
        /// The packet's length.
        length: PacketLength,
    },
    /// A packet to be segmented does not say where its checksum goes.
    GsoWithoutChecksum,
    /// The kind of hash does not exist.
    HashType(u8),
    /// There is a hash, but no kind of it.
    HashWithoutType(u32),
    /// A feature is used that was not negotiated.
    NotNegotiated(Features),

    /// FINISH holds no entry, or too many.
    FinishCount(u16),
    /// The status does not exist.
    FinishStatus {
        /// The entry's place in the message.
        entry: u16,
        /// The status.
        status: u8,
    },
    /// A packet is finished that is not outstanding.
    FinishUnknown(u16),

    /// A message names a chunk that no pool has.
    PoolChunk(u8),
    /// POOL_ADD names one of the references that Xen reserves.
    PoolReference {
        /// The page of the chunk.
        page: u16,
        /// The reference.
        reference: u32,
    },
    /// POOL_ANSWER says something without a meaning.
    PoolAnswer(u8),
    /// A message about a chunk that is in no state for it.
    PoolState {
        /// The message's type.
        kind: u8,
        /// The chunk.
        chunk: u8,
    },
    /// A packet names a slot whose chunk is not mapped.
    PoolSlot(PoolSlot),
    /// SET_MODERATION is neither a wish nor an answer.
    ModerationPurpose(u8),
    /// SET_MODERATION has unknown bits in its adaptive field.
    ModerationAdaptive(u8),
    /// SET_MODERATION has a value out of bounds.
    Moderation {
        /// The field.
        field: ModerationField,
        /// Its value and bounds.
        range: OutOfRange,
    },
}

/// A field of SET_MODERATION.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModerationField {
    /// `packet_usecs`
    PacketUsecs,
    /// `packet_frames`
    PacketFrames,
    /// `completion_usecs`
    CompletionUsecs,
    /// `completion_frames`
    CompletionFrames,
}

impl fmt::Display for ModerationField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PacketUsecs => "packet_usecs",
            Self::PacketFrames => "packet_frames",
            Self::CompletionUsecs => "completion_usecs",
            Self::CompletionFrames => "completion_frames",
        })
    }
}

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

impl core::error::Error for Violation {}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn names_field_value_and_rule() {
        let range = Violation::FragmentRange {
            fragment: 2,
            offset: 0,
            length: 5000,
        };
        assert_eq!(
            range.to_string(),
            "packet.fragment[2].length is 5000: offset 0 + length crosses the page of 4096"
        );
        assert_eq!(
            Violation::UnknownMessage(9).to_string(),
            "message.type is 9: unknown"
        );
    }
}
