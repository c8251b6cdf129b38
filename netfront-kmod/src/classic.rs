// SPDX-License-Identifier: GPL-2.0

//! Backends that have only `xen-netback`.
//!
//! A guest with this module boots on any host: a vif whose backend makes no Netchannel 2 offer goes
//! to `xen-netfront`. A device may be found before its backend has made an offer; then it is kept,
//! and given away when the backend is ready and there is none.

use kernel::prelude::*;
use netchannel2_core::handshake::{
    keys,
    state::XenbusState, //
};
use netchannel2_kernel::xenbus::{
    Device,
    Directory, //
};

/// The module of the driver that such a vif goes to.
pub(crate) const MODULE: &CStr = c"xen-netfront";

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
