// SPDX-License-Identifier: GPL-2.0

//! One network interface of this guest.

use crate::{
    lifecycle::{
        self,
        Life, //
    },
    parameters,
    QUEUE, //
};
use kernel::{
    device::Bound,
    impl_has_work,
    new_mutex,
    new_work,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        ArcBorrow,
        Mutex, //
    },
    workqueue::{
        Work,
        WorkItem, //
    }, //
};
use netchannel2_kernel::{
    channel::{
        Channel,
        Chores,
        Health,
        Stall,
        STATISTICS, //
    },
    net::{
        Budget,
        MacAddress,
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

/// A network interface.
#[pin_data]
pub(crate) struct Vif {
    pub(crate) device: ARef<Device>,
    pub(crate) netdev: Arc<NetDevice>,
    pub(crate) channel: Arc<Channel<Self>>,
    #[pin]
    pub(crate) life: Mutex<Life>,
    /// Queued for a fault of the channel.
    #[pin]
    work: Work<Self>,
}

impl_has_work! {
    impl HasWork<Self> for Vif { self.work }
}

impl Vif {
    /// Creates the interface with the address that the toolstack chose, and does not register it.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `mac` is missing or not a unicast address; `ENOMEM`.
    pub(crate) fn new(device: &Device<Bound>) -> Result<Arc<Self>> {
        let netdev = NetDevice::new(device, c"eth%d", mac(device)?)?;
        let channel = Channel::new(
            netdev.clone(),
            parameters::coalesce()?,
            parameters::moderation_limits()?,
        )?;

        Arc::pin_init(
            pin_init!(Self {
                device: device.into(),
                netdev,
                channel,
                life <- new_mutex!(Life::default(), "netchannel2_front::Life"),
                work <- new_work!("netchannel2_front::Vif::work"),
            }),
            GFP_KERNEL,
        )
    }
}

fn mac(device: &Device) -> Result<MacAddress> {
    let text = device.store().read(c"mac")?;

    text.as_ref()
        .and_then(|text| MacAddress::parse(text.as_bytes()))
        .filter(MacAddress::is_unicast)
        .ok_or_else(|| {
            dev_err!(device, "mac: missing or not a unicast address\n");
            EINVAL
        })
}

impl Operations for Vif {
    const DRIVER: &'static CStr = c"netchannel2_front";
    const STATISTICS: &'static [Statistic] = &STATISTICS;

    type Moderated = Channel<Self>;

    fn open(&self) -> Result {
        Ok(())
    }

    fn stop(&self) {}

    fn start_xmit(&self, skb: Skb, more: More) -> Transmit {
        self.channel.transmit(skb, more)
    }

    fn tx_timeout(&self) {
        if self.channel.check_stall() == Stall::PeerAsleep {
            dev_info!(
                self.device,
                "the backend takes no packets: carrier off until it does\n"
            );
        }
    }

    fn device(&self) -> &NetDevice {
        &self.netdev
    }

    fn moderated(&self) -> &Channel<Self> {
        &self.channel
    }

    fn statistics(&self, values: &mut [u64]) {
        self.channel.statistics(values);
    }
}

impl Poll for Vif {
    fn poll(this: ArcBorrow<'_, Self>, napi: &NapiContext<'_>, budget: Budget) -> u32 {
        let polled = this.channel.poll(napi, budget);

        if polled.health == Health::Failed || polled.chores == Chores::Waiting {
            QUEUE.enqueue::<Arc<Self>, 0>(this.into());
        }
        polled.done
    }
}

impl WorkItem for Vif {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.channel.tend();
        lifecycle::attend(&this);
    }
}
