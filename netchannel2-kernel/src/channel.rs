// SPDX-License-Identifier: GPL-2.0

//! One queue between a net device and the peer: the data path that both drivers share.
//!
//! After the handshake the protocol is symmetrical, so frontend and backend send and receive with
//! the same code. The core decides; this module moves bytes and calls the kernel.
//!
//! Four locks, taken in this order: `receive` (NAPI), `send` (transmit and NAPI), `moderation`
//! (settings), `fault`. Before them comes `tending`, where one may sleep.

#![forbid(unsafe_code)]

mod borrowing;
mod breach;
mod connection;
mod fault;
mod lender;
mod moderation;
mod polled;
mod quarantine;
mod raiser;
mod receive;
mod shortage;
mod staging;
mod statistics;
mod tend;
mod tick;
mod transmit;

#[cfg(CONFIG_KUNIT = "y")]
pub use self::quarantine::for_test::{
    KeptPackets,
    LentPacket, //
};
pub use self::{
    breach::{
        Breaches,
        Chance,
        Ending, //
    },
    connection::{
        Connection,
        Link,
        Role, //
    },
    fault::Fault,
    polled::{
        Health,
        Polled, //
    },
    shortage::Shortage,
    statistics::{
        STATISTICS,
        STATISTICS_COUNT, //
    },
    tend::Chores,
    transmit::Stall,
};
use self::{
    moderation::{
        Moderation,
        Reach, //
    },
    quarantine::Quarantine,
    receive::ReceiveSide,
    shortage::Shortages,
    statistics::Totals,
    tend::Generation,
    transmit::SendSide, //
};
use crate::{
    cache::{
        self,
        Tenant,
        TenantId, //
    },
    grant::GrantVersion,
    net::{
        Budget,
        Carrier,
        Completed,
        More,
        Napi,
        NapiContext,
        NetDevice,
        Offloads,
        Poll,
        Skb,
        SkbList,
        Transmit, //
    },
    new_spinlock_bh,
    sync::SpinLockBh, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
};
use netchannel2_core::{
    moderation::{
        Limits,
        Settings, //
    },
    ring::{
        control::Direction,
        Rearm, //
    },
    wire::{
        Features,
        MaxPackets,
        PacketCount, //
    },
};

/// Features of the protocol that a channel has.
pub const FEATURES: Features = Offloads::PROTOCOL
    .union(Features::STAGED)
    .union(Features::MODERATION);

/// The queue of a net device, connected or not.
#[pin_data]
pub struct Channel<P: Poll> {
    device: Arc<NetDevice>,
    napi: Arc<Napi<P>>,
    #[pin]
    receive: SpinLockBh<Option<ReceiveSide<P>>>,
    #[pin]
    send: SpinLockBh<Option<SendSide<P>>>,
    #[pin]
    moderation: SpinLockBh<Moderation>,
    #[pin]
    fault: SpinLockBh<Option<Fault>>,
    /// Held while pages of the peer are mapped and unmapped, and while those are freed that it has let
    /// go of.
    #[pin]
    tending: Mutex<()>,
    /// Counters of connections that have ended.
    #[pin]
    totals: SpinLockBh<Totals>,
    /// What the peer uses longer than it may; taken where one may sleep, before the other locks.
    #[pin]
    quarantine: Mutex<Quarantine>,
    /// What the administrator is to be told; taken alone.
    #[pin]
    shortages: Mutex<Shortages>,
    /// What [`cache::pressure`] said last.
    pressed: Atomic<u32>,
    /// How many connections there were.
    generations: Atomic<u32>,
    /// Pages that the peer has kept, of chunks that it said it had let go of, in this connection.
    kept: Atomic<u32>,
}

impl<P: Poll> Channel<P> {
    /// Creates the queue of `device`, not connected, with its own settings for the events towards
    /// it, and the most that a peer may ask for.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(device: Arc<NetDevice>, settings: Settings, limits: Limits) -> Result<Arc<Self>> {
        let napi = Napi::new(device.clone())?;

        Arc::pin_init(
            pin_init!(Self {
                device,
                napi,
                receive <- new_spinlock_bh!(None, "Channel::receive"),
                send <- new_spinlock_bh!(None, "Channel::send"),
                moderation <- new_spinlock_bh!(
                    Moderation::new(settings, limits),
                    "Channel::moderation"
                ),
                fault <- new_spinlock_bh!(None, "Channel::fault"),
                tending <- new_mutex!((), "Channel::tending"),
                totals <- new_spinlock_bh!(Totals::default(), "Channel::totals"),
                quarantine <- new_mutex!(Quarantine::new(), "Channel::quarantine"),
                shortages <- new_mutex!(Shortages::default(), "Channel::shortages"),
                pressed: Atomic::new(0),
                generations: Atomic::new(0),
                kept: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// The NAPI instance, which takes the events of a [`Connection`].
    pub fn napi(&self) -> &Arc<Napi<P>> {
        &self.napi
    }

    /// Starts a connection, polled by `target`, which calls [`Self::poll`].
    ///
    /// # Errors
    ///
    /// `EBUSY` if there is one; `ENOMEM`, `ENOSPC` if grant references are short.
    pub fn connect(self: &Arc<Self>, connection: Connection<P>, target: Arc<P>) -> Result<Link<P>> {
        let (sending, receiving) = match connection.role {
            Role::Frontend => (Direction::Tx, Direction::Rx),
            Role::Backend => (Direction::Rx, Direction::Tx),
        };
        let credit = MaxPackets::of_any_length(PacketCount::MAX);
        let generation = Generation(self.generations.fetch_add(1, Relaxed));
        let (sending, receiving) = (
            connection.memory.ring(sending),
            connection.memory.ring(receiving),
        );
        let send = SendSide::new(&connection, generation, sending, credit, self.napi.clone())?;
        let receive = ReceiveSide::new(&connection, generation, receiving, credit)?;

        let tenant: Arc<dyn Tenant> = self.clone();
        let membership = cache::join(TenantId::of(&**self), tenant)?;

        *self.fault.lock() = None;
        // The sides go in while NAPI is disabled; none is there, or `enable` would fail.
        let enabled = self.napi.enable(target)?;

        // A poll begins with what it receives, which the other side is told of.
        *self.send.lock() = Some(send);
        *self.receive.lock() = Some(receive);
        let link = Link::new(self.clone(), connection.memory, enabled, membership);

        if let Some(side) = &mut *self.send.lock() {
            let reach = match connection.features.contains(Features::MODERATION) {
                true => Reach::Moderating,
                false => Reach::Immediate,
            };
            let wish = self.moderation.lock().reach(reach);

            side.sender.set_moderation(wish);
            side.greet()?;
        }
        // What the peer sent before it knew of this side raised no event.
        self.napi.schedule();
        Ok(link)
    }

    /// Sends a packet, for `ndo_start_xmit`.
    pub fn transmit(&self, skb: Skb, more: More) -> Transmit {
        let mut guard = self.send.lock();
        let Some(side) = &mut *guard else {
            self.device.count_send_dropped();
            return Transmit::Taken;
        };

        match side.transmit(&self.device, skb, more) {
            Ok(transmit) => {
                if side.asks_for_tending() {
                    // The poll function tells the driver.
                    self.napi.schedule();
                }
                transmit
            }
            Err(fault) => {
                self.fail(fault);
                Transmit::Taken
            }
        }
    }

    /// Receives packets, completes sent ones and asks for the next event, for [`Poll::poll`].
    pub fn poll(&self, napi: &NapiContext<'_>, budget: Budget) -> Polled {
        if self.fault.lock().is_some() {
            return Self::polled_in_vain(napi);
        }

        let mut arrived = SkbList::new();
        let (done, result, chores) = match &mut *self.receive.lock() {
            Some(side) => side.poll(self, napi, budget, &mut arrived),
            None => (0, Ok(()), Chores::None),
        };

        // Outside the locks, as the stack may answer through `transmit` at once.
        while let Some(skb) = arrived.pop() {
            napi.receive(skb);
        }

        match result {
            Err(fault) => {
                self.record(fault);
                return Self::polled_in_vain(napi);
            }
            Ok(()) if done >= budget.get() => {}
            Ok(()) => {
                if napi.complete(done) == Completed::Yes {
                    if let Err(fault) = self.rearm(napi) {
                        // Polled once more, which tells the driver.
                        self.fail(fault);
                    }
                }
            }
        }
        // Last, as the stack may have answered.
        self.settle_events();
        Polled {
            done,
            health: Health::Good,
            chores,
        }
    }

    /// Looks into a queue that has been stopped for long, for `ndo_tx_timeout`.
    pub fn check_stall(&self) -> Stall {
        let stall = match &mut *self.send.lock() {
            Some(side) => side.check_stall(&self.device),
            None => return Stall::NotConnected,
        };

        match stall {
            Ok(stall) => stall,
            Err(fault) => {
                self.fail(fault);
                Stall::Failed
            }
        }
    }

    /// Takes the reason for which the connection has to end, if it has.
    pub fn take_fault(&self) -> Option<Fault> {
        self.fault.lock().take()
    }

    /// Takes what the administrator is to be told of, after [`Self::tend`].
    pub fn take_shortage(&self) -> Option<Shortage> {
        self.shortages.lock().take()
    }

    /// Returns how much of a page the peer sees of what is lent to it; `None` without a connection.
    pub fn grant_version(&self) -> Option<GrantVersion> {
        self.send.lock().as_ref().map(SendSide::grant_version)
    }

    /// Writes the values of [`STATISTICS`].
    pub fn statistics(&self, values: &mut [u64]) {
        let mut totals = *self.totals.lock();

        if let Some(side) = self.receive.lock().as_ref() {
            totals.add_receive(side);
        }
        if let Some(side) = self.send.lock().as_ref() {
            totals.add_send(side);
        }
        totals.quarantined = self.quarantine.lock().counts();
        totals.write(values);
    }

    /// Asks for the event of the next message, or has NAPI come again if it is there already.
    fn rearm(&self, napi: &NapiContext<'_>) -> Result<(), Fault> {
        let mut guard = self.receive.lock();
        let Some(side) = &mut *guard else {
            return Ok(());
        };

        match side.arm()? {
            // The interrupt ends with the poll that finds it.
            Rearm::MoreWork => napi.reschedule(),
            Rearm::Idle => side.end_of_interrupt(),
        }
        Ok(())
    }

    /// Ends polling for good: without an end of interrupt, a peer that broke the protocol is not
    /// listened to any more.
    fn polled_in_vain(napi: &NapiContext<'_>) -> Polled {
        napi.complete(0);
        Polled {
            done: 0,
            health: Health::Failed,
            chores: Chores::None,
        }
    }

    /// Records why the connection has to end, and has the poll function tell the driver.
    fn fail(&self, fault: Fault) {
        self.record(fault);
        self.napi.schedule();
    }

    fn record(&self, fault: Fault) {
        self.fault.lock().get_or_insert(fault);
        self.device.set_carrier(Carrier::Off);
    }
}
