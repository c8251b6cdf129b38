// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Slots: places of a contiguous run of grant references, handed out without an allocator.

use core::fmt;

/// Identifies a slot of a pool; the first is 0.
///
/// # Invariants
///
/// Lies in the pool that handed it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotIndex(u16);

impl SlotIndex {
    /// Iterates over all slots of a pool of `count`.
    pub fn all(count: u16) -> impl Iterator<Item = Self> + Clone {
        // INVARIANT: They lie in every pool of that size.
        (0..count).map(Self)
    }

    /// Returns the number of the slot.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Returns the number of the slot as an index.
    pub fn as_usize(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for SlotIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Slots that were taken together and are released together.
///
/// A chain that is dropped stays taken for good; hand it to [`SlotPool::release`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a chain that is dropped stays taken"]
pub struct Chain {
    first: u16,
    count: u16,
}

impl Chain {
    /// Returns how many slots the chain has.
    pub const fn count(&self) -> u16 {
        self.count
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Taken,
    /// Taken, and not to be free when its chain is released.
    Condemned,
    Quarantined,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    /// The next slot of the free list or of the chain, where there is one.
    next: u16,
    state: State,
}

/// A pool of `N` slots, 4 bytes for each.
///
/// # Invariants
///
/// * From `head`, `free` links lead through every slot that is free, and no other.
/// * A chain's links lead through its slots, all of them taken or condemned.
/// * `free`, `quarantined` count the slots in those states; `count` is how many there are at all,
///   those behind them are never free.
#[derive(Debug)]
pub struct SlotPool<const N: usize> {
    links: [Link; N],
    head: u16,
    count: u16,
    free: u16,
    quarantined: u16,
}

impl<const N: usize> SlotPool<N> {
    const COUNT: u16 = {
        assert!(N < 1 << 16);
        // CAST: Checked above.
        #[expect(clippy::cast_possible_truncation, reason = "checked above")]
        let count = N as u16;
        count
    };

    /// Makes a pool whose slots are all free, to be taken in order.
    pub fn new() -> Self {
        Self::with_count(Self::COUNT)
    }

    /// Makes a pool of the first `count` slots only, or of all if that are fewer.
    pub fn with_count(count: u16) -> Self {
        let count = count.min(Self::COUNT);
        let mut links = [Link {
            next: 0,
            state: State::Free,
        }; N];
        for (link, next) in links.iter_mut().zip(1..=u16::MAX) {
            link.next = next;
        }
        // INVARIANT: Each slot links to the next one, and the first `count` are free.
        Self {
            links,
            head: 0,
            count,
            free: count,
            quarantined: 0,
        }
    }

    /// Returns how many slots may be taken.
    pub const fn free(&self) -> u16 {
        self.free
    }

    /// Returns how many slots are in quarantine; condemned ones are not yet.
    pub const fn quarantined(&self) -> u16 {
        self.quarantined
    }

    /// Returns how many slots are taken.
    pub const fn taken(&self) -> u16 {
        self.count
            .saturating_sub(self.free)
            .saturating_sub(self.quarantined)
    }

    /// Takes `count` slots, or none at all and returns [`None`] if that many are not free.
    pub fn take_chain(&mut self, count: u16) -> Option<Chain> {
        if count > self.free {
            return None;
        }
        let first = self.head;
        for _ in 0..count {
            let link = self.links.get_mut(usize::from(self.head))?;
            link.state = State::Taken;
            self.head = link.next;
        }
        // INVARIANT: `count` slots left the free list, which their links still lead through.
        self.free = self.free.saturating_sub(count);
        Some(Chain { first, count })
    }

    /// Iterates over the slots of `chain`.
    pub fn iter<'a>(&'a self, chain: &Chain) -> impl Iterator<Item = SlotIndex> + Clone + 'a {
        let mut next = chain.first;
        (0..chain.count).map_while(move |_| {
            let slot = next;
            next = self.links.get(usize::from(slot))?.next;
            Some(SlotIndex(slot))
        })
    }

    /// Frees the slots of `chain`, but for those that were condemned to [`Self::quarantine`].
    pub fn release(&mut self, chain: Chain) {
        let mut slot = chain.first;
        for _ in 0..chain.count {
            let Some(link) = self.links.get(usize::from(slot)) else {
                return;
            };
            let next = link.next;
            match link.state {
                State::Taken => self.push(slot),
                State::Condemned => self.isolate(slot),
                State::Free | State::Quarantined => {}
            }
            slot = next;
        }
    }

    /// Keeps `slot` from being taken (again) until [`Self::restore`].
    ///
    /// A slot of a chain stays in it, and is kept back when the chain is released.
    pub fn quarantine(&mut self, slot: SlotIndex) {
        let Some(link) = self.links.get_mut(slot.as_usize()) else {
            return;
        };
        match link.state {
            State::Taken => link.state = State::Condemned,
            State::Free => {
                self.unlink(slot.0);
                self.isolate(slot.0);
            }
            State::Condemned | State::Quarantined => {}
        }
    }

    /// Takes back a [`Self::quarantine`].
    pub fn restore(&mut self, slot: SlotIndex) {
        let Some(link) = self.links.get_mut(slot.as_usize()) else {
            return;
        };
        match link.state {
            State::Condemned => link.state = State::Taken,
            State::Quarantined => {
                self.quarantined = self.quarantined.saturating_sub(1);
                self.push(slot.0);
            }
            State::Free | State::Taken => {}
        }
    }

    /// Puts a slot at the head of the free list.
    fn push(&mut self, slot: u16) {
        if let Some(link) = self.links.get_mut(usize::from(slot)) {
            *link = Link {
                next: self.head,
                state: State::Free,
            };
            self.head = slot;
            self.free = self.free.saturating_add(1);
        }
    }

    fn isolate(&mut self, slot: u16) {
        if let Some(link) = self.links.get_mut(usize::from(slot)) {
            link.state = State::Quarantined;
            self.quarantined = self.quarantined.saturating_add(1);
        }
    }

    /// Takes a slot out of the middle of the free list, which takes time for each before it.
    fn unlink(&mut self, slot: u16) {
        let Some(after) = self.links.get(usize::from(slot)).map(|link| link.next) else {
            return;
        };
        self.free = self.free.saturating_sub(1);
        if self.head == slot {
            self.head = after;
            return;
        }
        let mut at = self.head;
        for _ in 0..N {
            let Some(link) = self.links.get_mut(usize::from(at)) else {
                return;
            };
            if link.next == slot {
                link.next = after;
                return;
            }
            at = link.next;
        }
    }
}

impl<const N: usize> Default for SlotPool<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_behind_the_count_are_never_taken() {
        let mut pool = SlotPool::<8>::with_count(3);
        assert!(pool.take_chain(4).is_none());
        for _ in 0..3 {
            let chain = pool.take_chain(3);
            let slots = chain
                .as_ref()
                .map(|chain| pool.iter(chain).all(|slot| slot.get() < 3));
            assert_eq!((slots, pool.free(), pool.taken()), (Some(true), 0, 3));
            assert!(pool.take_chain(1).is_none());
            if let Some(chain) = chain {
                pool.release(chain);
            }
            assert_eq!((pool.free(), pool.taken()), (3, 0));
        }
        assert_eq!(SlotPool::<8>::with_count(9).free(), 8);
    }
}
