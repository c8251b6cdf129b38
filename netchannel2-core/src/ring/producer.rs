// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The producing end of a ring.

use super::{
    control::IndexWord,
    event::{
        self,
        Notify, //
    },
    SharedRing, //
};
use crate::{
    error::Violation,
    units::{
        Bytes,
        RingIndex,
        RingOffset,
        RingOrder, //
    },
    wire::{
        pad,
        MessageSize, //
    },
};

/// How many bytes of the ring a message must leave free for more important ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserve(pub Bytes);

impl Reserve {
    /// Nothing is more important.
    pub const NONE: Self = Self(Bytes::ZERO);
}

/// Why a message cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeginError {
    /// The ring has no space for it.
    Full,
    /// The peer broke a rule.
    Violation(Violation),
}

impl From<Violation> for BeginError {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// Says whether there is space after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// There is; no event need come.
    Available,
    /// There is not; an event comes once there is.
    Awaited,
}

/// Says that a write would leave the message; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotOverrun;

/// The producing end of a ring.
///
/// # Invariants
///
/// * In wrapping order `consumed <= published <= produced`, and `produced` is at most the ring's
///   size ahead of `consumed`.
/// * All three are multiples of 8.
/// * `order` is the size of the ring as it was at first.
#[derive(Debug)]
pub struct Producer<R> {
    ring: R,
    order: RingOrder,
    /// How far this end has produced.
    produced: RingIndex,
    /// How much of that the peer may see.
    published: RingIndex,
    /// How far the peer has consumed, as far as this end knows.
    consumed: RingIndex,
}

impl<R: SharedRing> Producer<R> {
    /// Takes the producing end of a ring that nobody has used yet.
    pub fn new(ring: R) -> Self {
        let order = ring.order();
        // INVARIANT: All indices are equal.
        Self {
            ring,
            order,
            produced: RingIndex::START,
            published: RingIndex::START,
            consumed: RingIndex::START,
        }
    }

    /// Begins a message of `size` bytes that leaves `reserve` free.
    ///
    /// Nothing is produced until [`Slot::commit`]; a slot that is dropped leaves no trace.
    ///
    /// # Errors
    ///
    /// Returns [`BeginError::Full`] if there is no space, and a [`Violation`] if the peer's index
    /// is wrong.
    pub fn begin(
        &mut self,
        size: MessageSize,
        reserve: Reserve,
    ) -> Result<Slot<'_, R>, BeginError> {
        let padding = self.padding(size);
        let needed = padding
            .saturating_add(size.bytes())
            .saturating_add(reserve.0);
        if needed > self.free() {
            self.refresh()?;
            if needed > self.free() {
                return Err(BeginError::Full);
            }
        }
        let start = self.produced.advance(padding);
        Ok(Slot {
            padding,
            offset: start.offset(self.order),
            size,
            producer: self,
        })
    }

    /// Shows the peer all that is produced.
    pub fn publish(&mut self) -> Notify {
        let (old, new) = (self.published, self.produced);
        if old == new {
            return Notify::NotNeeded;
        }
        // Release: the messages are written before the index says so. Pairs with the acquire of
        // `Prod` in `Consumer::refresh`.
        self.ring.store(IndexWord::Prod, new.get());
        // INVARIANT: `published` moves on to `produced`.
        self.published = new;
        // Pairs with the barrier in `Consumer::arm`: either this end sees the event index there,
        // or the consumer sees the index above.
        self.ring.full_barrier();
        let event = RingIndex::new(self.ring.load(IndexWord::ProdEvent));
        event::reached(event, old, new)
    }

    /// Says whether messages were produced that the peer does not see yet.
    pub fn has_unpublished(&self) -> bool {
        self.published != self.produced
    }

    /// Asks for an event once a message of `size` bytes has space beside `reserve`.
    ///
    /// The caller publishes first; what the peer has not seen it cannot make space for.
    ///
    /// # Errors
    ///
    /// Returns a [`Violation`] if the peer's index is wrong.
    pub fn arm_space_event(
        &mut self,
        size: MessageSize,
        reserve: Reserve,
    ) -> Result<Space, Violation> {
        let needed = self
            .padding(size)
            .saturating_add(size.bytes())
            .saturating_add(reserve.0);
        if needed <= self.free() {
            return Ok(Space::Available);
        }
        // More than is in the ring will not be consumed, and all of it is enough.
        let wanted = needed
            .saturating_sub(self.free())
            .min(self.published.distance(self.consumed));
        let event = self.consumed.advance(wanted);
        self.ring.store(IndexWord::ConsEvent, event.get());
        // Pairs with the barrier in `Consumer::publish`: either this end sees the index there, or
        // the consumer sees the event index above. The re-check covers a consumer that moved on
        // before it could see the event index.
        self.ring.full_barrier();
        self.refresh()?;
        Ok(if needed <= self.free() {
            Space::Available
        } else {
            Space::Awaited
        })
    }

    /// Returns how far this end has produced.
    #[inline]
    pub const fn produced(&self) -> RingIndex {
        self.produced
    }

    /// Returns how far the peer has consumed, as far as this end knows.
    #[inline]
    pub const fn consumed(&self) -> RingIndex {
        self.consumed
    }

    /// Says whether the peer has consumed all that was produced.
    ///
    /// # Errors
    ///
    /// Returns a [`Violation`] if the peer's index is wrong.
    pub fn is_drained(&mut self) -> Result<bool, Violation> {
        self.refresh()?;
        Ok(self.consumed == self.produced)
    }

    /// Returns how far the peer may see.
    #[inline]
    pub const fn published(&self) -> RingIndex {
        self.published
    }

    /// Says whether the peer has consumed more than what lies before `index`.
    ///
    /// If it has and had asked for an event there, then it was awake since, and asks again, and
    /// looks again, before it sleeps.
    ///
    /// # Errors
    ///
    /// Returns a [`Violation`] if the peer's index is wrong.
    pub fn is_consumed_beyond(&mut self, index: RingIndex) -> Result<bool, Violation> {
        self.refresh()?;
        Ok(self.published.distance(self.consumed) < self.published.distance(index))
    }

    /// Returns how many bytes are free, as far as this end knows.
    pub fn free(&self) -> Bytes {
        self.order
            .bytes()
            .saturating_sub(self.produced.distance(self.consumed))
    }

    /// Returns how many bytes there are up to the end of the ring.
    pub fn to_end(&self) -> Bytes {
        self.produced.offset(self.order).to_end(self.order)
    }

    /// Returns how many bytes are lost at the end of the ring before a message of `size` bytes.
    fn padding(&self, size: MessageSize) -> Bytes {
        let to_end = self.to_end();
        if size.bytes() > to_end {
            to_end
        } else {
            Bytes::ZERO
        }
    }

    /// Reads how far the peer has consumed.
    pub(crate) fn refresh(&mut self) -> Result<(), Violation> {
        // Acquire: the peer's reads of a message are over before this end writes there again.
        // Pairs with the release of `Cons` in `Consumer::publish`.
        let found = RingIndex::new(self.ring.load(IndexWord::Cons));
        let in_flight = self.published.distance(self.consumed);
        if !found.is_aligned() || found.distance(self.consumed) > in_flight {
            return Err(Violation::ConsumerIndex {
                found,
                before: self.consumed,
                limit: self.published,
            });
        }
        // INVARIANT: Between `consumed` and `published`, as checked above.
        self.consumed = found;
        Ok(())
    }
}

/// A place in the ring for one message.
///
/// # Invariants
///
/// `offset + size` is at most the size of the ring, and the place lies in its free part, behind
/// `padding` bytes of it.
#[derive(Debug)]
#[must_use = "a message that is not committed is not sent"]
pub struct Slot<'a, R> {
    producer: &'a mut Producer<R>,
    padding: Bytes,
    offset: RingOffset,
    size: MessageSize,
}

impl<R: SharedRing> Slot<'_, R> {
    /// Returns the size of the message.
    pub fn size(&self) -> MessageSize {
        self.size
    }

    /// Writes `bytes` at `offset` of the message.
    ///
    /// # Errors
    ///
    /// Returns [`SlotOverrun`] and writes nothing if they would leave it.
    pub fn write(&mut self, offset: Bytes, bytes: &[u8]) -> Result<(), SlotOverrun> {
        let end = offset.saturating_add(Bytes::new(crate::units::length_of(bytes)));
        if end > self.size.bytes() {
            return Err(SlotOverrun);
        }
        self.producer.ring.write(self.offset.forward(offset), bytes);
        Ok(())
    }

    /// Has `copy` write `length` bytes at `offset` of the message; it gets the ring and where they go
    /// there.
    ///
    /// # Errors
    ///
    /// Returns [`SlotOverrun`] and does not call `copy` if they would leave it; what `copy` returns.
    pub fn write_with<E: From<SlotOverrun>>(
        &mut self,
        offset: Bytes,
        length: Bytes,
        copy: impl FnOnce(&R, RingOffset) -> Result<(), E>,
    ) -> Result<(), E> {
        if offset.saturating_add(length) > self.size.bytes() {
            return Err(SlotOverrun.into());
        }
        copy(&self.producer.ring, self.offset.forward(offset))
    }

    /// Produces the message, with a PAD before it where the ring ends too soon.
    ///
    /// The caller has written all of it, padding too: what lay in the ring before is not sent.
    pub fn commit(self) {
        let producer = self.producer;
        if self.padding > Bytes::ZERO {
            let at = producer.produced.offset(producer.order);
            // Less than a message, so it fits the field.
            let size = u16::try_from(self.padding.get()).unwrap_or(u16::MAX);
            producer.ring.write(at, &pad(size));
        }
        // INVARIANT: `begin` has found the space, and a slot borrows the producer, so that it is
        // still there. Both are multiples of 8.
        producer.produced = producer
            .produced
            .advance(self.padding)
            .advance(self.size.bytes());
    }
}
