// SPDX-License-Identifier: GPL-2.0

//! From the ring to the stack.

mod arrivals;

use self::arrivals::{
    Arrival,
    Up, //
};
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
    grant::CopyBatch,
    net::{
        Budget,
        Napi,
        NapiContext,
        PagePool,
        Poll,
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
    /// It waited for space, and there is more.
    Useful,
    /// It did not wait, or there is no more.
    Idle,
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
