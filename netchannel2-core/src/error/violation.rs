// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Rules of a running queue.

mod display;

use core::fmt;

use crate::{
    moderation::OutOfRange,
    pool::PoolSlot,
    units::{
        Bytes,
        PacketId,
        PacketLength,
        RingIndex,
        RingOffset, //
    },
    wire::Features, //
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
    /// The size of segments is zero, not below the packet's, too small for the packet, or set
    /// without segmentation.
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
