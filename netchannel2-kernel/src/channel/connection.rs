// SPDX-License-Identifier: GPL-2.0

//! A connection of a channel: what it is made of, and how it ends.

use super::{
    moderation::Reach,
    Channel,
    Ending, //
};
use crate::{
    cache::Membership,
    event::EventChannel,
    net::{
        Carrier,
        EnabledNapi,
        Napi,
        Poll, //
    },
    ring::QueueMemory,
};
use kernel::sync::{
    atomic::Relaxed,
    Arc, //
};
use netchannel2_core::{
    knobs::Switch,
    pool::ChunkCount,
    segment::Thresholds,
    units::DomId,
    wire::Features, //
};

/// Which end of the channel this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The guest's.
    Frontend,
    /// The driver domain's.
    Backend,
}

/// What a connection is made of.
pub struct Connection<P: Poll> {
    /// Which end this is.
    pub role: Role,
    /// The domain at the other end.
    pub peer: DomId,
    /// The shared memory.
    pub memory: Arc<QueueMemory>,
    /// The event channel.
    pub events: Arc<EventChannel<Napi<P>>>,
    /// What both sides may use.
    pub features: Features,
    /// When a packet takes which way.
    pub thresholds: Thresholds,
    /// Whether packets may be lent as ranges of bytes.
    pub grant_ranges: Switch,
    /// How large this side's pool may become.
    pub pool: ChunkCount,
}

/// A running connection; dropping it ends the connection and takes everything back.
pub struct Link<P: Poll> {
    channel: Arc<Channel<P>>,
    memory: Arc<QueueMemory>,
    enabled: Option<EnabledNapi<P>>,
    membership: Option<Membership>,
}

impl<P: Poll> Link<P> {
    /// Takes over what ends with the connection of `channel`, which has begun.
    pub(super) fn new(
        channel: Arc<Channel<P>>,
        memory: Arc<QueueMemory>,
        enabled: EnabledNapi<P>,
        membership: Membership,
    ) -> Self {
        Self {
            channel,
            memory,
            enabled: Some(enabled),
            membership: Some(membership),
        }
    }

    /// Stops to receive and lets go of the peer's pages, but for the rings.
    ///
    /// Comes before the peer is told that the connection ends, so that it has its own pages back
    /// when it does the same.
    pub fn let_go(&mut self) {
        // Once: the net device may be unregistered afterwards.
        let Some(enabled) = self.enabled.take() else {
            return;
        };
        let channel = &self.channel;

        // Before the carrier goes off, which a poll or a packet would switch on again.
        if let Some(side) = &mut *channel.send.lock() {
            side.close();
        }
        channel.device.set_carrier(Carrier::Off);
        channel.device.disable_transmit();
        drop(enabled);
        self.membership = None;
        let receive = channel.receive.lock().take();

        if let Some(side) = &receive {
            let mut totals = channel.totals.lock();

            totals.add_receive(side);
            totals.end();
        }
        drop(receive);
        channel.await_tending();
    }

    /// Ends the connection.
    ///
    /// Pages that the peer does not let go of stay granted, and allocated, until it does.
    pub fn disconnect(mut self) -> Ending {
        self.end()
    }

    fn end(&mut self) -> Ending {
        self.let_go();

        // Taken out of the lock first: what it holds is freed where one may sleep.
        let Some(send) = self.channel.send.lock().take() else {
            return Ending::Clean;
        };

        self.channel.moderation.lock().reach(Reach::NotConnected);
        let mut totals = self.channel.totals.lock();

        totals.add_send(&send);
        totals.end();
        drop(totals);
        let lent = send.end(&self.channel.quarantine);

        // Of a chunk that was taken out of the send side before, it is not known until then whether the
        // peer keeps it.
        self.channel.await_tending();
        let kept = self.channel.kept.xchg(0, Relaxed);

        match (lent.saturating_add(kept), self.memory.withdraw()) {
            (0, false) => Ending::Clean,
            _ => Ending::Breach,
        }
    }
}

impl<P: Poll> Drop for Link<P> {
    fn drop(&mut self) {
        self.end();
    }
}
