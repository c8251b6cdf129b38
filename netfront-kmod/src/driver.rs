// SPDX-License-Identifier: GPL-2.0

//! The xenbus driver.

use crate::{
    classic,
    lifecycle,
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
use netchannel2_kernel::xenbus::{
    Afterwards,
    Device,
    Driver,
    Frontend, //
};

/// The frontend's driver for `vif` devices.
pub(crate) struct Netfront;

impl Driver for Netfront {
    type Side = Frontend;
    type Data = Arc<Vif>;

    fn probe(device: &Device<Core<'_>>) -> impl PinInit<Arc<Vif>, Error> {
        probe(device)
    }

    fn otherend_changed(
        _device: &Device<Bound>,
        vif: Pin<&Arc<Vif>>,
        state: XenbusState,
    ) -> Afterwards {
        lifecycle::backend_changed(&vif, state)
    }

    fn suspend(_device: &Device<Bound>, vif: Pin<&Arc<Vif>>) {
        vif.channel.give_back();
    }

    fn resume(device: &Device<Bound>, vif: Pin<&Arc<Vif>>) -> Result {
        lifecycle::resume(&vif, device.otherend()?);
        Ok(())
    }

    fn unbind(_device: &Device<Core<'_>>, vif: Pin<&Arc<Vif>>) {
        lifecycle::unbind(&vif);
    }
}

fn probe(device: &Device<Bound>) -> Result<Arc<Vif>> {
    let otherend = device.otherend()?;

    if classic::is_sure(device, &otherend)? {
        return Err(ENODEV);
    }

    let vif = Vif::new(device)?;

    lifecycle::start(&vif, otherend).inspect_err(|_| lifecycle::unbind(&vif))?;
    Ok(vif)
}
