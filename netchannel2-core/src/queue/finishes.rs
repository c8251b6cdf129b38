// SPDX-License-Identifier: GPL-2.0 OR MIT

//! FINISHes that are owed and not sent yet.

use crate::{
    units::PacketId,
    wire::{
        Finish,
        FinishBatch,
        FinishStatus,
        MAX_OUTSTANDING, //
    },
};

const TABLE: usize = MAX_OUTSTANDING as usize;

/// Why a FINISH could not be queued: a mistake of this side, not of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishError {
    /// The packet's FINISH is waiting already.
    Duplicate(PacketId),
}

/// Says whether FINISHes are left to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "FINISHes that wait need another flush"]
pub enum Flush {
    /// None is.
    Done,
    /// Some are: the ring had no space, which takes a peer that keeps its credit from the last
    /// ones but not yet their place.
    Waiting,
}

/// FINISHes in the order in which they go out, at most one for each id.
///
/// # Invariants
///
/// The entries of `ids` from `head` on, `count` of them modulo the table, are the ids whose
/// `status` is set, each once.
#[derive(Debug)]
pub(super) struct PendingFinishes {
    ids: [u8; TABLE],
    status: [Option<FinishStatus>; TABLE],
    head: u8,
    count: u16,
}

impl PendingFinishes {
    pub(super) const fn new() -> Self {
        // INVARIANT: Nothing is set.
        Self {
            ids: [0; TABLE],
            status: [None; TABLE],
            head: 0,
            count: 0,
        }
    }

    /// Returns how many FINISHes wait.
    #[inline]
    pub(super) const fn count(&self) -> u16 {
        self.count
    }

    #[inline]
    pub(super) fn push(&mut self, finish: Finish) -> Result<(), FinishError> {
        let duplicate = FinishError::Duplicate(finish.id);
        let status = self.status.get_mut(finish.id.index()).ok_or(duplicate)?;
        if status.is_some() {
            return Err(duplicate);
        }
        *status = Some(finish.status);
        // An id whose status was unset is not among the `count`, which is below the table's size.
        let [count, _] = self.count.to_le_bytes();
        let [low, _] = finish.id.get().to_le_bytes();
        let place = usize::from(self.head.wrapping_add(count));
        if let Some(id) = self.ids.get_mut(place) {
            *id = low;
        }
        // INVARIANT: The id is set and at the end of the entries.
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// Copies the first FINISHes, at most `limit`, without removing them.
    pub(super) fn batch(&self, limit: u16) -> FinishBatch {
        let mut batch = FinishBatch::new();
        let mut place = self.head;
        for _ in 0..limit.min(self.count) {
            let Some(finish) = self.at(place) else {
                break;
            };
            if batch.push(finish).is_err() {
                break;
            }
            place = place.wrapping_add(1);
        }
        batch
    }

    /// Removes the FINISHes of `batch`, which are the first ones.
    pub(super) fn remove(&mut self, batch: &FinishBatch) {
        for finish in batch.iter() {
            if let Some(status) = self.status.get_mut(finish.id.index()) {
                *status = None;
            }
            // INVARIANT: The first id is unset and leaves the entries.
            self.head = self.head.wrapping_add(1);
            self.count = self.count.saturating_sub(1);
        }
    }

    fn at(&self, place: u8) -> Option<Finish> {
        let id = PacketId::new(u16::from(*self.ids.get(usize::from(place))?))?;
        let status = (*self.status.get(id.index())?)?;
        Some(Finish { id, status })
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn finish(id: u16) -> Option<Finish> {
        PacketId::new(id).map(|id| Finish {
            id,
            status: FinishStatus::Ok,
        })
    }

    #[test]
    fn every_id_fits_once() {
        let mut pending = PendingFinishes::new();
        for round in 0..3_u16 {
            let order: Vec<_> = (0..256).map(|id| (id * 7 + round) % 256).collect();
            for one in order.iter().copied().filter_map(finish) {
                assert_eq!(pending.push(one), Ok(()));
                assert_eq!(pending.push(one), Err(FinishError::Duplicate(one.id)));
            }
            let mut seen = Vec::new();
            while pending.count() > 0 {
                let batch = pending.batch(round * 20 + 10);
                assert!(!batch.is_empty());
                seen.extend(batch.iter().map(|finish| finish.id.get()));
                pending.remove(&batch);
            }
            assert_eq!(seen, order);
        }
    }
}
