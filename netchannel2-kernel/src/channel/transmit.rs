// SPDX-License-Identifier: GPL-2.0

//! From the stack to the ring.

use super::{
    receive::Settled,
    Connection,
    Fault, //
};
use crate::{
    event::EventChannel,
    grant::GrantRun,
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
    sync::Arc, //
};
use netchannel2_core::{
    error::Violation,
    grant::slots::{
        Chain,
        SlotPool, //
    },
    queue::{
        SendError,
        Sender, //
    },
    ring::Notify,
    segment::{
        choose,
        pages_for,
        Thresholds,
        Way,
        Ways, //
    },
    stats::SendCounters,
    units::{
        Bytes,
        FragmentLength,
        InlineLength,
        PacketId,
        PacketLength, //
    },
    wire::{
        Features,
        Finish,
        FinishBatch,
        FinishStatus,
        Fragments,
        MaxPackets,
        PacketMeta,
        MAX_FRAGMENTS,
        MAX_OUTSTANDING, //
    },
};

/// Pages that one connection lends at most, 1 MiB.
const SLOTS: usize = 256;

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
    // Boxed, as they hold tables that are too large for the stack on which a side is built.
    sender: KBox<Sender<Ring>>,
    slots: KBox<SlotPool<SLOTS>>,
    pages: GrantRun,
    /// The pages of each outstanding packet, by its id.
    lent: KVec<Option<Chain>>,
    /// Where the bytes of an inline packet are put together.
    scratch: KVec<u8>,
    thresholds: Thresholds,
    events: Arc<EventChannel<Napi<P>>>,
    /// The queue is stopped until there is room.
    waiting: bool,
    /// The oldest packet that the peer had not finished when the queue was looked into.
    suspect: Option<PacketId>,
    stops: u64,
    no_memory: u64,
}

/// Why a packet was not sent.
enum Refusal {
    /// There is no room; it may be sent later.
    Wait,
    /// It cannot be sent.
    Drop,
    /// The peer broke the protocol.
    Fault(Fault),
}

impl<P: Poll> SendSide<P> {
    pub(super) fn new(
        connection: &Connection<P>,
        ring: Ring,
        own_credit: MaxPackets,
    ) -> Result<Self> {
        let mut lent = KVec::with_capacity(MAX_OUTSTANDING.into(), GFP_KERNEL)?;

        for _ in 0..MAX_OUTSTANDING {
            lent.push(None, GFP_KERNEL)?;
        }
        Ok(Self {
            sender: new_sender(ring, own_credit, connection.features)?,
            slots: new_slots()?,
            pages: GrantRun::new(connection.peer, u16::try_from(SLOTS)?)?,
            lent,
            scratch: KVec::from_elem(0, InlineLength::MAX.get().into(), GFP_KERNEL)?,
            thresholds: connection.thresholds,
            events: connection.events.clone(),
            waiting: false,
            suspect: None,
            stops: 0,
            no_memory: 0,
        })
    }

    /// Shows the peer the first message, and makes it look.
    pub(super) fn greet(&mut self) -> Result {
        // The peer has asked for no event yet, but it may be asleep.
        let _ = self.sender.publish().map_err(|_| EPROTO)?;
        self.events.notify();
        Ok(())
    }

    pub(super) fn transmit(
        &mut self,
        device: &NetDevice,
        skb: Skb,
        more: More,
    ) -> Result<Transmit, Fault> {
        match self.send(&skb) {
            Ok(()) => {
                device.count_sent(skb.length());
                skb.consume();
            }
            Err(Refusal::Wait) => {
                self.stop(device)?;
                return Ok(Transmit::Busy(skb));
            }
            Err(Refusal::Drop) => device.count_send_dropped(),
            Err(Refusal::Fault(fault)) => {
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
        for (id, status) in finished {
            self.sender
                .queue_finish(id, status)
                .map_err(|_| Fault::Overcommitted(id))?;
        }
        self.publish()?;
        if !self.waiting {
            return Ok(Settled::Idle);
        }
        if !self.has_room()? {
            self.sender.arm_space()?;
            // The peer may have made room before it could see that an event is wanted.
            if !self.has_room()? {
                return Ok(Settled::Useful);
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

    /// Lets the stack send again.
    fn go_on(&mut self, device: &NetDevice) {
        self.waiting = false;
        self.suspect = None;
        device.set_carrier(Carrier::On);
        device.wake_queue();
    }

    /// Takes everything back and returns how many pages the peer still uses.
    pub(super) fn end(mut self) -> u32 {
        for chain in self.lent.iter_mut().filter_map(Option::take) {
            for slot in self.slots.iter(&chain) {
                // What is still in use stays lent, and is counted below.
                let _ = self.pages.revoke(slot);
            }
        }
        u32::try_from(self.pages.lent()).unwrap_or(u32::MAX)
    }

    pub(super) fn counters(&self) -> &SendCounters {
        self.sender.counters()
    }

    pub(super) fn stops(&self) -> u64 {
        self.stops
    }

    pub(super) fn no_memory(&self) -> u64 {
        self.no_memory
    }

    pub(super) fn lent_pages(&self) -> u64 {
        u64::from(self.slots.taken())
    }

    fn send(&mut self, skb: &Skb) -> Result<(), Refusal> {
        let length = PacketLength::new(skb.length().get()).map_err(|_| Refusal::Drop)?;
        let meta = skb.meta().map_err(|_| Refusal::Drop)?;

        match choose(length, &self.thresholds, Ways::VERSION_1) {
            Way::Inline => self.send_inline(skb, length, meta),
            _ => self.send_granted(skb, length, meta),
        }
    }

    fn send_inline(
        &mut self,
        skb: &Skb,
        length: PacketLength,
        meta: PacketMeta,
    ) -> Result<(), Refusal> {
        let bytes = self
            .scratch
            .get_mut(..length.get() as usize)
            .ok_or(Refusal::Drop)?;

        skb.copy_bits(Bytes::ZERO, bytes)
            .map_err(|_| Refusal::Drop)?;
        self.sender.send_inline(meta, length, |writer| {
            // As long as was said.
            let _ = writer.write(bytes);
        })?;
        Ok(())
    }

    fn send_granted(
        &mut self,
        skb: &Skb,
        length: PacketLength,
        meta: PacketMeta,
    ) -> Result<(), Refusal> {
        let pages = pages_for(length);

        self.sender
            .can_send(Way::Granted, length, InlineLength::ZERO, pages.into())?;
        let chain = self.slots.take_chain(pages).ok_or(Refusal::Wait)?;
        let sent = self.lend(skb, length, &chain).and_then(|fragments| {
            Ok(self
                .sender
                .send_granted(meta, length, &[], fragments.as_slice())?)
        });

        match sent {
            Ok(id) => {
                // The core hands out ids below `MAX_OUTSTANDING`, for which there are places.
                if let Some(place) = self.lent.get_mut(usize::from(id.get())) {
                    *place = Some(chain);
                }
                Ok(())
            }
            Err(refusal) => {
                for slot in self.slots.iter(&chain) {
                    // The peer has not heard of the grant; if it uses it all the same, the page
                    // stays lent, and `lend` refuses it.
                    let _ = self.pages.revoke(slot);
                }
                self.slots.release(chain);
                Err(refusal)
            }
        }
    }

    /// Puts the packet on the chain's pages and grants them.
    fn lend(
        &mut self,
        skb: &Skb,
        length: PacketLength,
        chain: &Chain,
    ) -> Result<Fragments, Refusal> {
        let mut fragments = Fragments::NONE;
        let (mut from, mut rest) = (Bytes::ZERO, length.get());

        for slot in self.slots.iter(chain) {
            let part = u16::try_from(rest)
                .ok()
                .and_then(FragmentLength::new)
                .unwrap_or(FragmentLength::PAGE);
            let fragment = self
                .pages
                .lend(slot, skb, from, part, GFP_ATOMIC)
                .map_err(|_| {
                    self.no_memory += 1;
                    Refusal::Drop
                })?;

            fragments.push(fragment).ok_or(Refusal::Drop)?;
            from = from.saturating_add(part.bytes());
            rest = rest.saturating_sub(u32::from(part.get()));
        }
        Ok(fragments)
    }

    fn finish_one(&mut self, finish: Finish) -> Result<(), Fault> {
        self.sender.on_finish(finish)?;
        let Some(chain) = self
            .lent
            .get_mut(usize::from(finish.id.get()))
            .and_then(Option::take)
        else {
            return Ok(());
        };

        for slot in self.slots.iter(&chain) {
            self.pages
                .revoke(slot)
                .map_err(|still| Fault::StillGranted(finish.id, still.0))?;
        }
        self.slots.release(chain);
        Ok(())
    }

    /// Whether any packet can be sent now, by either way.
    fn has_room(&mut self) -> Result<bool, Violation> {
        if self.slots.free() < pages_for(PacketLength::LARGEST) {
            return Ok(false);
        }
        // The largest message there is, and the largest packet for the credit.
        match self.sender.can_send(
            Way::Granted,
            PacketLength::LARGEST,
            InlineLength::MAX,
            MAX_FRAGMENTS.into(),
        ) {
            Ok(()) => Ok(true),
            Err(SendError::Violation(violation)) => Err(violation),
            Err(_) => Ok(false),
        }
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
        self.sender.arm_space()?;
        if self.has_room()? {
            self.go_on(device);
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<(), Violation> {
        if self.sender.publish()? == Notify::Needed {
            self.events.notify();
        }
        Ok(())
    }
}

// Functions of their own, so that their large temporaries share no stack frame.

#[inline(never)]
fn new_sender(
    ring: Ring,
    own_credit: MaxPackets,
    features: Features,
) -> Result<KBox<Sender<Ring>>> {
    let sender = Sender::new(ring, own_credit, features).map_err(|_| EINVAL)?;

    Ok(KBox::new(sender, GFP_KERNEL)?)
}

#[inline(never)]
fn new_slots() -> Result<KBox<SlotPool<SLOTS>>> {
    Ok(KBox::new(SlotPool::new(), GFP_KERNEL)?)
}

impl From<SendError> for Refusal {
    fn from(error: SendError) -> Self {
        match error {
            SendError::RingFull | SendError::NoCredit | SendError::NotReady => Self::Wait,
            SendError::TooBig | SendError::Malformed(_) => Self::Drop,
            SendError::Violation(violation) => Self::Fault(violation.into()),
        }
    }
}
