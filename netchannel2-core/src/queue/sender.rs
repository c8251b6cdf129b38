// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The sending half of a queue.

mod messages;
mod packets;

use self::messages::SET_MAX_PACKETS_SIZE;
use super::{
    finishes::PendingFinishes,
    moderation::PendingModeration, //
};
use crate::{
    credit::{
        Credit,
        Outstanding, //
    },
    error::Violation,
    pool::MAX_CHUNKS,
    ring::{
        BeginError,
        Notify,
        Producer,
        Reserve,
        SharedRing,
        Slot,
        SlotOverrun,
        Space, //
    },
    stats::SendCounters,
    units::{Bytes, InlineLength, PacketId, PacketLength, RingIndex},
    wire::{
        Features,
        Finish,
        MaxPackets,
        Message,
        MessageSize,
        Packet,
        PoolAnswer,
        Way,
        MAX_FINISHES,
        MAX_FRAGMENTS,
        MAX_HEAD, //
    },
};

/// Why something was not sent; nothing of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The ring has no space: [`Sender::arm_space`] tells when it has.
    RingFull,
    /// The peer's allowance is used up: a FINISH gives some back.
    NoCredit,
    /// The peer has not said yet what it allows.
    NotReady,
    /// The packet has more fragments or inline bytes than a message takes.
    TooBig,
    /// The packet's bytes cannot be read.
    Unreadable,
    /// The packet breaks a rule, or uses a feature that was not negotiated: a mistake of this
    /// side, and the violation that the peer would see.
    Malformed(Violation),
    /// The peer broke a rule.
    Violation(Violation),
}

impl From<SlotOverrun> for SendError {
    fn from(_: SlotOverrun) -> Self {
        Self::TooBig
    }
}

/// Whether the peer is going to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// It is.
    Yes,
    /// Something else is to be told before.
    No,
}

impl From<BeginError> for SendError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Full => Self::RingFull,
            BeginError::Violation(violation) => Self::Violation(violation),
        }
    }
}

/// The sending half of a queue.
///
/// # Invariants
///
/// * `outstanding` holds the packets, and `credit` counts them, that the peer has not finished.
/// * `queued_answers` counts the `answers` that there are.
#[derive(Debug)]
pub struct Sender<R> {
    producer: Producer<R>,
    negotiated: Features,
    /// What packets leave free for the FINISHes that this side may come to owe.
    reserve: Reserve,
    /// The peer's allowance, once it has said so.
    credit: Option<Credit>,
    outstanding: Outstanding,
    finishes: PendingFinishes,
    /// What the peer is to be told of the chunks of its pool.
    answers: [Option<PoolAnswer>; MAX_CHUNKS as usize],
    /// How many of them there are.
    queued_answers: u8,
    moderation: PendingModeration,
    counters: SendCounters,
    /// Where the head of a packet is put together.
    head: [u8; MAX_HEAD],
}

impl<R: SharedRing> Sender<R> {
    /// Takes the producing end of a ring that nobody has used yet.
    ///
    /// Puts SET_MAX_PACKETS with `own_credit`, which is what this side's [`super::Receiver`] is
    /// made with; the peer sees it with the first [`Self::publish`].
    // No `Result`, so that the tables are moved over the stack but once.
    pub fn new(ring: R, own_credit: MaxPackets, negotiated: Features) -> Self {
        // INVARIANT: Nothing is outstanding and no credit is used.
        let mut sender = Self {
            producer: Producer::new(ring),
            negotiated,
            reserve: reserve(own_credit),
            credit: None,
            outstanding: Outstanding::new(),
            finishes: PendingFinishes::new(),
            answers: [None; MAX_CHUNKS as usize],
            queued_answers: 0,
            head: [0; MAX_HEAD],
            moderation: PendingModeration::NONE,
            counters: SendCounters::default(),
        };
        // There is space, as the ring is empty.
        let _ = sender.send_whole(&Message::SetMaxPackets(own_credit), SET_MAX_PACKETS_SIZE);
        sender
    }

    /// Says whether the peer has said what it allows, without which no packet may be sent.
    pub fn ready(&self) -> bool {
        self.credit.is_some()
    }

    /// Says whether a packet may be sent.
    ///
    /// # Errors
    ///
    /// Returns the [`SendError`] that sending it would.
    pub fn can_send(
        &mut self,
        way: Way,
        length: PacketLength,
        inline_length: InlineLength,
        fragments: usize,
    ) -> Result<(), SendError> {
        let fragments = u8::try_from(fragments)
            .ok()
            .filter(|fragments| *fragments <= MAX_FRAGMENTS)
            .ok_or(SendError::TooBig)?;
        let size = Packet::size_with(fragments, inline_length).ok_or(SendError::TooBig)?;
        self.check_credit(way, length)?;
        self.begin(size).map(|_| ())
    }

    /// Says whether any packet may be sent, whatever way it takes.
    ///
    /// # Errors
    ///
    /// Returns a [`Violation`] if the peer's index is wrong.
    #[inline]
    pub fn has_room(&mut self) -> Result<bool, Violation> {
        let largest = PacketLength::LARGEST;
        let has_credit = match &self.credit {
            Some(credit) => credit.check(largest).is_ok(),
            None => false,
        };
        // Enough even with the longest PAD before it.
        let plenty = MessageSize::MAX
            .bytes()
            .saturating_add(MessageSize::MAX.bytes())
            .saturating_add(self.reserve.0);
        if has_credit && self.producer.free() >= plenty {
            return Ok(true);
        }
        self.has_just_room()
    }

    #[cold]
    fn has_just_room(&mut self) -> Result<bool, Violation> {
        let (largest, inline) = (PacketLength::LARGEST, InlineLength::MAX);
        match self.can_send(Way::Granted, largest, inline, MAX_FRAGMENTS.into()) {
            Ok(()) => Ok(true),
            Err(SendError::Violation(violation)) => Err(violation),
            Err(_) => Ok(false),
        }
    }

    /// Returns how far the peer has consumed the ring and how far this side has produced it.
    ///
    /// # Errors
    ///
    /// Returns a [`Violation`] if the peer's index is wrong.
    pub fn progress(&mut self) -> Result<(RingIndex, RingIndex), Violation> {
        self.producer.refresh()?;
        Ok((self.producer.consumed(), self.producer.produced()))
    }

    /// Shows the peer all that was sent, queued FINISHes too.
    ///
    /// # Errors
    ///
    /// Returns a [`Violation`] if the peer's index is wrong.
    #[inline]
    pub fn publish(&mut self) -> Result<Notify, Violation> {
        if self.owes() {
            self.flush_what_is_owed()?;
        }
        if !self.producer.has_unpublished() {
            return Ok(Notify::NotNeeded);
        }
        let notify = self.producer.publish();
        self.counters.published(notify);
        Ok(notify)
    }

    /// Returns how far the peer may see.
    #[inline]
    pub fn published(&self) -> RingIndex {
        self.producer.published()
    }

    /// Says whether the peer has consumed more than what was published at `index`.
    ///
    /// # Errors
    ///
    /// Returns a [`Violation`] if the peer's index is wrong.
    pub fn is_consumed_beyond(&mut self, index: RingIndex) -> Result<bool, Violation> {
        self.producer.is_consumed_beyond(index)
    }

    /// Asks for an event once the largest packet has space, with all that is owed beside it.
    ///
    /// Comes after [`Self::publish`]. The event comes through the queue's one channel.
    ///
    /// # Errors
    ///
    /// Returns a [`Violation`] if the peer's index is wrong.
    pub fn arm_space(&mut self) -> Result<Space, Violation> {
        let space = self
            .producer
            .arm_space_event(MessageSize::MAX, self.reserve)?;
        if space == Space::Awaited {
            self.counters.waits_for_space();
        }
        Ok(space)
    }

    /// Takes note of what the peer allows.
    ///
    /// # Errors
    ///
    /// Returns [`Violation::CreditTwice`] if it has said so before.
    pub fn on_set_max_packets(&mut self, limit: MaxPackets) -> Result<(), Violation> {
        if self.credit.is_some() {
            return Err(Violation::CreditTwice);
        }
        self.credit = Some(Credit::new(limit));
        Ok(())
    }

    /// Strikes out a packet that the peer has finished, whose pages are this side's again.
    ///
    /// # Errors
    ///
    /// Returns [`Violation::FinishUnknown`] if it is not outstanding.
    pub fn on_finish(&mut self, finish: Finish) -> Result<PacketLength, Violation> {
        let length = self.outstanding.finish(finish.id)?;
        if let Some(credit) = &mut self.credit {
            credit.give_back(length);
        }
        self.counters.finished(finish.status);
        Ok(length)
    }

    /// Returns the packets that the peer has not finished.
    pub fn outstanding(&self) -> &Outstanding {
        &self.outstanding
    }

    /// Returns the packet that the peer has not finished for longest.
    pub fn oldest_unfinished(&self) -> Option<PacketId> {
        self.outstanding.oldest()
    }

    /// Returns the oldest packet whose FINISH is missing though the peer has consumed the ring.
    ///
    /// That may be so for a moment; a peer of which it is so for long keeps packets.
    ///
    /// # Errors
    ///
    /// Returns a [`Violation`] if the peer's index is wrong.
    pub fn missing_finish(&mut self) -> Result<Option<PacketId>, Violation> {
        if self.outstanding.count() == 0 || !self.producer.is_drained()? {
            return Ok(None);
        }
        Ok(self.oldest_unfinished())
    }

    /// Returns what was counted.
    pub fn counters(&self) -> &SendCounters {
        &self.counters
    }

    fn begin(&mut self, size: MessageSize) -> Result<Slot<'_, R>, SendError> {
        Ok(self.producer.begin(size, self.reserve)?)
    }
}

/// Keeps 16 bytes for the FINISH of each packet that the peer may have outstanding, which is what
/// a FINISH with one entry takes, 8 for a POOL_ANSWER to each chunk, and once the size of the
/// largest FINISH for a PAD.
fn reserve(own_credit: MaxPackets) -> Reserve {
    let finishes = u32::from(own_credit.packets().get()) * 16;
    let answers = u32::from(MAX_CHUNKS) * 8;

    Reserve(Bytes::new(
        finishes + answers + u32::from(MAX_FINISHES) * 4 + 8,
    ))
}
