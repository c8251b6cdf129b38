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
static FOLDER: ModuleFolder = ModuleFolder::new();

/// The module; the fields are dropped in this order.
struct NetfrontModule {
    _driver: Option<Pin<KBox<Registration<Adapter<Netfront>>>>>,
    _folder: Shown,
    _queue: Running,
}

impl kernel::Module for NetfrontModule {
    fn init(module: &'static ThisModule) -> Result<Self> {
        parameters::check()?;

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

module! {
    type: NetfrontModule,
    name: "netchannel2_front",
    authors: ["The Netchannel 2 developers"],
    description: "Netchannel 2: Xen network frontend",
    license: "GPL",
    alias: ["xen:vif"],
    params: {
        adaptive_rx: u8 {
            default: 1,
            description: "Events about received packets wait as suits the traffic (1), or by rx_usecs and rx_frames (0)",
        },
        adaptive_tx: u8 {
            default: 1,
            description: "Events about sent packets that are done with wait as suits the traffic (1), or by tx_usecs and tx_frames (0)",
        },
        grant_ranges: u8 {
            default: 1,
            description: "Lend packets where they lie, as ranges of bytes, if the grant table has version 2 (1), or copies of them on pages of their own (0)",
        },
        inline_max: u16 {
            default: 256,
            description: "Longest packet from the guest that travels in its message, 0 to 2048 bytes",
        },
        max_frames: u16 {
            default: 128,
            description: "The most frames that the host may let events wait for, 1 to 128",
        },
        max_usecs: u16 {
            default: 1000,
            description: "The most microseconds that the host may let events wait, 0 to 10000",
        },
        rx_frames: u16 {
            default: 64,
            description: "With so many received packets an event comes at the latest, 1 to 128",
        },
        rx_usecs: u16 {
            default: 64,
            description: "Microseconds that an event about received packets may wait, 0 to 10000",
        },
        tx_frames: u16 {
            default: 64,
            description: "With so many sent packets that are done with an event comes at the latest, 1 to 128",
        },
        tx_usecs: u16 {
            default: 64,
            description: "Microseconds that an event about sent packets that are done with may wait, 0 to 10000",
        },
        pool_pages: u16 {
            default: 512,
            description: "Most pages of each vif's pool for packets from the guest, 0 to 1024 (0: no pool)",
        },
        staged_max: u16 {
            default: 65535,
            description: "Longest packet from the guest that travels in the pool, in bytes (0: none, and no pool)",
        },
    },
}
