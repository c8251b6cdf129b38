// SPDX-License-Identifier: GPL-2.0

//! From the stack to the ring.

mod ways;

use self::ways::{
    Refusal,
    Unsent, //
};
use super::{
    lender::{
        LendCounters,
        Lender, //
    },
    quarantine::Quarantine,
    raiser::Raiser,
    receive::Settled,
    staging::{
        Staging,
        StagingCounters, //
    },
    tend::{
        Chores,
        Generation, //
    },
    Connection,
    Fault, //
};
use crate::{
    grant::GrantVersion,
    net::{
        Carrier,
        More,
        Napi,
        NetDevice,
        Poll,
        Skb,
        Transmit, //
    },
    ring::Ring,
};
use kernel::{
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};
use netchannel2_core::{
    error::Violation,
    pool::{
        ChunkCount,
        ChunkIndex, //
    },
    queue::{
        Queued,
        Sender, //
    },
    segment::Thresholds,
    stats::SendCounters,
    units::{
        DomId,
        PacketId,
        RingIndex, //
    },
    wire::{
        Features,
        Finish,
        FinishBatch,
        FinishStatus,
        MaxPackets,
        PoolAnswer, //
    },
};

/// What a queue that has been stopped for long waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// There is no connection.
    NotConnected,
    /// It has just ended.
    Over,
    /// The peer takes no messages; it may be paused. The carrier is off until it does.
    PeerAsleep,
    /// The peer has taken a packet and not said that it is done with it.
    Suspicious,
    /// The peer broke the protocol.
    Failed,
}

/// The sending half of a connection.
pub(super) struct SendSide<P: Poll> {
    // Boxed, as it holds tables that are too large for the stack on which a side is built.
    pub(super) sender: KBox<Sender<Ring>>,
    pub(super) raiser: Raiser<P>,
    lender: Lender,
    staging: Staging,
    peer: DomId,
    generation: Generation,
    thresholds: Thresholds,
    /// The queue is stopped until there is room.
    waiting: bool,
    /// The connection ends: the queue stays stopped.
    closing: bool,
    /// How far the peer had taken messages at the last poll.
    taken: RingIndex,
    /// The oldest packet that the peer had not finished when the queue was looked into.
    suspect: Option<PacketId>,
    stops: u64,
}

impl<P: Poll> SendSide<P> {
    pub(super) fn new(
        connection: &Connection<P>,
        generation: Generation,
        ring: Ring,
        own_credit: MaxPackets,
        napi: Arc<Napi<P>>,
    ) -> Result<Self> {
        let pool = match connection.features.contains(Features::STAGED) {
            true => connection.pool,
            false => ChunkCount::ZERO,
        };

        Ok(Self {
            raiser: Raiser::new(connection.events.clone(), napi)?,
            sender: new_sender(ring, own_credit, connection.features)?,
            lender: Lender::new(connection.peer, connection.grant_ranges)?,
            staging: Staging::new(pool)?,
            peer: connection.peer,
            generation,
            thresholds: connection.thresholds,
            waiting: false,
            closing: false,
            taken: RingIndex::START,
            suspect: None,
            stops: 0,
        })
    }

    /// Shows the peer the first message, and makes it look.
    pub(super) fn greet(&mut self) -> Result {
        self.raiser.greet(&mut self.sender).map_err(|_| EPROTO)
    }

    pub(super) fn transmit(
        &mut self,
        device: &NetDevice,
        skb: Skb,
        more: More,
    ) -> Result<Transmit, Fault> {
        let length = skb.length();

        match self.send(skb) {
            Ok(()) => device.count_sent(length),
            Err(Unsent(skb, Refusal::Wait)) => {
                return match self.stop(device) {
                    Ok(()) => Ok(Transmit::Busy(skb)),
                    Err(fault) => {
                        device.count_send_dropped();
                        Err(fault)
                    }
                };
            }
            Err(Unsent(_, Refusal::Drop)) => device.count_send_dropped(),
            Err(Unsent(_, Refusal::Fault(fault))) => {
                device.count_send_dropped();
                return Err(fault);
            }
        }
        if !self.has_room()? {
            self.stop(device)?;
        } else if more == More::None {
            self.publish()?;
        }
        Ok(Transmit::Taken)
    }

    /// Takes note of what the peer allows, with which the connection is up.
    pub(super) fn on_ready(&mut self, device: &NetDevice, limit: MaxPackets) -> Result<(), Fault> {
        self.sender.on_set_max_packets(limit)?;
        self.go_on(device);
        Ok(())
    }

    /// Takes back the pages of packets that the peer is done with.
    pub(super) fn on_finish(&mut self, batch: &FinishBatch) -> Result<(), Fault> {
        for finish in batch.iter() {
            self.finish_one(finish)?;
        }
        Ok(())
    }

    /// Tells the peer of packets that this side is done with, and wakes the queue if it may.
    pub(super) fn after_poll(
        &mut self,
        device: &NetDevice,
        finished: impl Iterator<Item = (PacketId, FinishStatus)>,
    ) -> Result<Settled, Fault> {
        // An event may be about space in the ring, for packets or for what is owed: if there is more
        // of it. That a queue waits makes no event useful.
        let awaited = self.waiting || self.sender.owes();
        let (taken, _) = self.sender.progress()?;
        let settled = match awaited && taken != self.taken {
            true => Settled::Useful,
            false => Settled::Idle,
        };

        self.taken = taken;
        for (id, status) in finished {
            self.sender
                .queue_finish(id, status)
                .map_err(|_| Fault::Overcommitted(id))?;
        }
        self.raiser.begin_poll();
        self.tell_of_chunks()?;
        self.await_room_for_what_is_owed()?;
        if !self.waiting {
            return Ok(settled);
        }
        if !self.has_room()? {
            self.sender.arm_space()?;
            // The peer may have made room before it could see that an event is wanted.
            if !self.has_room()? {
                return Ok(settled);
            }
        }
        self.go_on(device);
        Ok(Settled::Useful)
    }

    /// Looks into a queue that has been stopped for long.
    ///
    /// A packet is taken for kept by the peer when it is the oldest one at two looks in a row: the
    /// first may come right after it was sent.
    pub(super) fn check_stall(&mut self, device: &NetDevice) -> Result<Stall, Fault> {
        if !self.waiting || self.has_room()? {
            self.go_on(device);
            return Ok(Stall::Over);
        }
        match self.sender.missing_finish()? {
            Some(id) if self.suspect == Some(id) => Err(Fault::MissingFinish(id)),
            Some(id) => {
                self.suspect = Some(id);
                Ok(Stall::Suspicious)
            }
            None => {
                // Packets that wait are dropped by the stack, so that they do not pile up.
                device.set_carrier(Carrier::Off);
                Ok(Stall::PeerAsleep)
            }
        }
    }

    /// Has the stack never send again by this side.
    pub(super) fn close(&mut self) {
        self.closing = true;
    }

    /// Lets the stack send again.
    fn go_on(&mut self, device: &NetDevice) {
        self.waiting = false;
        self.suspect = None;
        if self.closing {
            return;
        }
        device.set_carrier(Carrier::On);
        device.wake_queue();
    }

    /// Takes everything back and returns how many grants the peer still uses.
    pub(super) fn end(self, quarantine: &Mutex<Quarantine>) -> u32 {
        self.staging
            .end(quarantine)
            .saturating_add(self.lender.end(quarantine))
    }

    /// Tells the peer of chunks, and of all else that it has not been told.
    pub(super) fn tell_of_chunks(&mut self) -> Result<(), Fault> {
        let (consumed, produced) = self.sender.progress()?;

        self.staging.reap(consumed, produced);
        self.staging.tell(&mut self.sender)?;
        Ok(self.publish()?)
    }

    /// Tells the peer what became of a chunk of its pool.
    pub(super) fn answer(
        &mut self,
        chunk: ChunkIndex,
        answer: PoolAnswer,
    ) -> Result<Queued, Violation> {
        let queued = self.sender.queue_answer(chunk, answer);

        self.publish()?;
        self.await_room_for_what_is_owed()?;
        Ok(queued)
    }

    /// Takes note of what the peer says of a chunk of this side's pool.
    pub(super) fn on_pool_answer(
        &mut self,
        chunk: ChunkIndex,
        answer: PoolAnswer,
    ) -> Result<(), Fault> {
        Ok(self.staging.on_answer(chunk, answer)?)
    }

    pub(super) fn staging(&mut self) -> &mut Staging {
        &mut self.staging
    }

    /// Whether the poll function is to find out that there are [`Self::chores`]: once for each.
    #[inline]
    pub(super) fn asks_for_tending(&mut self) -> bool {
        self.staging.asks_for_tending()
    }

    /// Whether [`super::Channel::tend`] has something to do for this side.
    pub(super) fn chores(&self) -> Chores {
        match self.staging.needs_tending() {
            true => Chores::Waiting,
            false => Chores::None,
        }
    }

    pub(super) fn peer(&self) -> DomId {
        self.peer
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    pub(super) fn staging_counters(&self) -> StagingCounters {
        self.staging.counters()
    }

    /// Returns how many pages this side's pool has, and how many are in messages.
    pub(super) fn pool_pages(&self) -> (u64, u64) {
        (self.staging.pages(), self.staging.in_use())
    }

    pub(super) fn counters(&self) -> &SendCounters {
        self.sender.counters()
    }

    pub(super) fn stops(&self) -> u64 {
        self.stops
    }

    pub(super) fn lend_counters(&self) -> LendCounters {
        self.lender.counters()
    }

    pub(super) fn lent(&self) -> u64 {
        u64::from(self.lender.lent())
    }

    /// Returns how much of a page the peer sees of what is lent.
    pub(super) fn grant_version(&self) -> GrantVersion {
        self.lender.version()
    }

    fn finish_one(&mut self, finish: Finish) -> Result<(), Fault> {
        self.sender.on_finish(finish)?;
        self.lender.finish(finish.id)
    }

    /// Whether any packet can be sent now, by either way.
    fn has_room(&mut self) -> Result<bool, Violation> {
        if !self.lender.has_room() {
            return Ok(false);
        }
        self.sender.has_room()
    }

    /// Stops the queue until the peer has made room.
    ///
    /// FINISHes, which give credit and pages back, are looked at under the same lock as this, and
    /// for space in the ring it is looked again after an event was asked for.
    fn stop(&mut self, device: &NetDevice) -> Result<(), Fault> {
        self.stops += 1;
        self.waiting = true;
        device.stop_queue();
        self.publish()?;
        self.raiser.flush(&mut self.sender)?;
        self.sender.arm_space()?;
        if self.has_room()? {
            self.go_on(device);
        }
        Ok(())
    }

    pub(super) fn publish(&mut self) -> Result<(), Violation> {
        self.raiser.publish(&mut self.sender)
    }

    /// Asks for an event if there was no space for what the peer waits for.
    pub(super) fn await_room_for_what_is_owed(&mut self) -> Result<(), Violation> {
        if self.sender.owes() {
            // There is space after all, or the event has the next poll try again.
            let _ = self.sender.arm_space()?;
            self.publish()?;
        }
        Ok(())
    }
}

/// A function of its own, so that its large temporary is on no other stack frame.
#[inline(never)]
fn new_sender(
    ring: Ring,
    own_credit: MaxPackets,
    features: Features,
) -> Result<KBox<Sender<Ring>>> {
    Ok(KBox::new(
        Sender::new(ring, own_credit, features),
        GFP_KERNEL,
    )?)
}
