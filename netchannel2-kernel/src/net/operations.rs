// SPDX-License-Identifier: GPL-2.0

//! What a net device does when the stack asks: the tables of C functions and the trait behind.

use super::{
    coalesce,
    ethtool,
    Coalesce,
    NetDevice,
    Skb,
    Statistic, //
};
use crate::bindings;
use kernel::{
    error::from_result,
    ffi::{
        c_int,
        c_uint, //
    },
    prelude::*, //
};

/// Whether more packets follow at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// The stack has another packet for this queue: telling the peer may wait for it.
    Follows,
    /// The stack has no more for now.
    None,
}

/// What became of a packet that was to be sent.
pub enum Transmit {
    /// The driver has it.
    Taken,
    /// There was no room, and the queue is stopped: the stack keeps it.
    Busy(Skb),
}

/// The operations of a net device with one queue.
pub trait Operations: Send + Sync + Sized + 'static {
    /// The driver's name, as `ethtool -i` shows it.
    const DRIVER: &'static CStr;

    /// What moderates the events of the device's queue.
    type Moderated: Coalesce;

    /// The statistics that `ethtool -S` shows, in their order.
    const STATISTICS: &'static [Statistic];

    /// Called when the device is brought up.
    ///
    /// # Errors
    ///
    /// Keep the device down.
    fn open(&self) -> Result;

    /// Called when the device is brought down.
    fn stop(&self);

    /// Sends a packet; called with the queue's transmit lock held.
    fn start_xmit(&self, skb: Skb, more: More) -> Transmit;

    /// Called when the queue has been stopped for [`super::device::WATCHDOG`].
    fn tx_timeout(&self);

    /// Returns the device.
    fn device(&self) -> &NetDevice;

    /// Returns what moderates the events of the device's queue.
    fn moderated(&self) -> &Self::Moderated;

    /// Writes the values of [`Self::STATISTICS`].
    fn statistics(&self, values: &mut [u64]);
}

/// The C tables for `T`.
pub(super) struct Tables<T>(T);

impl<T: Operations> Tables<T> {
    pub(super) const NETDEV: &'static bindings::net_device_ops = &bindings::net_device_ops {
        ndo_open: Some(Self::open),
        ndo_stop: Some(Self::stop),
        ndo_start_xmit: Some(Self::start_xmit),
        ndo_tx_timeout: Some(Self::tx_timeout),
        ndo_fix_features: Some(Self::fix_features),
        ndo_set_mac_address: Some(bindings::eth_mac_addr),
        ndo_validate_addr: Some(bindings::eth_validate_addr),
        ..pin_init::zeroed()
    };

    pub(super) const ETHTOOL: &'static bindings::ethtool_ops = &bindings::ethtool_ops {
        supported_coalesce_params: coalesce::SUPPORTED,
        get_coalesce: Some(coalesce::get::<T>),
        set_coalesce: Some(coalesce::set::<T>),
        get_per_queue_coalesce: Some(coalesce::get_per_queue::<T>),
        set_per_queue_coalesce: Some(coalesce::set_per_queue::<T>),
        get_drvinfo: Some(ethtool::drvinfo::<T>),
        get_link: Some(bindings::ethtool_op_get_link),
        get_sset_count: Some(ethtool::sset_count::<T>),
        get_strings: Some(ethtool::strings::<T>),
        get_ethtool_stats: Some(ethtool::statistics::<T>),
        get_ts_info: Some(bindings::ethtool_op_get_ts_info),
        ..pin_init::zeroed()
    };

    extern "C" fn open(dev: *mut bindings::net_device) -> c_int {
        // SAFETY: The stack calls with a registered device of `T`.
        let this = unsafe { operations::<T>(dev) };

        from_result(|| this.open().map(|()| 0))
    }

    extern "C" fn stop(dev: *mut bindings::net_device) -> c_int {
        // SAFETY: As in `open`.
        let this = unsafe { operations::<T>(dev) };

        this.stop();
        0
    }

    extern "C" fn start_xmit(
        raw: *mut bindings::sk_buff,
        dev: *mut bindings::net_device,
    ) -> bindings::netdev_tx_t {
        // SAFETY: As in `open`.
        let this = unsafe { operations::<T>(dev) };
        // SAFETY: The call is within `ndo_start_xmit`.
        let more = if unsafe { bindings::nc2_netdev_xmit_more() } {
            More::Follows
        } else {
            More::None
        };
        // SAFETY: The stack gives the packet away, unless it gets it back by `NETDEV_TX_BUSY`.
        let Some(skb) = (unsafe { Skb::from_raw(raw) }) else {
            return bindings::netdev_tx_NETDEV_TX_OK;
        };

        match this.start_xmit(skb, more) {
            Transmit::Taken => bindings::netdev_tx_NETDEV_TX_OK,
            Transmit::Busy(skb) => {
                skb.into_raw();
                bindings::netdev_tx_NETDEV_TX_BUSY
            }
        }
    }

    extern "C" fn tx_timeout(dev: *mut bindings::net_device, _queue: c_uint) {
        // SAFETY: As in `open`.
        let this = unsafe { operations::<T>(dev) };

        this.tx_timeout();
    }

    extern "C" fn fix_features(dev: *mut bindings::net_device, wanted: u64) -> u64 {
        // SAFETY: As in `open`.
        let this = unsafe { operations::<T>(dev) };

        this.device().offloads().fix(wanted)
    }
}

/// The driver's object behind a device.
///
/// # Safety
///
/// `dev` is a device whose [`super::Registration`] is of `T` and lives: the stack's calls are made
/// between registration and the end of unregistration only.
pub(super) unsafe fn operations<'a, T: Operations>(dev: *mut bindings::net_device) -> &'a T {
    // SAFETY: The registration stores the address of its `Arc<T>` in the private area, and holds
    // the reference until the device is unregistered.
    unsafe { &**bindings::nc2_netdev_priv(dev).cast::<*const T>() }
}
