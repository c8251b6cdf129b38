// SPDX-License-Identifier: GPL-2.0

//! Granting, copying, mapping and revoking, with this domain as its own peer.

use crate::as_domain;
use kernel::prelude::*;

#[kunit_tests(netchannel2_grant)]
mod tests {
    use super::*;
    use netchannel2_core::{
        grant::{
            slots::SlotPool,
            Fragment,
            GrantRef, //
        },
        knobs::Switch,
        units::{
            Bytes,
            DomId,
            FragmentLength,
            InlineLength,
            PacketLength,
            PageOffset, //
        },
    };
    use netchannel2_kernel::{
        grant::{
            Access,
            CopyBatch,
            CopyStatus,
            GrantRun,
            GrantVersion,
            MappedPages, //
        },
        net::{
            PagePool,
            ReceiveBuffer,
            Skb, //
        },
    };

    fn pattern(length: usize) -> Result<KVec<u8>> {
        let mut bytes = KVec::with_capacity(length, GFP_KERNEL)?;

        for at in 0..length {
            bytes.push((at * 7 + at / 251) as u8, GFP_KERNEL)?;
        }
        Ok(bytes)
    }

    fn lend(run: &mut GrantRun, slots: &mut SlotPool<4>, bytes: &[u8]) -> Result<Fragment> {
        let skb = Skb::for_test(bytes).ok_or(ENOMEM)?;
        let chain = slots.take_chain(1).ok_or(ENOSPC)?;
        let slot = slots.iter(&chain).next().ok_or(ENOSPC)?;
        let length = u16::try_from(bytes.len())?;

        run.lend_copy(
            slot,
            &skb,
            Bytes::ZERO,
            FragmentLength::new(length).ok_or(EINVAL)?,
            GFP_KERNEL,
        )
    }

    fn copy(peer: DomId, fragments: &[Fragment], length: usize) -> Result<(CopyStatus, KVec<u8>)> {
        let mut pool = PagePool::new(32)?;
        let length = PacketLength::new(u32::try_from(length)?).map_err(|_| EINVAL)?;
        let buffer = ReceiveBuffer::new(&mut pool, length).ok_or(ENOMEM)?;
        let mut batch = CopyBatch::new(peer, 4, 64)?;
        let mut result = Err(EIO);

        batch.add(buffer, fragments, ()).map_err(|_| ENOSPC)?;
        batch.execute(|buffer, (), status| {
            result = buffer
                .map(ReceiveBuffer::into_skb)
                .ok_or(ENOMEM)
                .and_then(|skb| {
                    let mut bytes = KVec::from_elem(0, length.get() as usize, GFP_KERNEL)?;

                    skb.copy_bits(Bytes::ZERO, &mut bytes)?;
                    Ok((status, bytes))
                });
        });
        result
    }

    #[test]
    fn a_copy_brings_the_bytes() -> Result {
        as_domain(|own| {
            let (mut run, mut slots) = (GrantRun::new(own, 4, Switch::On)?, SlotPool::new());
            let bytes = pattern(4096)?;
            let fragments = [
                lend(&mut run, &mut slots, &bytes)?,
                lend(&mut run, &mut slots, &bytes)?,
            ];
            let (status, copied) = copy(own, &fragments, 8192)?;

            assert_eq!(status, CopyStatus::Complete);
            assert!(copied.get(..4096) == Some(bytes.as_slice()));
            assert!(copied.get(4096..) == Some(bytes.as_slice()));
            Ok(())
        })
    }

    #[test]
    fn a_page_holds_nothing_but_the_packet() -> Result {
        as_domain(|own| {
            let (mut run, mut slots) = (GrantRun::new(own, 1, Switch::Off)?, SlotPool::<4>::new());
            let chain = slots.take_chain(1).ok_or(ENOSPC)?;
            let slot = slots.iter(&chain).next().ok_or(ENOSPC)?;
            let length = |length| FragmentLength::new(length).ok_or(EINVAL);
            let secret = Skb::for_test(&[0xee; 4096]).ok_or(ENOMEM)?;
            let packet = Skb::for_test(&[0x11; 100]).ok_or(ENOMEM)?;

            run.lend_copy(slot, &secret, Bytes::ZERO, length(4096)?, GFP_KERNEL)?;
            assert!(run.revoke(core::iter::once(slot)).is_ok());
            let lent = run.lend_copy(slot, &packet, Bytes::ZERO, length(100)?, GFP_KERNEL)?;
            let all = Fragment::new(lent.reference(), PageOffset::ZERO, length(4096)?);
            let (status, copied) = copy(own, &[all.ok_or(EINVAL)?], 4096)?;

            assert_eq!(status, CopyStatus::Complete);
            assert!(copied.iter().take(100).all(|&byte| byte == 0x11));
            assert!(copied.iter().skip(100).all(|&byte| byte == 0));
            Ok(())
        })
    }

    #[test]
    fn a_copy_without_a_grant_is_refused() -> Result {
        as_domain(|own| {
            let (mut run, mut slots) = (GrantRun::new(own, 1, Switch::On)?, SlotPool::new());
            let lent = lend(&mut run, &mut slots, &pattern(512)?)?;

            drop(run);
            let (status, _) = copy(own, &[lent], 512)?;

            assert!(matches!(status, CopyStatus::Refused(_)));
            Ok(())
        })
    }

    #[test]
    fn a_prefix_comes_before_the_copy() -> Result {
        as_domain(|own| {
            let (mut run, mut slots) = (GrantRun::new(own, 1, Switch::On)?, SlotPool::new());
            let lent = lend(&mut run, &mut slots, &[0x22; 4000])?;
            let mut pool = PagePool::new(32)?;
            let length = PacketLength::new(6000).map_err(|_| EINVAL)?;
            let mut buffer = ReceiveBuffer::new(&mut pool, length).ok_or(ENOMEM)?;
            let mut batch = CopyBatch::new(own, 4, 64)?;
            let mut bytes = KVec::from_elem(0, 6000, GFP_KERNEL)?;

            buffer.fill_prefix(InlineLength::new(2000).ok_or(EINVAL)?, |prefix| {
                prefix.fill(0x11);
            })?;
            batch.add(buffer, &[lent], ()).map_err(|_| ENOSPC)?;
            batch.execute(|buffer, (), status| {
                assert_eq!(status, CopyStatus::Complete);
                if let Some(skb) = buffer.map(ReceiveBuffer::into_skb) {
                    let _ = skb.copy_bits(Bytes::ZERO, &mut bytes);
                }
            });
            assert!(bytes.iter().take(2000).all(|&byte| byte == 0x11));
            assert!(bytes.iter().skip(2000).all(|&byte| byte == 0x22));
            Ok(())
        })
    }

    #[test]
    fn a_buffer_is_filled_or_refused() -> Result {
        as_domain(|own| {
            let (mut run, mut slots) = (GrantRun::new(own, 1, Switch::On)?, SlotPool::new());
            let lent = lend(&mut run, &mut slots, &[0x22; 4000])?;

            assert!(copy(own, &[lent], 4001).is_err());
            assert!(copy(own, &[lent], 3999).is_err());
            Ok(())
        })
    }

    #[test]
    fn a_lent_page_is_not_lent_again() -> Result {
        as_domain(|own| {
            let (mut run, mut slots) = (GrantRun::new(own, 1, Switch::On)?, SlotPool::<4>::new());
            let chain = slots.take_chain(1).ok_or(ENOSPC)?;
            let slot = slots.iter(&chain).next().ok_or(ENOSPC)?;
            let skb = Skb::for_test(&[1; 64]).ok_or(ENOMEM)?;
            let length = FragmentLength::new(64).ok_or(EINVAL)?;

            assert!(run
                .lend_copy(slot, &skb, Bytes::ZERO, length, GFP_KERNEL)
                .is_ok());
            assert!(run
                .lend_copy(slot, &skb, Bytes::ZERO, length, GFP_KERNEL)
                .is_err());
            assert_eq!(run.lent(), 1);
            assert!(run.revoke(core::iter::once(slot)).is_ok());
            assert_eq!(run.lent(), 0);
            Ok(())
        })
    }

    #[test]
    fn a_mapped_page_cannot_be_revoked() -> Result {
        as_domain(|own| {
            let (mut run, mut slots) = (GrantRun::new(own, 1, Switch::Off)?, SlotPool::<4>::new());
            let chain = slots.take_chain(1).ok_or(ENOSPC)?;
            let slot = slots.iter(&chain).next().ok_or(ENOSPC)?;
            let bytes = pattern(300)?;
            let skb = Skb::for_test(&bytes).ok_or(ENOMEM)?;
            let length = FragmentLength::new(300).ok_or(EINVAL)?;
            let lent = run.lend_copy(slot, &skb, Bytes::ZERO, length, GFP_KERNEL)?;
            let mapped = MappedPages::new(own, &[lent.reference()], Access::Read)?;
            let mut seen = [0; 300];

            let range = |offset| mapped.bytes(0, PageOffset::new(offset)?, length);

            range(0).ok_or(EINVAL)?.read(&mut seen)?;
            assert!(seen.as_slice() == bytes.as_slice());
            assert!(range(4000).is_none());
            assert!(run.revoke(core::iter::once(slot)).is_err());
            drop(mapped);
            assert!(run.revoke(core::iter::once(slot)).is_ok());
            Ok(())
        })
    }

    #[test]
    fn mapped_pages_survive_their_run() -> Result {
        as_domain(|own| {
            let (mut run, mut slots) = (GrantRun::new(own, 4, Switch::Off)?, SlotPool::new());
            let mapped = [
                lend(&mut run, &mut slots, &[1; 64])?.reference(),
                lend(&mut run, &mut slots, &[2; 64])?.reference(),
            ];

            lend(&mut run, &mut slots, &[3; 64])?;
            let mapped = MappedPages::new(own, &mapped, Access::Read)?;
            let (count, mut held) = run.end();

            assert_eq!((count, held.len()), (2, 2));
            assert_eq!(held.end(), 2);
            drop(mapped);
            assert_eq!(held.end(), 0);
            Ok(())
        })
    }

    #[test]
    fn mapping_without_a_grant_is_refused() -> Result {
        as_domain(|own| {
            let (mut run, mut slots) = (GrantRun::new(own, 1, Switch::Off)?, SlotPool::new());
            let lent = lend(&mut run, &mut slots, &[5; 64])?;
            let missing = GrantRef::new(lent.reference().get() + 1).ok_or(EINVAL)?;

            assert!(MappedPages::new(own, &[lent.reference(), missing], Access::Read).is_err());
            Ok(())
        })
    }

    #[test]
    fn a_range_is_all_that_can_be_copied() -> Result {
        as_domain(|own| {
            let (mut run, mut slots) = (GrantRun::new(own, 2, Switch::On)?, SlotPool::<4>::new());

            if run.version() != GrantVersion::Range {
                netchannel2_kernel::skip_test(c"the grant table has version 1");
                return Ok(());
            }
            let bytes = pattern(900)?;
            let skb = Skb::for_test(&bytes).ok_or(ENOMEM)?;
            let chain = slots.take_chain(2).ok_or(ENOSPC)?;
            let mut fragments = KVec::new();

            for (slot, piece) in slots.iter(&chain).zip(skb.pieces()) {
                fragments.push(run.lend_piece(slot, &piece)?, GFP_KERNEL)?;
            }
            let (status, copied) = copy(own, &fragments, 900)?;

            assert_eq!(status, CopyStatus::Complete);
            assert!(copied.as_slice() == bytes.as_slice());

            let first = fragments.first().ok_or(EINVAL)?;
            let (offset, length) = (first.offset().get(), first.length().get());
            let around = [
                (offset.wrapping_sub(1), length),
                (offset, length + 1),
                (0, 4096),
            ];

            for (offset, length) in around {
                let Some((offset, length)) =
                    PageOffset::new(offset).zip(FragmentLength::new(length))
                else {
                    continue;
                };
                let Some(beyond) = Fragment::new(first.reference(), offset, length) else {
                    continue;
                };
                let (status, _) = copy(own, &[beyond], length.get().into())?;

                assert!(matches!(status, CopyStatus::Refused(_)));
            }
            assert!(run.revoke(slots.iter(&chain)).is_ok());
            assert!(matches!(
                copy(own, &fragments, 900)?.0,
                CopyStatus::Refused(_)
            ));
            Ok(())
        })
    }

    #[test]
    fn a_range_cannot_be_mapped() -> Result {
        as_domain(|own| {
            let (mut run, mut slots) = (GrantRun::new(own, 1, Switch::On)?, SlotPool::new());

            if run.version() != GrantVersion::Range {
                netchannel2_kernel::skip_test(c"the grant table has version 1");
                return Ok(());
            }
            let lent = lend(&mut run, &mut slots, &[5; 64])?;

            assert!(MappedPages::new(own, &[lent.reference()], Access::Read).is_err());
            Ok(())
        })
    }
}
