// SPDX-License-Identifier: GPL-2.0

//! Lists of packets.

use super::Skb;
use crate::bindings;

/// A first-in, first-out list of packets, linked through the packets themselves.
///
/// # Invariants
///
/// `first` is null, or the first of a chain of owned sk_buffs through `next`, the last of which is
/// `last` and has a null `next`.
pub struct SkbList {
    first: *mut bindings::sk_buff,
    last: *mut bindings::sk_buff,
}

impl SkbList {
    /// Creates an empty list.
    pub fn new() -> Self {
        // INVARIANT: Empty.
        Self {
            first: core::ptr::null_mut(),
            last: core::ptr::null_mut(),
        }
    }

    /// Appends `skb`.
    #[inline]
    pub fn push(&mut self, skb: Skb) {
        let raw = skb.into_raw();

        // SAFETY: `raw` was owned by `skb`, `last` is owned by the list.
        unsafe {
            set_next(raw, core::ptr::null_mut());
            if self.first.is_null() {
                self.first = raw;
            } else {
                set_next(self.last, raw);
            }
        }
        // INVARIANT: `raw` is the new end of the chain.
        self.last = raw;
    }

    /// Takes the first packet.
    #[inline]
    pub fn pop(&mut self) -> Option<Skb> {
        let raw = self.first;

        if raw.is_null() {
            return None;
        }
        // SAFETY: By the type invariant `raw` is owned by the list, and from here by the caller.
        unsafe {
            self.first = (*raw).__bindgen_anon_1.__bindgen_anon_1.next;
            set_next(raw, core::ptr::null_mut());
            Skb::from_raw(raw)
        }
    }
}

/// Links an sk_buff to the next one of a list.
///
/// # Safety
///
/// The caller owns `raw`.
#[inline]
unsafe fn set_next(raw: *mut bindings::sk_buff, next: *mut bindings::sk_buff) {
    // SAFETY: By the safety requirement.
    unsafe { (*raw).__bindgen_anon_1.__bindgen_anon_1.next = next }
}

impl Default for SkbList {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SkbList {
    fn drop(&mut self) {
        while let Some(skb) = self.pop() {
            drop(skb);
        }
    }
}
