// SPDX-License-Identifier: GPL-2.0

//! The object behind a net device whose one queue is a [`Channel`].

use crate::{
    channel::{
        Channel,
        Chores,
        Health,
        Stall,
        STATISTICS, //
    },
    net::{
        Budget,
        More,
        NapiContext,
        NetDevice,
        Operations,
        Poll,
        Skb,
        Statistic,
        Transmit, //
    },
    xenbus::Device,
};
use kernel::{
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
};

/// A network interface of either driver.
pub trait Interface: Send + Sync + Sized + 'static {
    /// The driver's name, as `ethtool -i` shows it.
    const DRIVER: &'static CStr;

    /// What the log calls the other end.
    const PEER: &'static str;

    /// Returns the xenbus device.
    fn device(&self) -> &Device;

    /// Returns the net device.
    fn netdev(&self) -> &Arc<NetDevice>;

    /// Returns the queue.
    fn channel(&self) -> &Arc<Channel<Self>>;

    /// Has [`Channel::tend`] called, and then [`super::Lifecycle::look`], where one may sleep.
    fn attend_later(this: ArcBorrow<'_, Self>);
}

impl<T: Interface> Operations for T {
    const DRIVER: &'static CStr = <T as Interface>::DRIVER;
    const STATISTICS: &'static [Statistic] = &STATISTICS;

    type Moderated = Channel<Self>;

    fn open(&self) -> Result {
        Ok(())
    }

    fn stop(&self) {}

    fn start_xmit(&self, skb: Skb, more: More) -> Transmit {
        self.channel().transmit(skb, more)
    }

    fn tx_timeout(&self) {
        if self.channel().check_stall() == Stall::PeerAsleep {
            dev_info!(
                Interface::device(self),
                "the {} takes no packets: carrier off until it does\n",
                T::PEER
            );
        }
    }

    fn device(&self) -> &NetDevice {
        self.netdev()
    }

    fn moderated(&self) -> &Channel<Self> {
        self.channel()
    }

    fn statistics(&self, values: &mut [u64]) {
        self.channel().statistics(values);
    }
}

impl<T: Interface> Poll for T {
    fn poll(this: ArcBorrow<'_, Self>, napi: &NapiContext<'_>, budget: Budget) -> u32 {
        let polled = this.channel().poll(napi, budget);

        if polled.health == Health::Failed || polled.chores == Chores::Waiting {
            T::attend_later(this);
        }
        polled.done
    }
}
