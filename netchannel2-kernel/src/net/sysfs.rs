// SPDX-License-Identifier: GPL-2.0

//! The folder `netchannel2` of a net device in sysfs: how long events may wait.
//!
//! C header: [`include/linux/sysfs.h`](srctree/include/linux/sysfs.h)

use super::{
    coalesce::{
        self,
        Coalesce,
        Refusal, //
    },
    operations::{
        operations,
        Operations, //
    },
};
use crate::bindings;
use core::{
    marker::PhantomData,
    ptr::null_mut, //
};
use kernel::{
    ffi::{
        c_char,
        c_ulong, //
    },
    prelude::*,
    str::CString, //
};
use netchannel2_core::moderation::{
    Knob,
    Knobs,
    Limits, //
};

/// The C tables for `T`.
pub(super) struct Group<T>(PhantomData<T>);

impl<T: Operations> Group<T> {
    pub(super) const GROUP: &'static bindings::attribute_group = &bindings::attribute_group {
        name: c"netchannel2".to_bytes_with_nul().as_ptr().cast(),
        __bindgen_anon_2: bindings::attribute_group__bindgen_ty_2 {
            // Never written: sysfs takes them as constant.
            attrs: Self::ATTRIBUTES.as_ptr().cast_mut(),
        },
        ..pin_init::zeroed()
    };

    const ATTRIBUTES: &'static [*mut bindings::attribute; 9] = &[
        Self::attribute::<{ Knob::RxUsecs as usize }>(),
        Self::attribute::<{ Knob::RxFrames as usize }>(),
        Self::attribute::<{ Knob::AdaptiveRx as usize }>(),
        Self::attribute::<{ Knob::TxUsecs as usize }>(),
        Self::attribute::<{ Knob::TxFrames as usize }>(),
        Self::attribute::<{ Knob::AdaptiveTx as usize }>(),
        Self::attribute::<{ Knob::MaxUsecs as usize }>(),
        Self::attribute::<{ Knob::MaxFrames as usize }>(),
        null_mut(),
    ];

    const fn attribute<const KNOB: usize>() -> *mut bindings::attribute {
        (&raw const Attribute::<T, KNOB>::DEVICE_ATTRIBUTE.attr).cast_mut()
    }
}

/// One file.
struct Attribute<T, const KNOB: usize>(PhantomData<T>);

impl<T: Operations, const KNOB: usize> Attribute<T, KNOB> {
    const KNOB: Knob = Knob::ALL[KNOB];

    const DEVICE_ATTRIBUTE: &'static bindings::device_attribute = &bindings::device_attribute {
        attr: attribute(Self::KNOB),
        __bindgen_anon_1: bindings::device_attribute__bindgen_ty_1 {
            show: Some(Self::show),
        },
        __bindgen_anon_2: bindings::device_attribute__bindgen_ty_2 {
            store: Some(Self::store),
        },
    };

    extern "C" fn show(
        device: *mut bindings::device,
        _attribute: *mut bindings::device_attribute,
        page: *mut c_char,
    ) -> isize {
        // SAFETY: The file is one of a registered net device of `T`.
        let this = unsafe { operations::<T>(bindings::nc2_to_net_dev(device)) };
        let value = value(this.moderated(), Self::KNOB);
        let Ok(text) = CString::try_from_fmt(fmt!("{value}\n")) else {
            return ENOMEM.to_errno() as isize;
        };
        let bytes = text.to_bytes();

        // SAFETY: sysfs gives a page to fill, in which a line with a number has room.
        unsafe {
            page.cast::<u8>()
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len())
        };
        bytes.len() as isize
    }

    extern "C" fn store(
        device: *mut bindings::device,
        _attribute: *mut bindings::device_attribute,
        text: *const c_char,
        length: c_ulong,
    ) -> isize {
        // SAFETY: As in `show`.
        let this = unsafe { operations::<T>(bindings::nc2_to_net_dev(device)) };
        // SAFETY: sysfs gives `length` bytes.
        let text = unsafe { core::slice::from_raw_parts(text.cast::<u8>(), length) };

        match store(this.moderated(), Self::KNOB, text) {
            Ok(()) => length as isize,
            Err(error) => error.to_errno() as isize,
        }
    }
}

fn value<T: Coalesce>(device: &T, knob: Knob) -> u32 {
    let limits = device.moderation_limits();

    match knob {
        Knob::MaxUsecs => limits.usecs.get().into(),
        Knob::MaxFrames => limits.frames.get().into(),
        knob => Knobs::of(&device.coalesce()).get(knob).unwrap_or(0),
    }
}

/// Takes a number, or says in the log what is wrong with it, as a file has no other way.
fn store<T: Coalesce>(device: &T, knob: Knob, text: &[u8]) -> Result {
    let number = core::str::from_utf8(text.trim_ascii())
        .ok()
        .and_then(|text| text.parse::<u32>().ok());
    let Some(number) = number else {
        pr_err!("{}: not a number\n", knob.name());
        return Err(EINVAL);
    };
    let limits = |usecs, frames| Limits::new(usecs, frames).map_err(Refusal::Knob);
    let old = device.moderation_limits();
    let taken = match knob {
        Knob::MaxUsecs => limits(number, old.frames.get().into())
            .map(|limits| device.set_moderation_limits(limits)),
        Knob::MaxFrames => limits(old.usecs.get().into(), number)
            .map(|limits| device.set_moderation_limits(limits)),
        knob => coalesce::change(device, |shown| shown.with(knob, number)),
    };

    taken.map_err(|refusal| refusal.into_error(|words| pr_err!("{words}\n")))
}

const fn attribute(knob: Knob) -> bindings::attribute {
    // There are more fields in kernels with lockdep.
    let mut attribute: bindings::attribute = pin_init::zeroed();

    attribute.name = name(knob).to_bytes_with_nul().as_ptr().cast();
    attribute.mode = 0o644;
    attribute
}

const fn name(knob: Knob) -> &'static CStr {
    match knob {
        Knob::RxUsecs => c"rx_usecs",
        Knob::RxFrames => c"rx_frames",
        Knob::AdaptiveRx => c"adaptive_rx",
        Knob::TxUsecs => c"tx_usecs",
        Knob::TxFrames => c"tx_frames",
        Knob::AdaptiveTx => c"adaptive_tx",
        Knob::MaxUsecs => c"max_usecs",
        Knob::MaxFrames => c"max_frames",
    }
}
