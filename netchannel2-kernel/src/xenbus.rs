// SPDX-License-Identifier: GPL-2.0

//! Xenbus: the drivers and devices that xenstore announces.
//!
//! C header: [`include/xen/xenbus.h`](srctree/include/xen/xenbus.h)

mod device;
mod driver;
mod kept;
mod rebind;
mod store;
mod transaction;
mod uevent;
mod watch;

pub use self::{
    device::Device,
    driver::{
        Adapter,
        Afterwards,
        Backend,
        Driver,
        Frontend,
        Side, //
    },
    store::{
        Directory,
        Text, //
    },
    transaction::{
        in_transaction,
        Transaction, //
    },
};
