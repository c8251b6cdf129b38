// SPDX-License-Identifier: GPL-2.0

//! Guests that have only `xen-netfront`.
//!
//! Such a guest must not lose its network on a vif that is opted in. It connects to any backend
//! that can copy, so the offer has the classic one beside it, and a frontend that answers without a
//! Netchannel 2 version is a classic one: the vif goes to `xen-netback`, which finds the answer
//! where it expects it.
//!
//! Source of the classic keys: Xen's `io/netif.h`.

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
pub(crate) const MODULE: &CStr = c"xen-netback";

/// What every `xen-netback` since Linux 4 can do, and a frontend decides by when it connects.
const OFFER: [(&CStr, u32); 6] = [
    (c"feature-rx-copy", 1),
    (c"feature-sg", 1),
    (c"feature-gso-tcpv4", 1),
    (c"feature-gso-tcpv6", 1),
    (c"feature-ipv6-csum-offload", 1),
    (c"feature-split-event-channels", 1),
];

/// Publishes the classic offer.
///
/// # Errors
///
/// Those of xenstore.
pub(crate) fn invite(backend: &Directory<'_>) -> Result {
    OFFER
        .iter()
        .try_for_each(|(key, value)| backend.write(key, fmt!("{value}")))
}

/// Removes the classic offer.
///
/// # Errors
///
/// Those of xenstore.
pub(crate) fn withdraw(backend: &Directory<'_>) -> Result {
    OFFER.iter().try_for_each(|(key, _)| backend.remove(key))
}

/// Whether the frontend is a classic one that has answered already.
///
/// # Errors
///
/// Those of xenstore.
pub(crate) fn is_connected(device: &Device, otherend: &CStr) -> Result<bool> {
    Ok(matches!(
        device.read_state(otherend),
        XenbusState::Initialised | XenbusState::Connected
    ) && Directory::new(otherend)
        .read(keys::VERSION.as_c_str())?
        .is_none())
}
