// SPDX-License-Identifier: GPL-2.0

//! What bindgen makes of `bindings/bindings_helper.h`.
//!
//! Types that the `kernel` crate's interfaces use are that crate's; all others are generated here,
//! since `kernel::bindings` reaches neither `linux/netdevice.h` nor `xen/`.

#![allow(
    clippy::all,
    clippy::as_underscore,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ptr_cast_constness,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]

use kernel::ffi;
use pin_init::{
    MaybeZeroable,
    Zeroable, //
};

pub(crate) use kernel::bindings::{
    delayed_work,
    device,
    device_driver,
    lock_class_key,
    module,
    page,
    spinlock_t,
    work_struct,
    workqueue_struct, //
};

type __kernel_size_t = usize;
type __kernel_ssize_t = isize;
type __kernel_ptrdiff_t = isize;

// SAFETY: `__BindgenBitfieldUnit<Storage>` is a newtype around `Storage`.
unsafe impl<Storage> Zeroable for __BindgenBitfieldUnit<Storage> where Storage: Zeroable {}

include!(concat!(
    env!("NETCHANNEL2_OBJ"),
    "/netchannel2-kernel/bindings/bindings_generated.rs"
));

impl Default for xenbus_driver {
    fn default() -> Self {
        pin_init::zeroed()
    }
}
