// SPDX-License-Identifier: GPL-2.0

//! Packets that the peer copies out of this domain's memory.

use super::{
    quarantine::Quarantine,
    Fault, //
};
use crate::{
    grant::{
        GrantRun,
        GrantVersion, //
    },
    net::Skb,
};
use kernel::{
    prelude::*,
    sync::Mutex,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};
use netchannel2_core::{
    grant::{
        slots::{
            Chain,
            SlotIndex,
            SlotPool, //
        },
        Fragment, //
    },
    knobs::Switch,
    segment::pages_for,
    units::{
        Bytes,
        DomId,
        FragmentLength,
        PacketId,
        PacketLength, //
    },
    wire::{
        Fragments,
        MAX_FRAGMENTS,
        MAX_OUTSTANDING, //
    },
};

/// Grants of one connection; with those of whole pages 1 MiB is lent at most.
const SLOTS: usize = 256;

/// The fewest with which packets of any shape can be sent.
const FEWEST: u16 = 2 * MAX_FRAGMENTS as u16;

/// For how many milliseconds the end of a connection waits for a copy that goes on.
const PATIENCE: u32 = 1000;

/// Grants towards the peer, and the packets behind them.
pub(super) struct Lender {
    // Boxed, as it is too large for the stack on which it is built.
    slots: KBox<SlotPool<SLOTS>>,
    run: GrantRun,
    /// By packet id.
    packets: KVec<Option<Outgoing>>,
    /// Those of the packet that was lent last, in place as they are long.
    fragments: Fragments,
    counters: LendCounters,
}

/// What was lent how.
#[derive(Clone, Copy, Default)]
pub(super) struct LendCounters {
    /// Packets whose bytes were lent where they lie.
    pub(super) in_place: u64,
    /// Packets that were copied to pages of their own first.
    pub(super) copied: u64,
    /// Packets that were not sent because there was no page for their copy.
    pub(super) no_memory: u64,
}

/// A packet that the peer may copy.
struct Outgoing {
    chain: Chain,
    /// The packet itself, where it was lent in place.
    skb: Option<Skb>,
}

/// A packet that is granted, and that the peer has not been told of.
#[must_use = "the grants stay until the packet is entered or taken back"]
pub(super) struct Lent {
    chain: Chain,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the packet itself.
    Packet,
    /// On pages of the run.
    Copy,
}

/// Why a packet was not lent.
pub(super) enum NotLent {
    /// There are not enough slots; there may be later.
    NoRoom,
    /// There is no memory.
    NoMemory,
}

impl Lender {
    pub(super) fn new(peer: DomId, ranges: Switch) -> Result<Self> {
        let mut packets = KVec::with_capacity(MAX_OUTSTANDING.into(), GFP_KERNEL)?;

        for _ in 0..MAX_OUTSTANDING {
            packets.push(None, GFP_KERNEL)?;
        }
        let run = run_of(peer, ranges)?;

        Ok(Self {
            slots: new_slots(run.count())?,
            run,
            packets,
            fragments: Fragments::NONE,
            counters: LendCounters::default(),
        })
    }

    /// Whether a packet of any shape can be lent.
    pub(super) fn has_room(&self) -> bool {
        self.slots.free() >= u16::from(MAX_FRAGMENTS)
    }

    /// Returns how much of a page the peer sees.
    pub(super) fn version(&self) -> GrantVersion {
        self.run.version()
    }

    /// Returns how many grants the peer has.
    pub(super) fn lent(&self) -> u16 {
        self.slots.taken()
    }

    /// Where the bytes of the packet are that was lent last.
    pub(super) fn fragments(&self) -> &[Fragment] {
        self.fragments.as_slice()
    }

    pub(super) fn counters(&self) -> LendCounters {
        self.counters
    }

    /// Grants the packet's bytes: in place if the grants can be limited to them, and as a copy
    /// otherwise.
    pub(super) fn lend(&mut self, skb: &mut Skb, length: PacketLength) -> Result<Lent, NotLent> {
        // The parts of a list are more than a message holds, or receive offload made none.
        if self.run.version() == GrantVersion::Range && !skb.is_list() {
            skb.detach().map_err(|_| NotLent::NoMemory)?;

            let pieces = skb.pieces().take(usize::from(MAX_FRAGMENTS) + 1).count();

            // More pieces than a message holds are put together.
            if let Some(count) = u8::try_from(pieces).ok().filter(|&n| n <= MAX_FRAGMENTS) {
                let chain = self.take(u16::from(count))?;

                match self.lend_in_place(skb, &chain) {
                    Ok(()) => {
                        self.counters.in_place += 1;
                        return Ok(Lent {
                            chain,
                            place: Place::Packet,
                        });
                    }
                    // Pages of another domain among them.
                    Err(_) => self.release(chain),
                }
            }
        }

        let chain = self.take(pages_for(length))?;

        match self.lend_copy(skb, length, &chain) {
            Ok(()) => {
                self.counters.copied += 1;
                Ok(Lent {
                    chain,
                    place: Place::Copy,
                })
            }
            Err(_) => {
                self.counters.no_memory += 1;
                self.release(chain);
                Err(NotLent::NoMemory)
            }
        }
    }

    /// Takes note that the peer was told of the packet under `id`.
    pub(super) fn enter(&mut self, id: PacketId, lent: Lent, skb: Skb) {
        let skb = match lent.place {
            Place::Packet => Some(skb),
            Place::Copy => {
                skb.consume();
                None
            }
        };

        // The core hands out ids below `MAX_OUTSTANDING`, for which there are places.
        if let Some(place) = self.packets.get_mut(usize::from(id.get())) {
            *place = Some(Outgoing {
                chain: lent.chain,
                skb,
            });
        }
    }

    /// Takes a packet back that the peer was not told of.
    pub(super) fn take_back(&mut self, lent: Lent) {
        self.release(lent.chain);
    }

    /// Takes a packet back that the peer is done with.
    pub(super) fn finish(&mut self, id: PacketId) -> Result<(), Fault> {
        let Some(place) = self.packets.get_mut(usize::from(id.get())) else {
            return Ok(());
        };
        let Some(outgoing) = place.as_ref() else {
            return Ok(());
        };

        self.run
            .revoke(self.slots.iter(&outgoing.chain))
            .map_err(|still| Fault::StillGranted(id, still.0))?;
        if let Some(Outgoing { chain, skb }) = place.take() {
            self.slots.release(chain);
            if let Some(skb) = skb {
                skb.consume();
            }
        }
        Ok(())
    }

    /// Takes everything back and returns how many grants the peer still uses: what is behind them
    /// goes into quarantine.
    pub(super) fn end(mut self, quarantine: &Mutex<Quarantine>) -> u32 {
        if self.version() == GrantVersion::WholePage {
            // Who has mapped a page keeps it for as long as it likes. The packets were copied to the
            // run's own pages.
            let (lent, pages) = self.run.end();

            if lent > 0 {
                quarantine.lock().keep(pages);
            }
            return u32::try_from(lent).unwrap_or(u32::MAX);
        }
        let mut lent = self.recall();

        for _ in 0..PATIENCE {
            // A copy ends by itself.
            if lent == 0 {
                return 0;
            }
            fsleep(Delta::from_millis(1));
            lent = self.recall();
        }
        if lent > 0 {
            quarantine.lock().keep_ranges(self);
        }
        lent
    }

    /// Takes back what the peer does not use, and returns how many grants it does: of ranges, as the
    /// kernel has a line in the log for each whole page that is in use.
    pub(super) fn recall(&mut self) -> u32 {
        for place in &mut self.packets {
            let ended = match place {
                Some(outgoing) => self.run.revoke(self.slots.iter(&outgoing.chain)).is_ok(),
                None => false,
            };

            if ended {
                if let Some(Outgoing { chain, skb }) = place.take() {
                    self.slots.release(chain);
                    if let Some(skb) = skb {
                        skb.consume_any();
                    }
                }
            }
        }
        // Those of packets that the peer was never told of.
        let _ = self.run.revoke(SlotIndex::all(self.run.count()));
        self.held()
    }

    /// Returns how many grants have not ended.
    pub(super) fn held(&self) -> u32 {
        u32::try_from(self.run.lent()).unwrap_or(u32::MAX)
    }

    /// Gives up the packets that the peer still reads: their memory is lost, but not unsafe.
    pub(super) fn forget(mut self) {
        let mut packets = core::mem::take(&mut self.packets);

        for outgoing in packets.drain_all().flatten() {
            core::mem::forget(outgoing.skb);
        }
    }

    /// Has Xen seem to copy what is lent, see [`GrantRun::pretend_copying`].
    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) fn pretend_copying(&mut self, copying: bool) -> Result {
        self.run.pretend_copying(copying)
    }

    fn take(&mut self, count: u16) -> Result<Chain, NotLent> {
        self.slots.take_chain(count).ok_or(NotLent::NoRoom)
    }

    fn release(&mut self, chain: Chain) {
        // The peer has not heard of the grants; if it uses one all the same, the slot stays lent,
        // and the run does not lend it again.
        let _ = self.run.revoke(self.slots.iter(&chain));
        self.slots.release(chain);
    }

    fn lend_in_place(&mut self, skb: &Skb, chain: &Chain) -> Result {
        self.fragments.clear();
        for (slot, piece) in self.slots.iter(chain).zip(skb.pieces()) {
            let fragment = self.run.lend_piece(slot, &piece)?;

            self.fragments.push(fragment).ok_or(EINVAL)?;
        }
        Ok(())
    }

    fn lend_copy(&mut self, skb: &Skb, length: PacketLength, chain: &Chain) -> Result {
        self.fragments.clear();

        let (mut from, mut rest) = (Bytes::ZERO, length.get());

        for slot in self.slots.iter(chain) {
            let part = u16::try_from(rest)
                .ok()
                .and_then(FragmentLength::new)
                .unwrap_or(FragmentLength::PAGE);
            let fragment = self.run.lend_copy(slot, skb, from, part, GFP_ATOMIC)?;

            self.fragments.push(fragment).ok_or(EINVAL)?;
            from = from.saturating_add(part.bytes());
            rest = rest.saturating_sub(u32::from(part.get()));
        }
        Ok(())
    }
}

/// Takes a run of references: half as many, and so on, where the table is short of them.
fn run_of(peer: DomId, ranges: Switch) -> Result<GrantRun> {
    let mut count = u16::try_from(SLOTS)?;

    loop {
        match GrantRun::new(peer, count, ranges) {
            Err(error) if error == ENOSPC && count / 2 >= FEWEST => count /= 2,
            result => return result,
        }
    }
}

/// A function of its own, so that its large temporary is on no other stack frame.
#[inline(never)]
fn new_slots(count: u16) -> Result<KBox<SlotPool<SLOTS>>> {
    Ok(KBox::new(SlotPool::with_count(count), GFP_KERNEL)?)
}
