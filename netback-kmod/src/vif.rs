// SPDX-License-Identifier: GPL-2.0

//! One network interface of a guest, as the driver domain sees it.

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
    str::CString,
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
    /// The frontend's directory in xenstore.
    pub(crate) otherend: CString,
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
    /// Creates the interface and does not register it.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the toolstack has written no `handle`; `ENOMEM`.
    pub(crate) fn new(device: &Device<Bound>, otherend: CString) -> Result<Arc<Self>> {
        let netdev = NetDevice::new(device, &name(device)?, MacAddress::BACKEND)?;
        let parameters = parameters::common()?;
        let channel = Channel::new(netdev.clone(), parameters.coalesce, parameters.limits)?;

        Arc::pin_init(
            pin_init!(Self {
                device: device.into(),
                otherend,
                netdev,
                channel,
                life <- new_mutex!(Life::default(), "netchannel2_back::Life"),
                work <- new_work!("netchannel2_back::Vif::work"),
            }),
            GFP_KERNEL,
        )
    }
}

/// Returns the name of a device's interface, which is that of `xen-netback`.
///
/// # Errors
///
/// `EINVAL` if the toolstack has written no `handle`; `ENOMEM`.
pub(crate) fn name(device: &Device) -> Result<CString> {
    let (domain, handle) = (device.otherend_id().get(), handle(device)?);

    CString::try_from_fmt(fmt!("vif{domain}.{handle}"))
}

fn handle(device: &Device) -> Result<u32> {
    let text = device.store().read(c"handle")?;
    let number = text
        .as_ref()
        .and_then(|text| core::str::from_utf8(text.as_bytes()).ok())
        .and_then(|text| text.parse().ok());

    number.ok_or_else(|| {
        dev_err!(device, "handle: missing or not a number\n");
        EINVAL
    })
}

impl Interface for Vif {
    const DRIVER: &'static CStr = c"netchannel2_back";
    const PEER: &'static str = "guest";

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
