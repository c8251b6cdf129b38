// SPDX-License-Identifier: GPL-2.0

//! The xenbus driver.

use crate::{
    classic,
    lifecycle,
    opt_in,
    vif::Vif, //
};
use kernel::{
    device::{
        Bound,
        Core, //
    },
    prelude::*,
    sync::Arc, //
};
use netchannel2_core::handshake::state::XenbusState;
use netchannel2_kernel::{
    cache,
    xenbus::{
        Afterwards,
        Backend,
        Device,
        Driver, //
    },
};

/// The backend's driver for `vif` devices.
pub(crate) struct Netback;

impl Driver for Netback {
    type Side = Backend;
    type Data = Arc<Vif>;

    fn probe(device: &Device<Core<'_>>) -> impl PinInit<Arc<Vif>, Error> {
        probe(device)
    }

    fn otherend_changed(
        _device: &Device<Bound>,
        vif: Pin<&Arc<Vif>>,
        state: XenbusState,
    ) -> Afterwards {
        lifecycle::frontend_changed(&vif, state)
    }

    fn suspend(_device: &Device<Bound>, _vif: Pin<&Arc<Vif>>) {
        // A driver domain is not migrated.
    }

    fn resume(_device: &Device<Bound>, _vif: Pin<&Arc<Vif>>) -> Result {
        // A driver domain is not migrated.
        Ok(())
    }

    fn reclaim_memory() {
        cache::press();
    }

    fn unbind(_device: &Device<Core<'_>>, vif: Pin<&Arc<Vif>>) {
        lifecycle::unbind(&vif);
    }
}

fn probe(device: &Device<Bound>) -> Result<Arc<Vif>> {
    let otherend = device.otherend()?;

    if !opt_in::is_opted_in(&device.store())? || classic::is_connected(device, &otherend)? {
        return Err(ENODEV);
    }

    let vif = Vif::new(device, otherend)?;

    lifecycle::start(&vif).inspect_err(|_| lifecycle::unbind(&vif))?;
    Ok(vif)
}
