// SPDX-License-Identifier: GPL-2.0 OR MIT

//! SET_MODERATIONs that are not in the ring yet.

use crate::wire::{
    Purpose,
    SetModeration, //
};

/// At most one of each purpose: a newer one takes the older one's place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PendingModeration {
    wish: Option<SetModeration>,
    in_force: Option<SetModeration>,
}

impl PendingModeration {
    pub(super) const NONE: Self = Self {
        wish: None,
        in_force: None,
    };

    pub(super) fn put(&mut self, message: SetModeration) {
        match message.purpose {
            Purpose::Wish => self.wish = Some(message),
            Purpose::InForce => self.in_force = Some(message),
        }
    }

    /// Returns one that waits.
    #[inline]
    pub(super) fn first(&self) -> Option<SetModeration> {
        self.wish.or(self.in_force)
    }

    /// Removes what [`Self::first`] returns.
    pub(super) fn remove_first(&mut self) {
        if self.wish.take().is_none() {
            self.in_force = None;
        }
    }
}
