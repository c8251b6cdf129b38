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
    channel::Channel,
    net::{
        MacAddress,
        NetDevice, //
    },
    vif::Interface,
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
        let parameters = parameters::common()?;
        let channel = Channel::new(netdev.clone(), parameters.coalesce, parameters.limits)?;

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

impl Interface for Vif {
    const DRIVER: &'static CStr = c"netchannel2_front";
    const PEER: &'static str = "backend";

    fn device(&self) -> &Device {
        &self.device
    }

    fn netdev(&self) -> &Arc<NetDevice> {
        &self.netdev
    }

    fn channel(&self) -> &Arc<Channel<Self>> {
        &self.channel
    }

    fn attend_later(this: ArcBorrow<'_, Self>) {
        QUEUE.enqueue::<Arc<Self>, 0>(this.into());
    }
}

impl WorkItem for Vif {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.channel.tend();
        lifecycle::attend(&this);
    }
}
