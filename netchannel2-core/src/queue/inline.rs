// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Writing a packet's inline bytes into its message.

use crate::{
    ring::{
        SharedRing,
        Slot,
        SlotOverrun, //
    },
    units::{
        length_of,
        Bytes,
        InlineLength,
        RingOffset, //
    },
};

/// Says that there is no space for that many bytes; none was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InlineOverrun;

/// Appends bytes to a message.
///
/// # Invariants
///
/// `next + rest` is at most the size of the message.
#[derive(Debug)]
pub struct InlineWriter<'a, R> {
    slot: Slot<'a, R>,
    next: Bytes,
    rest: Bytes,
}

impl<'a, R: SharedRing> InlineWriter<'a, R> {
    /// Writes the head of the message, and has no room for anything else.
    #[inline]
    pub(super) fn new(slot: Slot<'a, R>, head: &[u8]) -> Self {
        // INVARIANT: Nothing is within every message.
        let mut writer = Self {
            slot,
            next: Bytes::ZERO,
            rest: Bytes::ZERO,
        };
        writer.append(head);
        writer
    }

    /// Makes room for `length` bytes, or what the message has behind its head.
    pub(super) fn with_room_for(self, length: InlineLength) -> Self {
        let room = self.slot.size().bytes().saturating_sub(self.next);
        // INVARIANT: Not more than there is.
        Self {
            rest: length.bytes().min(room),
            ..self
        }
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    ///
    /// Returns [`InlineOverrun`] if the packet would become longer than was said.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), InlineOverrun> {
        let length = Bytes::new(length_of(bytes));
        if length > self.rest {
            return Err(InlineOverrun);
        }
        self.append(bytes);
        self.rest = self.rest.saturating_sub(length);
        Ok(())
    }

    /// Has `copy` put the rest of the bytes into the ring; it gets the ring, where they go there,
    /// and how many they are.
    pub(super) fn fill<E: From<SlotOverrun>>(
        &mut self,
        copy: impl FnOnce(&R, RingOffset, Bytes) -> Result<(), E>,
    ) -> Result<(), E> {
        let length = self.rest;
        self.slot
            .write_with(self.next, length, |ring, at| copy(ring, at, length))?;
        // INVARIANT: The sum stays as it was.
        self.next = self.next.saturating_add(length);
        self.rest = Bytes::ZERO;
        Ok(())
    }

    /// Returns how many bytes are still to be written.
    pub const fn remaining(&self) -> Bytes {
        self.rest
    }

    /// Fills the rest of the message with zeroes, padding too, and produces it.
    pub(super) fn commit(mut self) {
        const ZEROES: [u8; 64] = [0; 64];
        let mut rest = self.slot.size().bytes().saturating_sub(self.next);
        while rest > Bytes::ZERO {
            let zeroes = ZEROES.get(..rest.as_usize()).unwrap_or(&ZEROES);
            self.append(zeroes);
            rest = rest.saturating_sub(Bytes::new(length_of(zeroes)));
        }
        self.slot.commit();
    }

    fn append(&mut self, bytes: &[u8]) {
        // In bounds by the invariant; a slot refuses what is not.
        if self.slot.write(self.next, bytes).is_ok() {
            self.next = self.next.saturating_add(Bytes::new(length_of(bytes)));
        }
    }
}
