// SPDX-License-Identifier: GPL-2.0

//! `netchannel2_front.ko`: the guest's end of Netchannel 2.
//!
//! | module | subject |
//! |---|---|
//! | [`driver`] | the xenbus driver: probe, changes of the backend, resume, unbinding |
//! | [`vif`] | one network interface: its net device and its queue |
//! | [`parameters`] | the module's parameters, checked at load |
//! | [`lifecycle`] | connecting and disconnecting, as the backend's state asks for |
//! | [`classic`] | a backend that has only `xen-netback`: the vif goes to `xen-netfront` |

#![forbid(unsafe_code)]

mod classic;
mod driver;
mod lifecycle;
mod parameters;
mod vif;

use driver::Netfront;
use kernel::{
    driver::Registration,
    prelude::*,
    ThisModule, //
};
use netchannel2_kernel::{
    debug::{
        ModuleFolder,
        Shown, //
    },
    has_pv_nic_devices,
    is_xen_domain,
    vif_module,
    work::{
        DuringSuspend,
        ModuleQueue,
        Running, //
    },
    xenbus::Adapter, //
};

/// Runs what must not run in interrupts or under xenbus' locks.
static QUEUE: ModuleQueue = ModuleQueue::new();

/// A file for each interface, in debugfs.
static FOLDER: ModuleFolder = ModuleFolder::of::<NetfrontModule>();

/// The module; the fields are dropped in this order.
struct NetfrontModule {
    _driver: Option<Pin<KBox<Registration<Adapter<Netfront>>>>>,
    _folder: Shown,
    _queue: Running,
}

impl kernel::Module for NetfrontModule {
    fn init(module: &'static ThisModule) -> Result<Self> {
        parameters::common()?;

        // Nothing of the backend's is mapped between suspending a device and saving the domain.
        let queue = QUEUE.start(c"netchannel2_front", DuringSuspend::Frozen)?;
        let folder = FOLDER.start(c"netchannel2_front")?;
        let driver = if is_xen_domain() && !has_pv_nic_devices() {
            pr_err!("this guest's network devices are emulated\n");
            return Err(ENODEV);
        } else if is_xen_domain() {
            Some(KBox::try_pin_init(
                Registration::new(c"netchannel2_front", module),
                GFP_KERNEL,
            )?)
        } else if cfg!(CONFIG_KUNIT = "y") {
            pr_info!("not a Xen domain: only the tests are here\n");
            None
        } else {
            pr_err!("not a Xen domain\n");
            return Err(ENODEV);
        };

        Ok(Self {
            _driver: driver,
            _folder: folder,
            _queue: queue,
        })
    }
}

vif_module! {
    type: NetfrontModule,
    name: "netchannel2_front",
    description: "Netchannel 2: Xen network frontend",
    alias: "xen:vif",
    own_params: {},
}
