// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Packets that wait for their FINISH.

use crate::{
    error::Violation,
    units::{
        PacketId,
        PacketLength, //
    },
    wire::MAX_OUTSTANDING, //
};

const TABLE: usize = MAX_OUTSTANDING as usize;

/// The packets that one side has sent and the other has not finished.
///
/// An id is used again as late as possible, so that a FINISH that comes twice is found out.
///
/// # Invariants
///
/// * The `free` entries of `ids` from `head` on, modulo the table, are the ids that have no
///   length, each once.
/// * `used` counts the lengths that there are; `free + used` is the size of the table.
#[derive(Debug)]
pub struct Outstanding {
    lengths: [Option<PacketLength>; TABLE],
    /// By id: counts the packets sent before this one, modulo 2^32.
    sequences: [u32; TABLE],
    ids: [u8; TABLE],
    head: u8,
    used: u16,
    sequence: u32,
}

impl Outstanding {
    /// Makes a table with nothing outstanding.
    pub fn new() -> Self {
        let mut ids = [0; TABLE];
        for (place, id) in ids.iter_mut().zip(0..=u8::MAX) {
            *place = id;
        }
        // INVARIANT: All ids are free, and each is in `ids` once.
        Self {
            lengths: [None; TABLE],
            sequences: [0; TABLE],
            ids,
            head: 0,
            used: 0,
            sequence: 0,
        }
    }

    /// Returns how many packets are outstanding.
    pub const fn count(&self) -> u16 {
        self.used
    }

    /// Iterates over the packets that are outstanding, by id.
    pub fn iter(&self) -> impl Iterator<Item = (PacketId, PacketLength)> + '_ {
        self.lengths
            .iter()
            .zip(0..MAX_OUTSTANDING)
            .filter_map(|(length, id)| PacketId::new(id).zip(*length))
    }

    /// Returns the id that [`Self::allocate`] would give out, or [`None`] if there is none left.
    #[inline]
    pub fn peek(&self) -> Option<PacketId> {
        if self.used >= MAX_OUTSTANDING {
            return None;
        }
        self.ids
            .get(usize::from(self.head))
            .and_then(|id| PacketId::new(u16::from(*id)))
    }

    /// Enters a packet of `length` bytes, or returns [`None`] if there is no id left.
    #[inline]
    pub fn allocate(&mut self, length: PacketLength) -> Option<PacketId> {
        let id = self.peek()?;
        *self.lengths.get_mut(id.index())? = Some(length);
        *self.sequences.get_mut(id.index())? = self.sequence;
        // INVARIANT: The id leaves the free ones and its entry has a length.
        self.sequence = self.sequence.wrapping_add(1);
        self.head = self.head.wrapping_add(1);
        self.used = self.used.saturating_add(1);
        Some(id)
    }

    /// Strikes out the packet `id` and returns its length.
    ///
    /// # Errors
    ///
    /// Returns [`Violation::FinishUnknown`] if it is not outstanding.
    #[inline]
    pub fn finish(&mut self, id: PacketId) -> Result<PacketLength, Violation> {
        let unknown = Violation::FinishUnknown(id.get());
        let place = self.lengths.get_mut(id.index()).ok_or(unknown)?;
        let length = place.take().ok_or(unknown)?;
        // The free ids start at `head` and there are 256 - `used` of them, so that the place
        // behind them is `used` before `head`, in the arithmetic of a byte.
        let [used, _] = self.used.to_le_bytes();
        let place = usize::from(self.head.wrapping_sub(used));
        let [low, _] = id.get().to_le_bytes();
        if let Some(free) = self.ids.get_mut(place) {
            *free = low;
        }
        // INVARIANT: The id joins the free ones and its entry has no length.
        self.used = self.used.saturating_sub(1);
        Ok(length)
    }

    /// Returns the packet that has been outstanding for longest.
    pub fn oldest(&self) -> Option<PacketId> {
        let age = |id: &PacketId| {
            self.sequences
                .get(id.index())
                .map(|sequence| self.sequence.wrapping_sub(*sequence))
        };
        self.iter().map(|(id, _)| id).max_by_key(age)
    }
}

impl Default for Outstanding {
    fn default() -> Self {
        Self::new()
    }
}
