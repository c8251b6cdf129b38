// SPDX-License-Identifier: GPL-2.0

//! Memory of this side that the peer uses longer than it may.
//!
//! It is looked at again until the peer lets go. What bounds it is that a connection which leaves
//! some behind counts as a breach of the protocol, see [`super::Breaches`]. What is left when the
//! device goes is the kernel's to free later, or lost where it was lent as ranges.

#[cfg(CONFIG_KUNIT = "y")]
pub(super) mod for_test;

use super::lender::Lender;
use crate::grant::GrantedPages;
use kernel::prelude::*;

/// Pages and packets that could not be freed.
pub(super) struct Quarantine {
    pages: GrantedPages,
    ranges: KVec<KeptRanges>,
    /// Pages that ever came.
    total: u64,
}

/// Packets that were lent as ranges, and of which some are still read.
struct KeptRanges(Option<Lender>);

impl Quarantine {
    pub(super) const fn new() -> Self {
        Self {
            pages: GrantedPages::new(),
            ranges: KVec::new(),
            total: 0,
        }
    }

    /// Keeps pages whose grants have not ended.
    pub(super) fn keep(&mut self, pages: GrantedPages) {
        self.total = self.total.wrapping_add(pages.len() as u64);
        self.pages.absorb(pages);
    }

    /// Keeps packets of which some are still read.
    pub(super) fn keep_ranges(&mut self, lender: Lender) {
        self.total = self.total.wrapping_add(lender.held().into());
        // Where there is no memory to note them, they are lost.
        let _ = self.ranges.push(KeptRanges(Some(lender)), GFP_KERNEL);
    }

    /// Frees what the peer has let go of meanwhile.
    pub(super) fn look(&mut self) {
        if !self.pages.is_empty() {
            self.pages.end();
        }
        self.ranges
            .retain(|kept| kept.0.as_mut().is_some_and(|lender| lender.recall() > 0));
    }

    /// Returns how many pages there are, and how many there were ever.
    pub(super) fn counts(&self) -> (u64, u64) {
        let ranges = self.ranges.iter().filter_map(|kept| kept.0.as_ref());
        let lent = ranges.map(|lender| u64::from(lender.held())).sum::<u64>();

        (self.pages.len() as u64 + lent, self.total)
    }
}

impl Drop for KeptRanges {
    fn drop(&mut self) {
        if let Some(mut lender) = self.0.take() {
            if lender.recall() > 0 {
                lender.forget();
            }
        }
    }
}
