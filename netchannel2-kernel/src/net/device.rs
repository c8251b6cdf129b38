// SPDX-License-Identifier: GPL-2.0

//! Net devices.

use super::{
    operations::{
        Operations,
        Tables, //
    },
    sysfs::Group,
    Offloads, //
};
use crate::{
    bindings,
    xenbus, //
};
use core::{
    mem::size_of,
    ptr::NonNull, //
};
use kernel::{
    device::Bound,
    error::to_result,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};
use netchannel2_core::units::{
    Bytes,
    PacketLength, //
};

/// After how many milliseconds of a stopped queue the stack calls [`Operations::tx_timeout`].
pub(super) const WATCHDOG: u32 = 10_000;

/// A MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// The address of a backend's interface: a bridge never takes it for its own, as it is the
    /// highest there is.
    pub const BACKEND: Self = Self([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff]);

    /// Parses six hexadecimal bytes with colons between.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut address = [0; 6];
        let mut parts = text.split(|&byte| byte == b':');

        for byte in &mut address {
            let part = core::str::from_utf8(parts.next()?).ok()?;

            if part.is_empty() || part.len() > 2 || part.starts_with('+') {
                return None;
            }
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        parts.next().is_none().then_some(Self(address))
    }

    /// Whether one interface may have the address.
    pub fn is_unicast(&self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

/// The largest payload of a packet, without the Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtu(Bytes);

impl Mtu {
    /// The largest that a packet's length allows for, with a VLAN tag in the header.
    pub const MAX: Self = Self(Bytes::new(PacketLength::MAX - 18));
}

/// Whether the other end is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// A `struct net_device` with one queue, registered or not.
///
/// # Invariants
///
/// `raw` is allocated and not freed, and not registered when it is dropped.
pub struct NetDevice {
    raw: NonNull<bindings::net_device>,
    /// The bits of what the peer lets the stack leave to it.
    offloads: Atomic<u64>,
}

// SAFETY: A net device may be used from any thread.
unsafe impl Send for NetDevice {}
// SAFETY: All methods are thread safe.
unsafe impl Sync for NetDevice {}

impl NetDevice {
    /// Allocates an Ethernet device for `parent`, with a name that may hold a `%d`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` for a name that is too long.
    pub fn new(
        parent: &xenbus::Device<Bound>,
        name: &CStr,
        address: MacAddress,
    ) -> Result<Arc<Self>> {
        // SAFETY: No preconditions. The private area holds the address of the operations.
        let raw = unsafe { bindings::nc2_alloc_etherdev(size_of::<usize>() as i32, 1) };
        // INVARIANT: The device was just allocated.
        let this = Arc::new(
            Self {
                raw: NonNull::new(raw).ok_or(ENOMEM)?,
                offloads: Atomic::new(Offloads::ALL.bits()),
            },
            GFP_KERNEL,
        )?;

        // SAFETY: The device is not registered, so its fields are ours to set. The parent is bound
        // and outlives the device: a driver drops what it registered before it is unbound.
        unsafe {
            if bindings::nc2_netdev_set_name(raw, name.as_char_ptr()) < 0 {
                return Err(EINVAL);
            }
            bindings::nc2_set_netdev_parent(raw, parent.as_raw_device());
            bindings::nc2_set_dstats(raw);
            bindings::nc2_eth_hw_addr_set(raw, address.0.as_ptr());
            (*raw).min_mtu = bindings::ETH_MIN_MTU;
            (*raw).max_mtu = Mtu::MAX.0.get();
            bindings::nc2_netdev_disable_netpoll(raw);
            (*raw).hw_features = Offloads::SWITCHABLE.bits();
            (*raw).features = Offloads::ALL.bits();
            bindings::netif_set_tso_max_size(raw, PacketLength::MAX);
            (*raw).watchdog_timeo = kernel::time::msecs_to_jiffies(WATCHDOG) as i32;
        }
        Ok(this)
    }

    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::net_device {
        self.raw.as_ptr()
    }

    /// Lets the stack leave to the peer what it can do; called without the network's own lock.
    pub fn set_offloads(&self, offloads: Offloads) {
        self.offloads.store(offloads.bits(), Relaxed);
        // SAFETY: By the type invariant the device is valid; it is registered while a driver that
        // has a peer holds it.
        unsafe {
            bindings::rtnl_lock();
            bindings::netdev_update_features(self.as_raw());
            bindings::rtnl_unlock();
        }
    }

    pub(super) fn offloads(&self) -> Offloads {
        Offloads::from_bits(self.offloads.load(Relaxed))
    }

    /// Says whether the other end is there.
    pub fn set_carrier(&self, carrier: Carrier) {
        // SAFETY: By the type invariant the device is valid.
        unsafe {
            match carrier {
                Carrier::On => bindings::netif_carrier_on(self.as_raw()),
                Carrier::Off => bindings::netif_carrier_off(self.as_raw()),
            }
        }
    }

    /// Has the network told where this device is now.
    pub fn notify_peers(&self) {
        // SAFETY: The device is valid.
        unsafe { bindings::netdev_notify_peers(self.as_raw()) }
    }

    /// Asks the stack for no more packets.
    pub fn stop_queue(&self) {
        // SAFETY: The device is valid and has a queue 0.
        unsafe { bindings::nc2_netif_stop_subqueue(self.as_raw(), 0) }
    }

    /// Lets packets come again, if they were stopped.
    pub fn wake_queue(&self) {
        // SAFETY: The device is valid and has a queue 0.
        unsafe { bindings::nc2_netif_wake_subqueue(self.as_raw(), 0) }
    }

    /// Whether the device is up.
    #[inline]
    pub fn is_running(&self) -> bool {
        // SAFETY: The device is valid.
        unsafe { bindings::nc2_netif_running(self.as_raw()) }
    }

    /// Waits for running transmissions and stops the queue.
    pub fn disable_transmit(&self) {
        // SAFETY: The device is valid.
        unsafe { bindings::nc2_netif_tx_disable(self.as_raw()) }
    }

    /// Counts a packet towards the stack.
    #[inline]
    pub fn count_received(&self, length: Bytes) {
        // SAFETY: The device is valid and, being registered, has its per-CPU counters.
        unsafe { bindings::nc2_dstats_rx_add(self.as_raw(), length.get()) }
    }

    /// Counts a packet from the peer that was lost.
    #[inline]
    pub fn count_receive_dropped(&self) {
        // SAFETY: As in `count_received`.
        unsafe { bindings::nc2_dstats_rx_dropped(self.as_raw()) }
    }

    /// Counts a packet from the stack.
    #[inline]
    pub fn count_sent(&self, length: Bytes) {
        // SAFETY: As in `count_received`.
        unsafe { bindings::nc2_dstats_tx_add(self.as_raw(), length.get()) }
    }

    /// Counts a packet from the stack that was lost.
    #[inline]
    pub fn count_send_dropped(&self) {
        // SAFETY: As in `count_received`.
        unsafe { bindings::nc2_dstats_tx_dropped(self.as_raw()) }
    }
}

impl Drop for NetDevice {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the device is allocated and not registered.
        unsafe { bindings::free_netdev(self.as_raw()) }
    }
}

/// A registered net device; dropping it unregisters the device and waits for all its users.
pub struct Registration<T: Operations> {
    device: Arc<NetDevice>,
    _operations: Arc<T>,
}

impl<T: Operations> Registration<T> {
    /// Registers `device` with the stack, without a carrier.
    ///
    /// # Errors
    ///
    /// Those of `register_netdev()`, such as `EEXIST` for a name that is taken.
    pub fn new(device: Arc<NetDevice>, operations: Arc<T>) -> Result<Self> {
        let raw = device.as_raw();

        // SAFETY: The device is not registered, so its fields are ours to set. The private area
        // has room for a pointer, and the tables live for ever.
        unsafe {
            bindings::nc2_netdev_priv(raw)
                .cast::<*const T>()
                .write(&raw const *operations);
            (*raw).netdev_ops = Tables::<T>::NETDEV;
            (*raw).ethtool_ops = Tables::<T>::ETHTOOL;
            (*raw).sysfs_groups[0] = Group::<T>::GROUP;
            bindings::netif_carrier_off(raw);
        }
        // SAFETY: The device is set up and not registered.
        to_result(unsafe { bindings::register_netdev(raw) })?;
        Ok(Self {
            device,
            _operations: operations,
        })
    }
}

impl<T: Operations> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: The device is registered; it is unregistered once.
        unsafe { bindings::unregister_netdev(self.device.as_raw()) }
    }
}
