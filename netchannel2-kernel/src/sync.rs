// SPDX-License-Identifier: GPL-2.0

//! Locks that exclude softirqs.
//!
//! C header: [`include/linux/spinlock.h`](srctree/include/linux/spinlock.h)

use crate::bindings;
use kernel::{
    ffi::c_char,
    sync::lock::{
        Backend,
        Guard,
        Lock, //
    }, //
};

/// A spin lock whose holder runs with bottom halves off.
///
/// For data that NAPI, transmit and process context share; not for interrupt handlers. Where
/// bottom halves are off already, as in NAPI and in transmit, taking it costs no more than a
/// `spin_lock()`.
pub type SpinLockBh<T> = Lock<T, SpinLockBhBackend>;

/// A [`Guard`] of a [`SpinLockBh`].
pub type SpinLockBhGuard<'a, T> = Guard<'a, T, SpinLockBhBackend>;

/// A kernel `spinlock_t` taken with `spin_lock_bh()`.
pub struct SpinLockBhBackend;

/// What the holder of a [`SpinLockBh`] gives back with it.
pub enum BottomHalves {
    /// They were off before, and stay so.
    Untouched,
    /// They were turned off with the lock.
    Disabled,
}

/// Creates a [`SpinLockBh`] initialiser with a lock class of its own.
#[macro_export]
macro_rules! new_spinlock_bh {
    ($inner:expr, $name:literal $(,)?) => {
        $crate::sync::SpinLockBh::new(
            $inner,
            ::kernel::optional_name!($name),
            ::kernel::static_lock_class!(),
        )
    };
}
pub use new_spinlock_bh;

// SAFETY: The underlying kernel `spinlock_t` object ensures mutual exclusion. `relock` uses the
// default implementation that always calls the same locking method.
unsafe impl Backend for SpinLockBhBackend {
    type State = bindings::spinlock_t;
    type GuardState = BottomHalves;

    #[inline]
    unsafe fn init(ptr: *mut Self::State, name: *const c_char, key: *mut bindings::lock_class_key) {
        // SAFETY: The safety requirements ensure that `ptr` is valid for writes, and `name` and
        // `key` are valid for read indefinitely.
        unsafe { kernel::bindings::__spin_lock_init(ptr, name, key) }
    }

    #[inline]
    unsafe fn lock(ptr: *mut Self::State) -> BottomHalves {
        // SAFETY: The function has no preconditions.
        if unsafe { bindings::nc2_in_softirq() } {
            // SAFETY: The safety requirements of this function ensure that `ptr` points to valid
            // memory, and that it has been initialised before.
            unsafe { bindings::nc2_spin_lock(ptr) };
            BottomHalves::Untouched
        } else {
            // SAFETY: As above.
            unsafe { bindings::nc2_spin_lock_bh(ptr) };
            BottomHalves::Disabled
        }
    }

    #[inline]
    unsafe fn unlock(ptr: *mut Self::State, guard_state: &BottomHalves) {
        // SAFETY: The safety requirements of this function ensure that `ptr` is valid and that the
        // caller is the owner of the lock; it is given back as it was taken.
        unsafe {
            match guard_state {
                BottomHalves::Untouched => bindings::nc2_spin_unlock(ptr),
                BottomHalves::Disabled => bindings::nc2_spin_unlock_bh(ptr),
            }
        }
    }

    #[inline]
    unsafe fn try_lock(ptr: *mut Self::State) -> Option<BottomHalves> {
        // SAFETY: The safety requirements of this function ensure that `ptr` is valid and
        // initialised.
        let taken = unsafe { bindings::nc2_spin_trylock_bh(ptr) };

        (taken != 0).then_some(BottomHalves::Disabled)
    }

    #[inline]
    unsafe fn assert_is_held(ptr: *mut Self::State) {
        if cfg!(CONFIG_LOCKDEP) {
            // SAFETY: The safety requirements of this function ensure that `ptr` is valid and
            // initialised.
            unsafe { kernel::bindings::spin_assert_is_held(ptr) }
        }
    }
}
