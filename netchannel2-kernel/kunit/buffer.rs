// SPDX-License-Identifier: GPL-2.0

//! Memory that packets are copied into.

use kernel::prelude::*;

#[kunit_tests(netchannel2_buffer)]
mod tests {
    use super::*;
    use netchannel2_core::units::PacketLength;
    use netchannel2_kernel::net::{
        PagePool,
        ReceiveBuffer, //
    };

    const LENGTHS: [u32; 10] = [14, 60, 1514, 3072, 3073, 3648, 3712, 4096, 9014, 65_535];

    #[test]
    fn segments_hold_the_packet() -> Result {
        let mut pool = PagePool::new(32)?;

        for length in LENGTHS {
            let length = PacketLength::new(length).map_err(|_| EINVAL)?;
            let buffer = ReceiveBuffer::new(&mut pool, length).ok_or(ENOMEM)?;
            let segments = buffer.segments();
            let sum: u32 = segments.map(|it| u32::from(it.room().get())).sum();

            assert_eq!(sum, length.get());
            assert_eq!(buffer.segments().count(), buffer.pieces());
        }
        Ok(())
    }

    #[test]
    fn packets_have_the_length() -> Result {
        let mut pool = PagePool::new(32)?;

        for length in LENGTHS {
            let packet_length = PacketLength::new(length).map_err(|_| EINVAL)?;
            let buffer = ReceiveBuffer::new(&mut pool, packet_length).ok_or(ENOMEM)?;
            let skb = buffer.into_skb();

            assert_eq!(skb.length().get(), length);
        }
        Ok(())
    }

    #[test]
    fn a_compact_buffer_is_one_piece_or_pages() -> Result {
        let mut pool = PagePool::new(32)?;

        for length in LENGTHS {
            let packet_length = PacketLength::new(length).map_err(|_| EINVAL)?;
            let buffer = ReceiveBuffer::compact_for_test(&mut pool, packet_length).ok_or(ENOMEM)?;

            assert_eq!(buffer.missing(), length);
            // Nothing of it is written.
            assert!(buffer.complete().is_none());
        }
        Ok(())
    }
}
