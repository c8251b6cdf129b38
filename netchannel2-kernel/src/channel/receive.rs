// SPDX-License-Identifier: GPL-2.0

//! From the ring to the stack.

use super::{
    borrowing::Borrowing,
    tend::{
        Chores,
        Generation, //
    },
    Channel,
    Connection,
    Fault, //
};
use crate::{
    event::{
        EventChannel,
        EventWork,
        Interrupt, //
    },
    grant::{
        CopyBatch,
        CopyStatus, //
    },
    net::{
        Budget,
        Napi,
        NapiContext,
        NetDevice,
        PagePool,
        Poll,
        ReceiveBuffer,
        Skb,
        SkbList, //
    },
    ring::Ring,
};
use kernel::{
    prelude::*,
    sync::Arc, //
};
use netchannel2_core::{
    error::Violation,
    pool::ChunkIndex,
    queue::{
        Event,
        Receiver, //
    },
    ring::{
        InlineBytes,
        Notify,
        Rearm, //
    },
    stats::ReceiveCounters,
    units::{
        DomId,
        PacketId, //
    },
    wire::{
        Features,
        FinishStatus,
        MaxPackets,
        Packet,
        PacketMeta,
        PoolAnswer,
        Way,
        MAX_OUTSTANDING, //
    },
};

/// Packets in one batch: NAPI's budget.
const BATCH_PACKETS: usize = 64;

/// Copy operations in one hypercall, at 40 bytes each.
const BATCH_OPERATIONS: usize = 256;

/// Messages that one poll looks at for each packet of its budget, so that a peer which sends
/// nothing but other messages does not keep a CPU.
const MESSAGES_PER_PACKET: u32 = 4;

/// The receiving half of a connection.
pub(super) struct ReceiveSide<P: Poll> {
    // Boxed, as it holds tables that are too large for the stack on which a side is built.
    receiver: KBox<Receiver<Ring>>,
    batch: CopyBatch<Arrival>,
    borrowing: Borrowing,
    peer: DomId,
    generation: Generation,
    pool: PagePool,
    /// Packets that the next [`Self::settle`] tells the peer of.
    finished: KVec<(PacketId, FinishStatus)>,
    events: Arc<EventChannel<Napi<P>>>,
    counters: PollCounters,
    /// Whether a poll has found anything since the last end of interrupt.
    found: bool,
    /// As the last poll found it.
    is_up: Up,
}

/// Whether the net device is up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Up {
    Yes,
    No,
}

/// What polling counts beside the core's counters.
#[derive(Clone, Copy, Default)]
pub(super) struct PollCounters {
    pub(super) polls: u64,
    pub(super) spurious_polls: u64,
    pub(super) copy_hypercalls: u64,
    pub(super) copy_operations: u64,
}

/// Whether the send side had use for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// It waited for space, which the event may have been about.
    Useful,
    /// It did not wait for anything.
    Idle,
}

/// A packet on its way to the stack.
enum Arrival {
    /// It is here already.
    Complete(Skb, PacketMeta),
    /// Its bytes come with the next hypercall.
    Granted(PacketId, PacketMeta),
}

impl<P: Poll> ReceiveSide<P> {
    pub(super) fn new(
        connection: &Connection<P>,
        generation: Generation,
        ring: Ring,
        own_credit: MaxPackets,
    ) -> Result<Self> {
        Ok(Self {
            receiver: new_receiver(ring, own_credit, connection.features)?,
            batch: CopyBatch::new(connection.peer, BATCH_PACKETS, BATCH_OPERATIONS)?,
            borrowing: Borrowing::new()?,
            peer: connection.peer,
            generation,
            pool: PagePool::new(MAX_OUTSTANDING.into())?,
            finished: KVec::with_capacity(MAX_OUTSTANDING.into(), GFP_KERNEL)?,
            events: connection.events.clone(),
            counters: PollCounters::default(),
            found: false,
            is_up: Up::No,
        })
    }

    /// Takes messages until there are none or the budget is used up.
    ///
    /// Returns how many packets there were.
    // Not inlined: its messages' stack frame is gone when the stack takes the packets.
    #[inline(never)]
    pub(super) fn poll(
        &mut self,
        channel: &Channel<P>,
        napi: &NapiContext<'_>,
        budget: Budget,
        arrived: &mut SkbList,
    ) -> (u32, Result<(), Fault>, Chores) {
        let mut packets = 0;
        let mut messages = 0u32;
        let most = budget.get().saturating_mul(MESSAGES_PER_PACKET);

        self.is_up = match channel.device.is_running() {
            true => Up::Yes,
            false => Up::No,
        };
        let taken = loop {
            if packets >= budget.get() {
                break Ok(());
            }
            if messages >= most {
                // Polled again at once, as after a full budget.
                packets = budget.get();
                break Ok(());
            }
            match self.receiver.next() {
                Err(violation) => break Err(violation.into()),
                Ok(None) => break Ok(()),
                Ok(Some(event)) => {
                    messages = messages.saturating_add(1);
                    if let Event::Packet(..) = event {
                        packets = packets.saturating_add(1);
                    }
                    if let Err(fault) = self.take(channel, napi, event, arrived) {
                        break Err(fault);
                    }
                }
            }
        };
        let settled = self.settle(channel, arrived);

        let (settled, mut chores) = match settled {
            Ok((settled, chores)) => (Ok(settled), chores),
            Err(fault) => (Err(fault), Chores::None),
        };

        if self.borrowing.needs_tending() {
            chores = Chores::Waiting;
        }
        self.counters.polls += 1;
        self.found |= messages > 0 || matches!(settled, Ok(Settled::Useful));
        (packets, taken.and(settled.map(|_| ())), chores)
    }

    pub(super) fn arm(&mut self) -> Result<Rearm, Violation> {
        self.receiver.arm()
    }

    /// Lets the next event through, once all that the last one may have been about is done.
    ///
    /// What a poll without an interrupt has found may be what the next event is about.
    pub(super) fn end_of_interrupt(&mut self) {
        let work = match self.found {
            true => EventWork::Found,
            false => EventWork::Spurious,
        };

        if self.events.end_of_interrupt(work) == Interrupt::Ended {
            self.counters.spurious_polls += u64::from(!self.found);
            self.found = false;
        }
    }

    pub(super) fn borrowing(&mut self) -> &mut Borrowing {
        &mut self.borrowing
    }

    /// Takes note of what the peer is about to be told of a chunk of its pool.
    pub(super) fn answered(&mut self, chunk: ChunkIndex, answer: PoolAnswer) {
        let borrowed = self.receiver.borrowed();

        match answer {
            PoolAnswer::Mapped => borrowed.mapped(chunk),
            PoolAnswer::Refused => borrowed.refused(chunk),
            PoolAnswer::Dropped => borrowed.dropped(chunk),
            PoolAnswer::GiveBack => {}
        }
    }

    pub(super) fn peer(&self) -> DomId {
        self.peer
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// Returns how many pages of the peer's pool are mapped.
    pub(super) fn mapped_pages(&self) -> u64 {
        self.borrowing.pages()
    }

    pub(super) fn borrowed(&self) -> &Borrowing {
        &self.borrowing
    }

    pub(super) fn counters(&self) -> &ReceiveCounters {
        self.receiver.counters()
    }

    pub(super) fn poll_counters(&self) -> PollCounters {
        self.counters
    }

    fn take(
        &mut self,
        channel: &Channel<P>,
        napi: &NapiContext<'_>,
        event: Event,
        arrived: &mut SkbList,
    ) -> Result<(), Fault> {
        match event {
            Event::Ready(limit) => match &mut *channel.send.lock() {
                Some(side) => side.on_ready(&channel.device, limit),
                None => Ok(()),
            },
            Event::Finish => match &mut *channel.send.lock() {
                Some(side) => side.on_finish(self.receiver.finishes()),
                None => Ok(()),
            },
            Event::Packet(inline) => {
                let packet = self.receiver.packet();

                match (packet.way, packet.id) {
                    (_, Some(id)) => self.take_granted(&channel.device, id, inline, arrived),
                    (Way::Staged, None) => {
                        let skb = self.take_staged(napi, inline);

                        self.complete(&channel.device, skb, arrived);
                        Ok(())
                    }
                    (_, None) => {
                        let skb = self.take_inline(napi, inline);

                        self.complete(&channel.device, skb, arrived);
                        Ok(())
                    }
                }
            }
            Event::SetModeration => match self.receiver.moderation() {
                Some(said) => channel.on_moderation(said),
                None => Ok(()),
            },
            Event::PoolAdd(_) => {
                if let Some(add) = self.receiver.pool_add() {
                    self.borrowing.add(add);
                }
                Ok(())
            }
            Event::PoolDrop(chunk) => {
                self.borrowing.drop_chunk(chunk);
                Ok(())
            }
            Event::PoolAnswer(chunk, answer) => match &mut *channel.send.lock() {
                Some(side) => side.on_pool_answer(chunk, answer),
                None => Ok(()),
            },
        }
    }

    fn take_inline(&self, napi: &NapiContext<'_>, mut inline: InlineBytes) -> Option<Skb> {
        Skb::new_linear(napi, self.receiver.packet().length, |bytes| {
            // As many as the message has.
            let _ = self.receiver.copy_inline(&mut inline, bytes);
        })
    }

    fn take_staged(&mut self, napi: &NapiContext<'_>, mut inline: InlineBytes) -> Option<Skb> {
        let packet = self.receiver.packet();
        let mut buffer = ReceiveBuffer::compact(napi, &mut self.pool, packet.length)?;

        // As many bytes as the message has; the core has checked that they are part of the packet.
        buffer
            .fill_prefix(packet.inline_length, |bytes| {
                let _ = self.receiver.copy_inline(&mut inline, bytes);
            })
            .ok()?;
        self.borrowing
            .copy(packet.staged.as_slice(), &mut buffer)
            .ok()?;
        buffer.complete()
    }

    /// Passes on a packet that is here already, or counts one that there was no memory for.
    fn complete(&mut self, device: &NetDevice, skb: Option<Skb>, arrived: &mut SkbList) {
        let Some(skb) = skb else {
            device.count_receive_dropped();
            return;
        };
        let meta = &self.receiver.packet().meta;

        if self.batch.is_empty() {
            pass_on(prepared(skb, meta, device), device, self.is_up, arrived);
            return;
        }
        // Behind what waits for its copy, to keep the order.
        let meta = *meta;

        if let Err(arrival) = self.batch.add_ready(Arrival::Complete(skb, meta)) {
            self.copy(device, arrived);
            // There is room in an empty batch.
            let _ = self.batch.add_ready(arrival);
        }
    }

    fn take_granted(
        &mut self,
        device: &NetDevice,
        id: PacketId,
        mut inline: InlineBytes,
        arrived: &mut SkbList,
    ) -> Result<(), Fault> {
        let packet = self.receiver.packet();
        let Packet {
            inline_length,
            meta,
            ..
        } = *packet;
        let Some(mut buffer) = ReceiveBuffer::new(&mut self.pool, packet.length) else {
            device.count_receive_dropped();
            return self.finish(id, FinishStatus::NoMemory);
        };

        // As many bytes as the message has; the core has checked that they are part of the packet.
        let prefix = buffer.fill_prefix(inline_length, |bytes| {
            let _ = self.receiver.copy_inline(&mut inline, bytes);
        });
        if prefix.is_err() {
            device.count_receive_dropped();
            return self.finish(id, FinishStatus::BadPacket);
        }
        if !self
            .batch
            .has_room(self.receiver.packet().fragments.as_slice(), &buffer)
        {
            self.copy(device, arrived);
        }

        let fragments = self.receiver.packet().fragments.as_slice();

        match self
            .batch
            .add(buffer, fragments, Arrival::Granted(id, meta))
        {
            Ok(()) => Ok(()),
            Err(_) => {
                device.count_receive_dropped();
                self.finish(id, FinishStatus::BadPacket)
            }
        }
    }

    /// Copies what waits and passes on all that has arrived.
    fn copy(&mut self, device: &NetDevice, arrived: &mut SkbList) {
        let (receiver, finished, is_up) = (&mut self.receiver, &mut self.finished, self.is_up);
        let operations = self.batch.execute(|buffer, arrival, status| {
            let (id, skb, meta) = match arrival {
                Arrival::Complete(skb, meta) => (None, Ok(skb), meta),
                Arrival::Granted(id, meta) => (Some(id), built(buffer, status), meta),
            };
            let skb = skb.and_then(|skb| prepared(skb, &meta, device));
            let status = pass_on(skb, device, is_up, arrived);

            if let Some(id) = id {
                // The id was entered when the packet came, and there is a place for each.
                let _ = receiver.finished(id, status);
                let _ = finished.push_within_capacity((id, status));
            }
        });

        if operations > 0 {
            self.counters.copy_hypercalls += 1;
            self.counters.copy_operations += u64::from(operations);
        }
    }

    /// Copies the rest, gives ring space back and lets the send side tell of finished packets.
    ///
    /// FINISHes are published before the space, so that a peer which sees all its messages taken
    /// and a FINISH missing knows that this side keeps the packet.
    fn settle(
        &mut self,
        channel: &Channel<P>,
        arrived: &mut SkbList,
    ) -> Result<(Settled, Chores), Fault> {
        self.copy(&channel.device, arrived);

        let settled = match &mut *channel.send.lock() {
            Some(side) => (
                side.after_poll(&channel.device, self.finished.drain_all())?,
                side.chores(),
            ),
            None => (Settled::Idle, Chores::None),
        };

        if self.receiver.publish() == Notify::Needed {
            channel.tell_of_space();
        }
        Ok(settled)
    }

    fn finish(&mut self, id: PacketId, status: FinishStatus) -> Result<(), Fault> {
        self.receiver.finished(id, status)?;
        self.finished
            .push_within_capacity((id, status))
            .map_err(|_| Fault::Overcommitted(id))
    }
}

/// A function of its own, so that its large temporaries share no stack frame.
#[inline(never)]
fn new_receiver(
    ring: Ring,
    own_credit: MaxPackets,
    features: Features,
) -> Result<KBox<Receiver<Ring>>> {
    Ok(KBox::new(
        Receiver::new(ring, own_credit, features),
        GFP_KERNEL,
    )?)
}

/// Makes an sk_buff of a buffer whose copies have been tried.
fn built(buffer: Option<ReceiveBuffer>, status: CopyStatus) -> Result<Skb, FinishStatus> {
    if status != CopyStatus::Complete {
        return Err(FinishStatus::CopyFailed);
    }
    buffer
        .map(ReceiveBuffer::into_skb)
        .ok_or(FinishStatus::NoMemory)
}

/// Hands a packet to those that go to the stack, or counts what became of it.
#[inline]
fn pass_on(
    skb: Result<Skb, FinishStatus>,
    device: &NetDevice,
    is_up: Up,
    arrived: &mut SkbList,
) -> FinishStatus {
    match (skb, is_up) {
        (Ok(skb), Up::Yes) => {
            device.count_received(skb.length());
            arrived.push(skb);
            FinishStatus::Ok
        }
        // Nobody listens: dropped without a word, as by a card that is down.
        (Ok(_), Up::No) => FinishStatus::Ok,
        (Err(status), _) => {
            device.count_receive_dropped();
            status
        }
    }
}

/// Makes a packet ready for the stack.
#[inline]
fn prepared(mut skb: Skb, meta: &PacketMeta, device: &NetDevice) -> Result<Skb, FinishStatus> {
    skb.receive_on(device, meta)
        .map_err(|_| FinishStatus::BadPacket)?;
    Ok(skb)
}
