// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The consuming end of a ring.

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
        length_of,
        Bytes,
        RingIndex,
        RingOffset,
        RingOrder,
        ALIGNMENT, //
    },
    wire::{
        Features,
        HeadLength,
        Kind,
        Message,
        MessageSize,
        MAX_HEAD, //
    },
};

/// Says whether a consumer that is about to sleep may do so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a consumer that sleeps over messages is not woken for them"]
pub enum Rearm {
    /// It may; an event comes with the next message.
    Idle,
    /// It may not; messages came meanwhile.
    MoreWork,
}

/// A message that was received, and its inline bytes.
#[derive(Debug)]
pub struct Received {
    /// The message, checked.
    pub message: Message,
    /// The bytes that are still in the ring; none but for packets.
    pub inline: InlineBytes,
}

/// The inline bytes of a packet, which are still in the ring and are taken from it once.
///
/// # Invariants
///
/// `next..next + rest` lies within one message of the ring that issued the token, and within the
/// ring. `end` is where that message ends.
#[derive(Debug)]
pub struct InlineBytes {
    next: RingOffset,
    rest: Bytes,
    end: RingIndex,
}

impl InlineBytes {
    /// Returns how many bytes are not taken yet.
    pub const fn len(&self) -> Bytes {
        self.rest
    }

    /// Says whether all are taken.
    pub fn is_empty(&self) -> bool {
        self.rest == Bytes::ZERO
    }
}

/// Why inline bytes could not be taken; none was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InlineError {
    /// There are fewer left.
    PastEnd,
    /// Their place was given back to the producer.
    Released,
}

/// The consuming end of a ring.
///
/// # Invariants
///
/// * In wrapping order `released <= consumed <= produced`, and `produced` is at most the ring's
///   size ahead of `released`.
/// * All three are multiples of 8.
/// * `order` is the size of the ring as it was at first.
#[derive(Debug)]
pub struct Consumer<R> {
    ring: R,
    order: RingOrder,
    negotiated: Features,
    /// How far the peer has produced, as far as this end knows.
    produced: RingIndex,
    /// How far this end has consumed.
    consumed: RingIndex,
    /// How much of that is given back to the peer.
    released: RingIndex,
}

impl<R: SharedRing> Consumer<R> {
    /// Takes the consuming end of a ring that nobody has used yet.
    pub fn new(ring: R, negotiated: Features) -> Self {
        let order = ring.order();
        // INVARIANT: All indices are equal.
        Self {
            ring,
            order,
            negotiated,
            produced: RingIndex::START,
            consumed: RingIndex::START,
            released: RingIndex::START,
        }
    }

    /// Takes the next message, if there is one.
    ///
    /// The message's place stays this end's until [`Self::publish`]. A call looks at one message
    /// and at most one PAD before it, whatever the peer does meanwhile.
    ///
    /// # Errors
    ///
    /// Returns the [`Violation`] of the first rule that the message or the peer's index breaks.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would have to end at a violation"
    )]
    pub fn next(&mut self) -> Result<Option<Received>, Violation> {
        if self.available() == Bytes::ZERO {
            self.refresh()?;
        }
        let received = self.take()?;
        match received {
            Some(Received {
                message: Message::Pad,
                ..
            }) => {
                if self.available() == Bytes::ZERO {
                    self.refresh()?;
                }
                // The message after a PAD is at the start of the ring, where no PAD may be.
                self.take()
            }
            received => Ok(received),
        }
    }

    /// Copies the next inline bytes of a packet out of the ring.
    ///
    /// Each byte is read once: the token moves on behind them.
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
        let length = Bytes::new(length_of(into));
        // The second test is for a token of another, larger ring.
        if length > inline.rest || length > inline.next.to_end(self.order) {
            return Err(InlineError::PastEnd);
        }
        let held = self.consumed.distance(self.released);
        let behind = self.consumed.distance(inline.end);
        if behind >= held {
            return Err(InlineError::Released);
        }
        self.ring.read(inline.next, into);
        // INVARIANT: Both ends of the range move by `length`, which is at most `rest`.
        inline.next = inline.next.forward(length);
        inline.rest = inline.rest.saturating_sub(length);
        Ok(())
    }

    /// Gives back the places of all messages that were taken.
    pub fn publish(&mut self) -> Notify {
        let (old, new) = (self.released, self.consumed);
        if old == new {
            return Notify::NotNeeded;
        }
        // Release: this end's reads are over before the peer writes there again. Pairs with the
        // acquire of `Cons` in `Producer::refresh`.
        self.ring.store(IndexWord::Cons, new.get());
        // INVARIANT: `released` moves on to `consumed`.
        self.released = new;
        // Pairs with the barrier in `Producer::arm_space_event`: either this end sees the event
        // index there, or the producer sees the index above.
        self.ring.full_barrier();
        let event = RingIndex::new(self.ring.load(IndexWord::ConsEvent));
        event::reached(event, old, new)
    }

    /// Says whether messages were taken whose places are not given back yet.
    pub fn has_unpublished(&self) -> bool {
        self.released != self.consumed
    }

    /// Asks for an event with the next message, before going to sleep.
    ///
    /// The caller has taken all messages and has called [`Self::publish`].
    ///
    /// # Errors
    ///
    /// Returns a [`Violation`] if the peer's index is wrong.
    pub fn arm(&mut self) -> Result<Rearm, Violation> {
        let event = self.consumed.advance(Bytes::new(1));
        self.ring.store(IndexWord::ProdEvent, event.get());
        // Pairs with the barrier in `Producer::publish`: either this end sees the index there, or
        // the producer sees the event index above. The re-check covers a producer that published
        // before it could see the event index.
        self.ring.full_barrier();
        self.refresh()?;
        Ok(if self.available() == Bytes::ZERO {
            Rearm::Idle
        } else {
            Rearm::MoreWork
        })
    }

    /// Returns how many bytes are there to take, as far as this end knows.
    pub fn available(&self) -> Bytes {
        self.produced.distance(self.consumed)
    }

    /// Reads how far the peer has produced.
    fn refresh(&mut self) -> Result<(), Violation> {
        // Acquire: the index is read before the messages that it stands for. Pairs with the
        // release of `Prod` in `Producer::publish`.
        let found = RingIndex::new(self.ring.load(IndexWord::Prod));
        // What is not given back cannot be produced again.
        let limit = self.released.advance(self.order.bytes());
        let room = limit.distance(self.produced);
        if !found.is_aligned() || found.distance(self.produced) > room {
            return Err(Violation::ProducerIndex {
                found,
                before: self.produced,
                limit,
            });
        }
        // INVARIANT: Between `produced` and a ring's size behind `released`, as checked above.
        self.produced = found;
        Ok(())
    }

    /// Takes what is next, a PAD too.
    fn take(&mut self) -> Result<Option<Received>, Violation> {
        let available = self.available();
        if available == Bytes::ZERO {
            return Ok(None);
        }
        let at = self.consumed.offset(self.order);
        let to_end = at.to_end(self.order);
        // As both indices and the ring's size are multiples of 8, 8 bytes are there.
        let mut first = [0; ALIGNMENT as usize];
        self.ring.read(at, &mut first);
        let [kind, _, low, high, ..] = first;
        let size = u16::from_le_bytes([low, high]);
        if Kind::from_wire(kind)? == Kind::Pad {
            return self.take_pad(&first, size, at).map(Some);
        }

        let size = MessageSize::new(size)?;
        if size.bytes() > available {
            return Err(Violation::MessageTruncated {
                size: size.get(),
                available,
            });
        }
        if size.bytes() > to_end {
            return Err(Violation::MessageWraps {
                size: size.get(),
                to_end,
            });
        }
        let length = HeadLength::of(first)?;
        if length.bytes() > size.bytes() {
            return Err(Violation::MessageSizeMismatch {
                size: size.get(),
                expected: length.bytes().get(),
            });
        }
        // Nothing of the head is read a second time: what was looked at is what is parsed.
        let mut head = [0; MAX_HEAD];
        let head = head.get_mut(..length.as_usize()).unwrap_or_default();
        if let Some((start, rest)) = head.split_first_chunk_mut() {
            *start = first;
            self.ring
                .read(at.forward(Bytes::new(length_of(&first))), rest);
        }
        let message = Message::parse(head, self.negotiated)?;

        // INVARIANT: The message ends within `available` bytes, at a multiple of 8.
        self.consumed = self.consumed.advance(size.bytes());
        let rest = match &message {
            Message::Packet(packet) => packet.inline_length.bytes(),
            _ => Bytes::ZERO,
        };
        // INVARIANT: `Message::parse` has compared head and inline bytes with the size, and the
        // message lies within the ring.
        let inline = InlineBytes {
            next: at.forward(length.bytes()),
            rest,
            end: self.consumed,
        };
        Ok(Some(Received { message, inline }))
    }

    fn take_pad(
        &mut self,
        first: &[u8; 8],
        size: u16,
        at: RingOffset,
    ) -> Result<Received, Violation> {
        let message = Message::parse(first, self.negotiated)?;
        let to_end = at.to_end(self.order);
        let bytes = Bytes::new(u32::from(size));
        if bytes != to_end || at.get() == 0 {
            return Err(Violation::PadSize { size, at, to_end });
        }
        let available = self.available();
        if bytes > available {
            return Err(Violation::MessageTruncated { size, available });
        }
        // INVARIANT: The PAD ends within `available` bytes, at the end of the ring.
        self.consumed = self.consumed.advance(bytes);
        Ok(Received {
            message,
            inline: InlineBytes {
                next: at,
                rest: Bytes::ZERO,
                end: self.consumed,
            },
        })
    }
}
