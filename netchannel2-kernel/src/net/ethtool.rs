// SPDX-License-Identifier: GPL-2.0

//! What `ethtool` asks of a net device.
//!
//! C header: [`include/linux/ethtool.h`](srctree/include/linux/ethtool.h)

use super::operations::{
    operations,
    Operations, //
};
use crate::bindings;
use kernel::{
    ffi::c_int,
    prelude::*, //
};

/// The name of a statistic; `ethtool` shows the first 31 bytes.
pub type Statistic = &'static str;

const NAME_SIZE: usize = bindings::ETH_GSTRING_LEN as usize;

pub(super) extern "C" fn drvinfo<T: Operations>(
    _dev: *mut bindings::net_device,
    info: *mut bindings::ethtool_drvinfo,
) {
    // SAFETY: The stack gives a zeroed structure to fill.
    let info = unsafe { &mut *info };

    copy(&mut info.driver, T::DRIVER.to_bytes());
    copy(&mut info.version, env!("NETCHANNEL2_VERSION").as_bytes());
}

pub(super) extern "C" fn sset_count<T: Operations>(
    _dev: *mut bindings::net_device,
    set: c_int,
) -> c_int {
    if set.unsigned_abs() == bindings::ethtool_stringset_ETH_SS_STATS {
        c_int::try_from(T::STATISTICS.len()).unwrap_or(0)
    } else {
        EOPNOTSUPP.to_errno()
    }
}

pub(super) extern "C" fn strings<T: Operations>(
    _dev: *mut bindings::net_device,
    set: u32,
    data: *mut u8,
) {
    if set != bindings::ethtool_stringset_ETH_SS_STATS {
        return;
    }
    // SAFETY: The stack gives `sset_count()` names' worth of zeroed memory.
    let names = unsafe { core::slice::from_raw_parts_mut(data, T::STATISTICS.len() * NAME_SIZE) };

    for (into, name) in names.chunks_exact_mut(NAME_SIZE).zip(T::STATISTICS) {
        copy(into, name.as_bytes());
    }
}

pub(super) extern "C" fn statistics<T: Operations>(
    dev: *mut bindings::net_device,
    _stats: *mut bindings::ethtool_stats,
    data: *mut u64,
) {
    // SAFETY: The stack calls with a registered device of `T`.
    let this = unsafe { operations::<T>(dev) };
    // SAFETY: The stack gives `sset_count()` zeroed values.
    let values = unsafe { core::slice::from_raw_parts_mut(data, T::STATISTICS.len()) };

    this.statistics(values);
}

/// Copies as much of `from` as leaves room for a NUL, and zeroes the rest.
fn copy(into: &mut [u8], from: &[u8]) {
    let room = into.len().saturating_sub(1);
    let bytes = from.iter().take(room).copied();

    for (to, byte) in into
        .iter_mut()
        .zip(Iterator::chain(bytes, core::iter::repeat(0)))
    {
        *to = byte;
    }
}
