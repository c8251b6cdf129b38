// SPDX-License-Identifier: GPL-2.0

//! Backends that have only `xen-netback`.
//!
//! A guest with this module boots on any host: a vif whose backend makes no Netchannel 2 offer goes
//! to `xen-netfront`. A device may be found before its backend has made an offer; then it is kept,
//! and given away when the backend is ready and there is none.

use crate::{
    vif::Vif,
    QUEUE, //
};
use kernel::{
    impl_has_work,
    new_work,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    workqueue::{
        Work,
        WorkItem, //
    }, //
};
use netchannel2_core::handshake::{
    keys,
    state::XenbusState, //
};
use netchannel2_kernel::xenbus::{
    hand_to_next_driver,
    Device,
    Directory, //
};

/// Whether the backend is ready and makes no offer.
///
/// # Errors
///
/// Those of xenstore.
pub(crate) fn is_sure(device: &Device, otherend: &CStr) -> Result<bool> {
    let is_ready = !matches!(
        device.read_state(otherend),
        XenbusState::Unknown | XenbusState::Initialising
    );

    Ok(is_ready
        && Directory::new(otherend)
            .read(keys::FEATURE.as_c_str())?
            .is_none())
}

/// Gives the vif to `xen-netfront`, in the module's work queue: this cannot be done from within a
/// callback of the device.
pub(crate) fn hand_over(vif: &Vif) {
    let work = Arc::pin_init(
        pin_init!(HandOver {
            device: vif.device.clone(),
            work <- new_work!("netchannel2_front::HandOver::work"),
        }),
        GFP_KERNEL,
    );

    match work {
        Ok(work) => QUEUE.enqueue::<Arc<HandOver>, 0>(work),
        Err(error) => dev_err!(vif.device, "cannot give the vif away: {error:?}\n"),
    }
}

#[pin_data]
struct HandOver {
    device: ARef<Device>,
    #[pin]
    work: Work<Self>,
}

impl_has_work! {
    impl HasWork<Self> for HandOver { self.work }
}

impl WorkItem for HandOver {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        match hand_to_next_driver(&this.device, c"xen-netfront") {
            Ok(()) => {}
            Err(error) => dev_err!(
                this.device,
                "no other driver took the vif ({error:?}): is xen-netfront loaded?\n"
            ),
        }
    }
}
