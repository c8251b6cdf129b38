// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The receiving half of a queue.

use crate::{
    credit::Credit,
    error::Violation,
    pool::{
        Borrowed,
        ChunkIndex, //
    },
    ring::{
        Consumer,
        InlineBytes,
        InlineError,
        Notify,
        Rearm,
        SharedRing,
        Taken, //
    },
    stats::ReceiveCounters,
    units::{
        PacketId,
        PacketLength, //
    },
    wire::{
        Features,
        FinishBatch,
        FinishStatus,
        Kind,
        MaxPackets,
        Message,
        Packet,
        PoolAdd,
        PoolAnswer,
        SetModeration,
        Way,
        MAX_OUTSTANDING, //
    },
};

const TABLE: usize = MAX_OUTSTANDING as usize;

/// What the peer has to say.
#[derive(Debug)]
pub enum Event {
    /// It says how much this side may have outstanding, once and first of all.
    Ready(MaxPackets),
    /// It sends a packet, [`Receiver::packet`]. One with an id is finished by
    /// [`Receiver::finished`].
    Packet(InlineBytes),
    /// It gives back packets, [`Receiver::finishes`], for [`super::Sender::on_finish`].
    Finish,
    /// It offers a chunk of its pool, [`Receiver::pool_add`]. The answer is said to
    /// [`Receiver::borrowed`] first, and then to [`super::Sender::queue_answer`].
    PoolAdd(ChunkIndex),
    /// It does not use a chunk of its pool any more; this is answered in the same way.
    PoolDrop(ChunkIndex),
    /// It says what became of a chunk of this side's pool, for [`crate::pool::OwnPool::on_answer`].
    PoolAnswer(ChunkIndex, PoolAnswer),
    /// It says how long events may wait, [`Receiver::moderation`].
    SetModeration,
}

/// The receiving half of a queue.
///
/// # Invariants
///
/// `lengths` holds the packets, and `credit` counts them, that the peer has sent and this side
/// has not finished.
#[derive(Debug)]
pub struct Receiver<R> {
    consumer: Consumer<R>,
    /// This side's allowance, of which the peer uses up.
    credit: Credit,
    lengths: [Option<PacketLength>; TABLE],
    is_ready: bool,
    // The last message of each kind, parsed in place: they are long, and moving them costs more
    // than parsing.
    packet: Packet,
    finishes: FinishBatch,
    pool_add: Option<PoolAdd>,
    borrowed: Borrowed,
    moderation: Option<SetModeration>,
    counters: ReceiveCounters,
}

impl<R: SharedRing> Receiver<R> {
    /// Takes the consuming end of a ring that nobody has used yet.
    ///
    /// `own_credit` is what this side's [`super::Sender`] is made with.
    pub fn new(ring: R, own_credit: MaxPackets, negotiated: Features) -> Self {
        // INVARIANT: The peer has sent nothing.
        Self {
            consumer: Consumer::new(ring, negotiated),
            credit: Credit::new(own_credit),
            lengths: [None; TABLE],
            is_ready: false,
            packet: Packet::FILLER,
            finishes: FinishBatch::new(),
            pool_add: None,
            borrowed: Borrowed::new(),
            moderation: None,
            counters: ReceiveCounters::default(),
        }
    }

    /// Takes what the peer has to say next, if there is anything.
    ///
    /// Looks at one message, and at most one PAD before it.
    ///
    /// # Errors
    ///
    /// Returns the [`Violation`] of the first rule that the peer has broken. The channel is to be
    /// closed then.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would have to end at a violation"
    )]
    pub fn next(&mut self) -> Result<Option<Event>, Violation> {
        let Some(taken) = self.consumer.take()? else {
            return Ok(None);
        };
        let kind = taken.kind();
        if self.is_ready == (kind == Kind::SetMaxPackets) {
            return Err(self.misplaced(&taken));
        }
        let head = self.consumer.head(&taken);
        match kind {
            Kind::Packet => {
                self.packet.parse_from(head, self.consumer.negotiated())?;
                self.enter()?;
                Ok(Some(Event::Packet(taken.inline(self.packet.inline_length))))
            }
            Kind::Finish => {
                self.finishes.parse_from(head)?;
                self.counters.finishes(&self.finishes);
                Ok(Some(Event::Finish))
            }
            Kind::SetMaxPackets => {
                let limit = MaxPackets::parse(head)?;
                self.is_ready = true;
                Ok(Some(Event::Ready(limit)))
            }
            Kind::SetModeration => {
                let negotiated = self.consumer.negotiated();
                self.moderation = Some(SetModeration::parse_negotiated(head, negotiated)?);
                Ok(Some(Event::SetModeration))
            }
            // The consumer keeps PADs to itself.
            _ => match Message::parse(head, self.consumer.negotiated())? {
                Message::PoolAdd(add) => {
                    self.borrowed.on_add(add.chunk)?;
                    self.pool_add = Some(add);
                    Ok(Some(Event::PoolAdd(add.chunk)))
                }
                Message::PoolDrop(chunk) => {
                    self.borrowed.on_drop(chunk)?;
                    Ok(Some(Event::PoolDrop(chunk)))
                }
                Message::PoolAnswer(chunk, answer) => Ok(Some(Event::PoolAnswer(chunk, answer))),
                _ => Ok(None),
            },
        }
    }

    /// Returns what is known of the peer's pool.
    pub fn borrowed(&mut self) -> &mut Borrowed {
        &mut self.borrowed
    }

    /// Returns what the last [`Event::PoolAdd`] offered.
    pub const fn pool_add(&self) -> Option<&PoolAdd> {
        self.pool_add.as_ref()
    }

    /// Returns the packet of the last [`Event::Packet`].
    pub const fn packet(&self) -> &Packet {
        &self.packet
    }

    /// Returns what the last [`Event::Finish`] gave back.
    pub const fn finishes(&self) -> &FinishBatch {
        &self.finishes
    }

    /// Returns what the last [`Event::SetModeration`] said.
    pub const fn moderation(&self) -> Option<SetModeration> {
        self.moderation
    }

    /// Copies the next inline bytes of a packet out of the ring, each byte once.
    ///
    /// # Errors
    ///
    /// Returns an [`InlineError`] if `into` is longer than the rest of them, or if
    /// [`Self::publish`] was called since the packet was received.
    pub fn copy_inline(
        &self,
        inline: &mut InlineBytes,
        into: &mut [u8],
    ) -> Result<(), InlineError> {
        self.consumer.copy_inline(inline, into)
    }

    /// Strikes out a packet that this side is done with, before its FINISH is queued.
    ///
    /// # Errors
    ///
    /// Returns [`Violation::FinishUnknown`] if the peer has no such packet outstanding, which is
    /// a mistake of this side.
    pub fn finished(
        &mut self,
        id: PacketId,
        status: FinishStatus,
    ) -> Result<PacketLength, Violation> {
        let length = self
            .lengths
            .get_mut(id.index())
            .and_then(Option::take)
            .ok_or(Violation::FinishUnknown(id.get()))?;
        self.credit.give_back(length);
        self.counters.finished(status);
        Ok(length)
    }

    /// Counts what became of a packet that takes no FINISH.
    #[inline]
    pub fn passed_on(&mut self, status: FinishStatus) {
        self.counters.finished(status);
    }

    /// Gives the places of all messages that were taken back to the peer.
    pub fn publish(&mut self) -> Notify {
        if !self.consumer.has_unpublished() {
            return Notify::NotNeeded;
        }
        let notify = self.consumer.publish();
        self.counters.published(notify);
        notify
    }

    /// Asks for an event with the next message, before going to sleep; [`Self::publish`] comes
    /// first.
    ///
    /// # Errors
    ///
    /// Returns a [`Violation`] if the peer's index is wrong.
    pub fn arm(&mut self) -> Result<Rearm, Violation> {
        self.consumer.arm()
    }

    /// Returns how many packets the peer has outstanding.
    pub fn outstanding(&self) -> u16 {
        self.credit.packets()
    }

    /// Returns what was counted.
    pub fn counters(&self) -> &ReceiveCounters {
        &self.counters
    }

    /// Says what is wrong with a SET_MAX_PACKETS that is not first, or with another that is.
    #[cold]
    fn misplaced(&self, taken: &Taken) -> Violation {
        if self.is_ready {
            return Violation::CreditTwice;
        }
        let kind = taken.kind().to_wire();
        Violation::NotReady { kind }
    }

    /// Enters a packet, if the peer wants it finished.
    fn enter(&mut self) -> Result<(), Violation> {
        let packet = &self.packet;
        if let Some(id) = packet.id {
            let place = self
                .lengths
                .get_mut(id.index())
                .ok_or(Violation::PacketId(id.get()))?;
            if place.is_some() {
                return Err(Violation::DuplicateId(id));
            }
            self.credit.take(packet.length)?;
            *place = Some(packet.length);
        }
        if packet.way == Way::Staged {
            for fragment in packet.staged.as_slice() {
                self.borrowed.check(fragment.page())?;
            }
        }
        self.counters.packet(packet.way, packet.length);
        Ok(())
    }
}
