// SPDX-License-Identifier: GPL-2.0

//! `netchannel2_back.ko`: the driver domain's end of Netchannel 2.
//!
//! | module | subject |
//! |---|---|
//! | [`opt_in`] | which vifs are this driver's |
//! | [`driver`] | the xenbus driver: probe, changes of the frontend, unbinding |
//! | [`vif`] | one network interface: its net device and its queue |
//! | [`parameters`] | the module's parameters, checked at load |
//! | [`lifecycle`] | connecting and disconnecting, as the frontend's state asks for |
//! | [`classic`] | a guest that has only `xen-netfront`: the vif goes to `xen-netback` |

#![forbid(unsafe_code)]

mod classic;
mod driver;
mod lifecycle;
mod opt_in;
mod parameters;
mod vif;

use driver::Netback;
use kernel::{
    driver::Registration,
    prelude::*,
    sync::Arc,
    ThisModule, //
};
use netchannel2_kernel::{
    cache,
    debug::{
        ModuleFolder,
        Shown,
        ShownFile, //
    },
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
static FOLDER: ModuleFolder = ModuleFolder::of::<NetbackModule>();

/// The module; the fields are dropped in this order.
struct NetbackModule {
    _driver: Option<Pin<KBox<Registration<Adapter<Netback>>>>>,
    _totals: Option<ShownFile>,
    _folder: Shown,
    _queue: Running,
}

impl kernel::Module for NetbackModule {
    fn init(module: &'static ThisModule) -> Result<Self> {
        parameters::check()?;
        cache::start(parameters::cache())?;

        // A driver domain is not saved, so that nothing has to stand still.
        let queue = QUEUE.start(c"netchannel2_back", DuringSuspend::Running)?;
        let folder = FOLDER.start(c"netchannel2_back")?;
        let totals = FOLDER
            .add(c"cache", Arc::new(cache::Summary, GFP_KERNEL)?)
            .ok();
        let driver = if is_xen_domain() {
            Some(KBox::try_pin_init(
                Registration::new(c"netchannel2_back", module),
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
            _totals: totals,
            _folder: folder,
            _queue: queue,
        })
    }
}

vif_module! {
    type: NetbackModule,
    name: "netchannel2_back",
    description: "Netchannel 2: Xen network backend",
    alias: "xen-backend:vif",
    own_params: {
        all_vifs: u8 {
            default: 0,
            description: "Take every vif (1), not only those with script=vif-netchannel2 (0)",
        },
        cache_pages: u32 {
            default: 16384,
            description: "Most pages of guests' pools that are mapped, over all vifs (0: none)",
        },
        grant_ranges: u8 {
            default: 1,
            description: "Lend packets where they lie, as ranges of bytes, if the grant table has version 2 (1), or copies of them on pages of their own (0)",
        },
    },
}
