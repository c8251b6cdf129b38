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
        InlineLength,
        RingIndex,
        RingOffset,
        RingOrder, //
    },
    wire::{
        parse_pad,
        Features,
        HeadLength,
        Kind,
        Message,
        MessageSize,
        MAX_HEAD, //
    },
};

/// How many bytes of a message are copied before its size is looked at: the head of a packet with
/// one fragment.
const AHEAD: u16 = 40;

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
    /// The private copy of the head of the message that was taken last.
    head: [u8; MAX_HEAD],
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
            head: [0; MAX_HEAD],
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
        let Some(taken) = self.take()? else {
            return Ok(None);
        };
        let message = Message::parse(self.head(&taken), self.negotiated)?;
        let inline = match &message {
            Message::Packet(packet) => taken.inline(packet.inline_length),
            _ => taken.inline(InlineLength::ZERO),
        };
        Ok(Some(Received { message, inline }))
    }

    /// Takes the next message without parsing it, if there is one.
    #[inline]
    pub(crate) fn take(&mut self) -> Result<Option<Taken>, Violation> {
        // At most twice: behind a PAD the ring begins anew, where none may be.
        loop {
            match self.take_any()? {
                Some(taken) if taken.kind == Kind::Pad => {}
                taken => return Ok(taken),
            }
        }
    }

    /// Returns the private copy of the head of the message that was taken last.
    pub(crate) fn head(&self, taken: &Taken) -> &[u8] {
        self.head.get(..taken.head.as_usize()).unwrap_or_default()
    }

    /// Returns the features that messages may use.
    pub(crate) const fn negotiated(&self) -> Features {
        self.negotiated
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
    ///
    /// The message after a PAD lies at the start of the ring, where no PAD may be.
    // Has one caller, for which it need not put together what it returns.
    #[inline(always)]
    fn take_any(&mut self) -> Result<Option<Taken>, Violation> {
        if self.available() == Bytes::ZERO {
            self.refresh()?;
        }
        let available = self.available();
        if available == Bytes::ZERO {
            return Ok(None);
        }
        let at = self.consumed.offset(self.order);
        let to_end = at.to_end(self.order);
        // As both indices and the ring's size are multiples of 8, 8 bytes are there.
        let ahead = usize::from(AHEAD)
            .min(available.as_usize())
            .min(to_end.as_usize());
        if let Some(copy) = self.head.get_mut(..ahead) {
            self.ring.read(at, copy);
        }
        let first: [u8; 8] = self.head.first_chunk().copied().unwrap_or_default();
        let [kind, _, low, high, ..] = first;
        let size = u16::from_le_bytes([low, high]);
        let kind = Kind::from_wire(kind)?;
        let head = if kind == Kind::Pad {
            self.check_pad(&first, size, at)?
        } else {
            check_size(size, available, to_end)?;
            HeadLength::of_kind(kind, first)?
        };
        let size = Bytes::new(u32::from(size));
        if head.bytes() > size {
            return Err(Violation::MessageSizeMismatch {
                size: u16::from_le_bytes([low, high]),
                expected: head.bytes().get(),
            });
        }
        // Nothing of the head is read a second time: what was looked at is what is parsed.
        if let Some(rest) = self.head.get_mut(ahead..head.as_usize()) {
            if !rest.is_empty() {
                let read = Bytes::new(u32::from(AHEAD));
                self.ring.read(at.forward(read), rest);
            }
        }
        // INVARIANT: The message ends within `available` bytes, at a multiple of 8.
        self.consumed = self.consumed.advance(size);
        Ok(Some(Taken {
            kind,
            head,
            inline: at.forward(head.bytes()),
            end: self.consumed,
        }))
    }

    fn check_pad(
        &self,
        first: &[u8; 8],
        size: u16,
        at: RingOffset,
    ) -> Result<HeadLength, Violation> {
        parse_pad(first)?;
        let to_end = at.to_end(self.order);
        let bytes = Bytes::new(u32::from(size));
        if bytes != to_end || at.get() == 0 {
            return Err(Violation::PadSize { size, at, to_end });
        }
        let available = self.available();
        if bytes > available {
            return Err(Violation::MessageTruncated { size, available });
        }
        HeadLength::of_kind(Kind::Pad, *first)
    }
}

/// Checks that a message ends within what is produced and within the ring.
#[inline]
fn check_size(size: u16, available: Bytes, to_end: Bytes) -> Result<(), Violation> {
    let bytes = MessageSize::new(size)?.bytes();
    if bytes > available {
        return Err(Violation::MessageTruncated { size, available });
    }
    if bytes > to_end {
        return Err(Violation::MessageWraps { size, to_end });
    }
    Ok(())
}

/// A message whose head was copied, and whose contents are not looked at yet.
///
/// # Invariants
///
/// Its head, and whatever the head says that it has inline, end at `end` or before.
#[derive(Debug)]
pub(crate) struct Taken {
    kind: Kind,
    head: HeadLength,
    /// Where inline bytes would start.
    inline: RingOffset,
    end: RingIndex,
}

impl Taken {
    /// Returns the message's type.
    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the token for `length` inline bytes, which parsing has compared with the size.
    pub(crate) fn inline(&self, length: InlineLength) -> InlineBytes {
        // INVARIANT: They lie within the message, which lies within the ring.
        InlineBytes {
            next: self.inline,
            rest: length.bytes(),
            end: self.end,
        }
    }
}
