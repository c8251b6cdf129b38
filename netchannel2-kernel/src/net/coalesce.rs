// SPDX-License-Identifier: GPL-2.0

//! `ethtool -c`, `-C` and `-Q`: how long events may wait.
//!
//! C header: [`include/linux/ethtool.h`](srctree/include/linux/ethtool.h)

use super::operations::{
    operations,
    Operations, //
};
use crate::bindings;
use kernel::{
    ffi::c_int,
    fmt::{
        Arguments, //
    },
    prelude::*,
    str::CString, //
};
use netchannel2_core::moderation::{
    KnobError,
    Knobs,
    Limits,
    Settings, //
};

/// What `ethtool` may ask for; see `ethtool_ops::supported_coalesce_params`.
pub(super) const SUPPORTED: u32 = bindings::NC2_COALESCE_PARAMS;

/// Says that the other end does not moderate its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotModerating;

/// A device whose events are moderated by the other end.
pub trait Coalesce {
    /// Returns what is in force for the events towards this device.
    fn coalesce(&self) -> Settings;

    /// Returns what this device wants, of which the other end may do less.
    fn coalesce_wanted(&self) -> Settings;

    /// Has events towards this device moderated like this, now and after each connection.
    ///
    /// # Errors
    ///
    /// [`NotModerating`] if the other end raises every event at once; the settings stay as they
    /// are.
    fn set_coalesce(&self, settings: Settings) -> Result<(), NotModerating>;

    /// Returns the most that the other end may ask for.
    fn moderation_limits(&self) -> Limits;

    /// Keeps the other end within `limits`, now and in each connection.
    fn set_moderation_limits(&self, limits: Limits);
}

/// Why settings are not taken.
pub(super) enum Refusal {
    Knob(KnobError),
    NotModerating,
}

impl Refusal {
    /// Returns the number for user space, after `say` was given the words.
    pub(super) fn into_error(self, say: impl FnOnce(Arguments<'_>)) -> Error {
        match self {
            Self::Knob(error) => {
                say(format_args!("{error}"));
                match error {
                    KnobError::OutOfRange(..) => ERANGE,
                    KnobError::Adaptive(..) => EINVAL,
                }
            }
            Self::NotModerating => {
                say(format_args!("the other end raises every event at once"));
                EOPNOTSUPP
            }
        }
    }
}

/// Changes the settings of a device to those of `knobs` that differ from what is shown.
pub(super) fn change<T: Coalesce>(
    device: &T,
    knobs: impl FnOnce(Knobs) -> Knobs,
) -> Result<(), Refusal> {
    let shown = Knobs::of(&device.coalesce());
    let wanted = Knobs::of(&device.coalesce_wanted());
    let settings = knobs(shown)
        .change(&shown, &wanted)
        .map_err(Refusal::Knob)?;

    device
        .set_coalesce(settings)
        .map_err(|NotModerating| Refusal::NotModerating)
}

pub(super) extern "C" fn get<T: Operations>(
    dev: *mut bindings::net_device,
    coalesce: *mut bindings::ethtool_coalesce,
    _kernel: *mut bindings::kernel_ethtool_coalesce,
    _extack: *mut bindings::netlink_ext_ack,
) -> c_int {
    // SAFETY: The stack calls with a registered device of `T`.
    let this = unsafe { operations::<T>(dev) };
    // SAFETY: The stack gives a structure to fill, with zeroes in it.
    let coalesce = unsafe { &mut *coalesce };
    let knobs = Knobs::of(&this.moderated().coalesce());

    coalesce.rx_coalesce_usecs = knobs.rx_usecs;
    coalesce.rx_max_coalesced_frames = knobs.rx_frames;
    coalesce.use_adaptive_rx_coalesce = knobs.adaptive_rx;
    coalesce.tx_coalesce_usecs = knobs.tx_usecs;
    coalesce.tx_max_coalesced_frames = knobs.tx_frames;
    coalesce.use_adaptive_tx_coalesce = knobs.adaptive_tx;
    0
}

pub(super) extern "C" fn set<T: Operations>(
    dev: *mut bindings::net_device,
    coalesce: *mut bindings::ethtool_coalesce,
    _kernel: *mut bindings::kernel_ethtool_coalesce,
    extack: *mut bindings::netlink_ext_ack,
) -> c_int {
    // SAFETY: As in `get`.
    let this = unsafe { operations::<T>(dev) };
    // SAFETY: The stack gives a structure that it has filled.
    let coalesce = unsafe { &*coalesce };
    let knobs = Knobs {
        rx_usecs: coalesce.rx_coalesce_usecs,
        rx_frames: coalesce.rx_max_coalesced_frames,
        adaptive_rx: u32::from(coalesce.use_adaptive_rx_coalesce != 0),
        tx_usecs: coalesce.tx_coalesce_usecs,
        tx_frames: coalesce.tx_max_coalesced_frames,
        adaptive_tx: u32::from(coalesce.use_adaptive_tx_coalesce != 0),
    };

    match change(this.moderated(), |_| knobs) {
        Ok(()) => 0,
        Err(refusal) => refusal
            .into_error(|words| {
                // SAFETY: The stack gives a place for the words, or null.
                unsafe { say(extack, words) }
            })
            .to_errno(),
    }
}

pub(super) extern "C" fn get_per_queue<T: Operations>(
    dev: *mut bindings::net_device,
    queue: u32,
    coalesce: *mut bindings::ethtool_coalesce,
) -> c_int {
    match queue {
        0 => get::<T>(
            dev,
            coalesce,
            core::ptr::null_mut(),
            core::ptr::null_mut(), //
        ),
        _ => EINVAL.to_errno(),
    }
}

pub(super) extern "C" fn set_per_queue<T: Operations>(
    dev: *mut bindings::net_device,
    queue: u32,
    coalesce: *mut bindings::ethtool_coalesce,
) -> c_int {
    match queue {
        0 => set::<T>(
            dev,
            coalesce,
            core::ptr::null_mut(),
            core::ptr::null_mut(), //
        ),
        _ => EINVAL.to_errno(),
    }
}

/// Puts words where user space finds them with the error.
///
/// # Safety
///
/// `extack` is null or valid.
unsafe fn say(extack: *mut bindings::netlink_ext_ack, words: Arguments<'_>) {
    // Without memory there are no words, only the error's number.
    if let Ok(words) = CString::try_from_fmt(words) {
        // SAFETY: By the safety requirement; the words are a C string, which is copied.
        unsafe { bindings::nc2_nl_set_err_msg(extack, words.as_char_ptr()) };
    }
}
