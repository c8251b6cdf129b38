// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The sending half of a queue.

use zerocopy::IntoBytes as _;

use super::{
    finishes::{
        FinishError,
        Flush,
        PendingFinishes, //
    },
    inline::InlineWriter,
};
use crate::{
    credit::{
        Credit,
        Outstanding, //
    },
    error::Violation,
    grant::Fragment,
    ring::{
        BeginError,
        Notify,
        Producer,
        Reserve,
        SharedRing,
        Slot,
        Space, //
    },
    stats::SendCounters,
    units::{
        Bytes,
        InlineLength,
        PacketId,
        PacketLength, //
    },
    wire::{
        Features,
        Finish,
        FinishStatus,
        MaxPackets,
        Message,
        MessageSize,
        Packet,
        PacketMeta,
        PacketView,
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
    /// The packet breaks a rule, or uses a feature that was not negotiated: a mistake of this
    /// side, and the violation that the peer would see.
    Malformed(Violation),
    /// The peer broke a rule.
    Violation(Violation),
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
/// `outstanding` holds the packets, and `credit` counts them, that the peer has not finished.
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
    counters: SendCounters,
}

impl<R: SharedRing> Sender<R> {
    /// Takes the producing end of a ring that nobody has used yet.
    ///
    /// Puts SET_MAX_PACKETS with `own_credit`, which is what this side's [`super::Receiver`] is
    /// made with; the peer sees it with the first [`Self::publish`].
    ///
    /// # Errors
    ///
    /// Returns [`SendError::RingFull`] never, as the ring is empty.
    pub fn new(ring: R, own_credit: MaxPackets, negotiated: Features) -> Result<Self, SendError> {
        // INVARIANT: Nothing is outstanding and no credit is used.
        let mut sender = Self {
            producer: Producer::new(ring),
            negotiated,
            reserve: reserve(own_credit),
            credit: None,
            outstanding: Outstanding::new(),
            finishes: PendingFinishes::new(),
            counters: SendCounters::default(),
        };
        sender.send_whole(&Message::SetMaxPackets(own_credit), SET_MAX_PACKETS_SIZE)?;
        Ok(sender)
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

    /// Sends a packet in its message; it needs no credit, and no FINISH comes for it.
    ///
    /// `fill` writes the bytes; what it leaves out is zero.
    ///
    /// # Errors
    ///
    /// Returns the [`SendError`] that kept the packet from being sent.
    pub fn send_inline(
        &mut self,
        meta: PacketMeta,
        length: PacketLength,
        fill: impl FnOnce(&mut InlineWriter<'_, R>),
    ) -> Result<(), SendError> {
        let meta = meta.reduced_to(self.negotiated);
        let packet = PacketView::inline(length, meta).ok_or(SendError::TooBig)?;
        self.check_credit(Way::Inline, length)?;
        self.send_packet(&packet, fill)?;
        self.counters.packet(Way::Inline, length);
        Ok(())
    }

    /// Sends a packet whose first bytes are `prefix` and whose others the peer copies.
    ///
    /// The pages stay granted until [`Self::on_finish`] is called for the id.
    ///
    /// # Errors
    ///
    /// Returns the [`SendError`] that kept the packet from being sent.
    pub fn send_granted(
        &mut self,
        meta: PacketMeta,
        length: PacketLength,
        prefix: &[u8],
        fragments: &[Fragment],
    ) -> Result<PacketId, SendError> {
        let id = self.outstanding.peek().ok_or(SendError::NoCredit)?;
        let meta = meta.reduced_to(self.negotiated);
        let packet =
            PacketView::granted(id, length, prefix, fragments, meta).ok_or(SendError::TooBig)?;
        self.check_credit(Way::Granted, length)?;
        self.send_packet(&packet, |writer| {
            // As long as was said.
            let _ = writer.write(prefix);
        })?;
        // INVARIANT: The packet is produced, and both know of it.
        let id = self.outstanding.allocate(length).unwrap_or(id);
        if let Some(credit) = &mut self.credit {
            // Checked above.
            let _ = credit.take(length);
        }
        self.counters.packet(Way::Granted, length);
        Ok(id)
    }

    /// Queues the FINISH of a packet that the peer sent.
    ///
    /// [`super::Receiver::finished`] comes first: once the peer sees the FINISH it may use the id
    /// again. FINISHes go out in batches with [`Self::flush_finishes`] or [`Self::publish`].
    ///
    /// # Errors
    ///
    /// Returns a [`FinishError`] if this side has queued the FINISH before.
    pub fn queue_finish(&mut self, id: PacketId, status: FinishStatus) -> Result<(), FinishError> {
        self.finishes.push(Finish { id, status })
    }

    /// Returns how many FINISHes are queued and not in the ring.
    pub fn queued_finishes(&self) -> u16 {
        self.finishes.count()
    }

    /// Puts the queued FINISHes into the ring, in messages as large as the space allows.
    ///
    /// # Errors
    ///
    /// Returns a [`Violation`] if the peer's index is wrong.
    pub fn flush_finishes(&mut self) -> Result<Flush, Violation> {
        while self.finishes.count() > 0 {
            if self.producer.free() < MessageSize::MAX.bytes() {
                self.producer.refresh()?;
            }
            let batch = self.finishes.batch(self.fitting_finishes());
            match self.send_whole(&Message::Finish(batch), batch.size()) {
                Ok(()) => {
                    self.counters.finishes(&batch);
                    self.finishes.remove(&batch);
                }
                Err(SendError::Violation(violation)) => return Err(violation),
                Err(_) => return Ok(Flush::Waiting),
            }
        }
        Ok(Flush::Done)
    }

    /// Shows the peer all that was sent, queued FINISHes too.
    ///
    /// # Errors
    ///
    /// Returns a [`Violation`] if the peer's index is wrong.
    pub fn publish(&mut self) -> Result<Notify, Violation> {
        // What does not fit waits for the space that the peer is about to publish.
        let _ = self.flush_finishes()?;
        if !self.producer.has_unpublished() {
            return Ok(Notify::NotNeeded);
        }
        let notify = self.producer.publish();
        self.counters.published(notify);
        Ok(notify)
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

    fn check_credit(&mut self, way: Way, length: PacketLength) -> Result<(), SendError> {
        let credit = self.credit.as_ref().ok_or(SendError::NotReady)?;
        if way != Way::Inline && credit.check(length).is_err() {
            self.counters.found_no_credit();
            return Err(SendError::NoCredit);
        }
        Ok(())
    }

    fn begin(&mut self, size: MessageSize) -> Result<Slot<'_, R>, SendError> {
        Ok(self.producer.begin(size, self.reserve)?)
    }

    fn send_packet(
        &mut self,
        packet: &PacketView<'_>,
        fill: impl FnOnce(&mut InlineWriter<'_, R>),
    ) -> Result<(), SendError> {
        packet
            .check(self.negotiated)
            .map_err(SendError::Malformed)?;
        let size = packet.size().ok_or(SendError::TooBig)?;
        let raw = packet.to_raw().ok_or(SendError::TooBig)?;
        let slot = self.begin(size)?;
        let mut writer = InlineWriter::new(slot, raw.as_bytes(), packet.fragments())
            .with_room_for(packet.inline_length());
        fill(&mut writer);
        writer.commit();
        Ok(())
    }

    /// Sends a message that is all head, with the reserve at its disposal.
    fn send_whole(&mut self, message: &Message, size: MessageSize) -> Result<(), SendError> {
        let mut head = [0; MAX_HEAD];
        let length = message.emit(&mut head).map_err(|_| SendError::TooBig)?;
        let mut slot = self.producer.begin(size, Reserve::NONE)?;
        slot.write(Bytes::ZERO, head.get(..length).unwrap_or_default())
            .map_err(|_| SendError::TooBig)?;
        slot.commit();
        Ok(())
    }

    /// Returns how many FINISHes go into one message without padding before it, at least 1.
    fn fitting_finishes(&self) -> u16 {
        let to_end = self.producer.to_end();
        let free = self.producer.free();
        // The last 8 bytes of a ring are too short for a FINISH and become a PAD.
        let room = if to_end.get() < 16 {
            free.saturating_sub(to_end)
        } else {
            free.min(to_end)
        };
        let entries = room.get().saturating_sub(8) / 4;
        u16::try_from(entries)
            .unwrap_or(MAX_FINISHES)
            .clamp(1, MAX_FINISHES)
    }
}

const SET_MAX_PACKETS_SIZE: MessageSize = match MessageSize::new(16) {
    Ok(size) => size,
    Err(_) => MessageSize::MAX,
};

/// Keeps 16 bytes for the FINISH of each packet that the peer may have outstanding, which is what
/// a FINISH with one entry takes, and once the size of the largest for a PAD.
fn reserve(own_credit: MaxPackets) -> Reserve {
    Reserve(Bytes::new(
        u32::from(own_credit.packets().get()) * 16 + u32::from(MAX_FINISHES) * 4 + 8,
    ))
}
