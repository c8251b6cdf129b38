// SPDX-License-Identifier: GPL-2.0

//! Pages that the peer keeps mapped, with this domain as its own peer.

use crate::as_domain;
use kernel::prelude::*;

#[kunit_tests(netchannel2_granted)]
mod tests {
    use super::*;
    use netchannel2_kernel::grant::{
        has_spare_references,
        Access,
        GrantedChunk,
        GrantedPages,
        MappedPages, //
    };

    #[test]
    fn a_page_is_freed_when_the_peer_lets_go() -> Result {
        as_domain(|own| {
            let chunk = GrantedChunk::new(own)?;
            let references = chunk.references().ok_or(EINVAL)?;
            let (first, rest) = references.split_at(1);
            let one = MappedPages::new(own, first, Access::Read)?;
            let others = MappedPages::new(own, rest, Access::Read)?;
            let mut held = GrantedPages::new();

            held.absorb(chunk.end());
            assert_eq!(held.len(), references.len());
            drop(others);
            assert_eq!(held.end(), 1);
            drop(one);
            assert_eq!(held.end(), 0);
            Ok(())
        })
    }

    #[test]
    fn looking_for_spare_references_takes_none() -> Result {
        as_domain(|_| {
            for _ in 0..1000 {
                assert!(has_spare_references(100));
            }
            // More than the largest table that Xen gives a guest by default.
            assert!(!has_spare_references(u16::MAX));
            assert!(has_spare_references(100));
            Ok(())
        })
    }

    #[test]
    fn a_chunk_that_nobody_mapped_goes_at_once() -> Result {
        as_domain(|own| {
            assert!(GrantedChunk::new(own)?.end().is_empty());
            Ok(())
        })
    }
}
