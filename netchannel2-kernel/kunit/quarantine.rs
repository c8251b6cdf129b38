// SPDX-License-Identifier: GPL-2.0

//! Packets that the peer reads longer than it may, with this domain as its own peer and grant table
//! version 2.

use crate::as_domain;
use kernel::prelude::*;

#[kunit_tests(netchannel2_quarantine)]
mod tests {
    use super::*;
    use netchannel2_core::units::{
        DomId,
        PacketLength, //
    };
    use netchannel2_kernel::{
        channel::LentPacket,
        net::Skb,
        skip_test, //
    };

    /// Runs `test` with a packet that is lent as ranges; skips it where that is not possible.
    fn with_packet(own: DomId, test: impl FnOnce(LentPacket) -> Result) -> Result {
        let skb = Skb::for_test(&[7; 900]).ok_or(ENOMEM)?;
        let length = PacketLength::new(900).map_err(|_| EINVAL)?;

        match LentPacket::new(own, skb, length)? {
            Some(packet) => test(packet),
            None => {
                skip_test(c"the grant table has version 1");
                Ok(())
            }
        }
    }

    #[test]
    fn a_packet_that_nobody_copies_comes_back() -> Result {
        as_domain(|own| {
            with_packet(own, |mut packet| {
                assert!(packet.grants() > 0);
                assert!(packet.finish().is_ok());
                assert_eq!(packet.grants(), 0);
                let (kept, quarantine) = packet.end()?;

                assert_eq!(kept, 0);
                assert_eq!(quarantine.look(), (0, 0));
                Ok(())
            })
        })
    }

    #[test]
    fn a_packet_that_is_copied_cannot_be_finished() -> Result {
        as_domain(|own| {
            with_packet(own, |mut packet| {
                let grants = packet.grants();

                packet.pretend_copying()?;
                assert!(packet.finish().is_err());
                assert_eq!(packet.grants(), grants);
                let (kept, quarantine) = packet.end()?;

                assert_eq!(kept, grants);
                quarantine.end_copying()
            })
        })
    }

    #[test]
    fn a_copy_without_end_is_in_quarantine_until_it_ends() -> Result {
        as_domain(|own| {
            with_packet(own, |mut packet| {
                let grants = u64::from(packet.grants());

                packet.pretend_copying()?;
                // It is waited for, and not for ever.
                let (kept, quarantine) = packet.end()?;

                assert_eq!(u64::from(kept), grants);
                for _ in 0..3 {
                    assert_eq!(quarantine.look(), (grants, grants));
                }
                quarantine.end_copying()?;
                assert_eq!(quarantine.look(), (0, grants));
                Ok(())
            })
        })
    }

    #[test]
    fn a_copy_without_end_does_not_keep_the_device() -> Result {
        as_domain(|own| {
            with_packet(own, |mut packet| {
                packet.pretend_copying()?;
                let (kept, quarantine) = packet.end()?;

                assert!(kept > 0);
                // The packet is lost, and neither freed nor written to.
                drop(quarantine);
                Ok(())
            })
        })
    }
}
