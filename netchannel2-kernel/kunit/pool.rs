// SPDX-License-Identifier: GPL-2.0

//! Pools: chunks that are granted and mapped once, and packets that are copied out of them, with this
//! domain as its own peer.

use crate::as_domain;
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
};

#[kunit_tests(netchannel2_pool)]
mod tests {
    use super::*;
    use netchannel2_core::{
        grant::GrantRef,
        pool::CHUNK_PAGES,
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
            GrantedChunk,
            MappedPages, //
        },
        net::{
            PagePool,
            Reader,
            ReceiveBuffer,
            Skb, //
        },
    };

    const PAGE: usize = 4096;
    const PAGES: usize = CHUNK_PAGES as usize;

    /// How often, every 250 ms, it is looked whether the kernel has freed what it could not free at
    /// once: it frees ten pages a second.
    const LOOKS: u32 = 60;

    fn octet(at: usize) -> u8 {
        (at * 7 + at / 251) as u8
    }

    fn whole() -> FragmentLength {
        FragmentLength::PAGE
    }

    /// A chunk full of a pattern that goes on from page to page.
    fn filled(peer: DomId) -> Result<GrantedChunk> {
        let mut chunk = GrantedChunk::new(peer)?;
        let mut bytes = KVec::with_capacity(PAGES * PAGE, GFP_KERNEL)?;

        for at in 0..PAGES * PAGE {
            bytes.push(octet(at), GFP_KERNEL)?;
        }
        for (page, part) in bytes.chunks(PAGE).enumerate() {
            let skb = Skb::for_test(part).ok_or(ENOMEM)?;

            chunk.fill(page, &mut Reader::new(&skb), whole())?;
        }
        Ok(chunk)
    }

    fn holds_pattern(mapped: &MappedPages, page: usize, start: usize) -> Result<bool> {
        let mut seen = KVec::from_elem(0, PAGE, GFP_KERNEL)?;
        let bytes = mapped.bytes(page, PageOffset::ZERO, whole());

        bytes.ok_or(EINVAL)?.read(&mut seen)?;
        Ok(seen
            .iter()
            .zip(start..)
            .all(|(&byte, at)| byte == octet(at)))
    }

    #[test]
    fn a_chunk_is_read_where_it_is_mapped() -> Result {
        as_domain(|own| {
            let chunk = filled(own)?;
            let references = chunk.references().ok_or(EINVAL)?;
            let mapped = MappedPages::new(own, &references, Access::Read)?;

            for page in 0..PAGES {
                assert!(holds_pattern(&mapped, page, page * PAGE)?);
            }
            assert!(mapped.bytes(PAGES, PageOffset::ZERO, whole()).is_none());
            drop(mapped);
            // All of it was unmapped.
            assert_eq!(chunk.end().len(), 0);
            Ok(())
        })
    }

    #[test]
    fn a_new_chunk_shows_nothing_and_a_page_no_more_than_its_packets() -> Result {
        as_domain(|own| {
            let mut chunk = GrantedChunk::new(own)?;
            let references = chunk.references().ok_or(EINVAL)?;
            let mapped = MappedPages::new(own, &references, Access::Read)?;
            let packet = Skb::for_test(&[0x11; 100]).ok_or(ENOMEM)?;
            let length = FragmentLength::new(60).ok_or(EINVAL)?;
            let mut seen = KVec::from_elem(0, PAGE, GFP_KERNEL)?;

            let mut reader = Reader::new(&packet);

            chunk.fill(31, &mut reader, length)?;
            for page in 0..PAGES {
                let bytes = mapped.bytes(page, PageOffset::ZERO, whole());

                bytes.ok_or(EINVAL)?.read(&mut seen)?;
                let written = if page == 31 { 60 } else { 0 };

                assert!(seen.iter().take(written).all(|&byte| byte == 0x11));
                assert!(seen.iter().skip(written).all(|&byte| byte == 0));
            }
            // Not beyond the chunk, and not more than the packet has.
            assert!(chunk.fill(32, &mut reader, length).is_err());
            assert!(chunk.fill(0, &mut reader, length).is_err());
            assert!(chunk.fill_whole(32, &packet, length).is_err());
            assert!(chunk.fill_whole(0, &packet, whole()).is_err());

            // From the packet's start, whatever was read of it before.
            chunk.fill_whole(30, &Skb::for_test(&[0x22; 60]).ok_or(ENOMEM)?, length)?;
            mapped
                .bytes(30, PageOffset::ZERO, whole())
                .ok_or(EINVAL)?
                .read(&mut seen)?;
            assert!(seen.iter().take(60).all(|&byte| byte == 0x22));
            assert!(seen.iter().skip(60).all(|&byte| byte == 0));
            Ok(())
        })
    }

    #[test]
    fn as_many_pages_are_unmapped_as_were_mapped() -> Result {
        as_domain(|own| {
            // Around the number that one hypercall unmaps.
            for count in [1, 15, 16, 17, 31, 32] {
                let chunk = GrantedChunk::new(own)?;
                let references = chunk.references().ok_or(EINVAL)?;
                let some = references.get(..count).ok_or(EINVAL)?;
                let first = MappedPages::new(own, some, Access::Read)?;
                let second = MappedPages::new(own, some, Access::Read)?;

                drop(first);
                drop(second);
                assert_eq!(chunk.end().len(), 0);
            }
            Ok(())
        })
    }

    #[test]
    fn a_mapped_page_is_freed_when_it_is_let_go_of() -> Result {
        as_domain(|own| {
            let chunk = filled(own)?;
            let references = chunk.references().ok_or(EINVAL)?;
            let (kept, last) = ([3, 30], PAGES - 1);
            let some = kept.map(|page| references.get(page).copied());
            let [Some(first), Some(second)] = some else {
                return Err(EINVAL);
            };
            let mapped = MappedPages::new(own, &[first, second], Access::Read)?;

            assert_eq!(chunk.end().len(), 2);
            // They are still what they were, and not of anybody else.
            for (place, page) in kept.into_iter().enumerate() {
                assert!(holds_pattern(&mapped, place, page * PAGE)?);
            }
            // The others are not granted any more.
            let other = references.get(last).copied().ok_or(EINVAL)?;

            assert!(MappedPages::new(own, &[other], Access::Read).is_err());
            drop(mapped);
            assert!(is_gone(own, first) && is_gone(own, second));
            Ok(())
        })
    }

    /// Whether nobody can map the reference any more, after a while.
    fn is_gone(own: DomId, reference: GrantRef) -> bool {
        for _ in 0..LOOKS {
            if MappedPages::new(own, &[reference], Access::Read).is_err() {
                return true;
            }
            fsleep(Delta::from_millis(250));
        }
        false
    }

    #[test]
    fn packets_are_put_together_across_pages() -> Result {
        as_domain(|own| {
            let chunk = filled(own)?;
            let references = chunk.references().ok_or(EINVAL)?;
            let mapped = MappedPages::new(own, &references, Access::Read)?;
            let mut pool = PagePool::new(64)?;

            for length in [14, 60, 1514, 3072, 3073, 3648, 3649, 4096, 9014, 65_535] {
                // Whole pages, as a sender stages them, and pieces of other sizes.
                for step in [4096, 4095, 1000, 37] {
                    let skb = copied(&mapped, &mut pool, length, step, 0)?;

                    assert!(is_pattern(&skb, length)?);
                }
                let prefix = length.min(2048) / 2;
                let skb = copied(&mapped, &mut pool, length, 700, prefix)?;

                assert!(is_pattern(&skb, length)?);
            }
            Ok(())
        })
    }

    #[test]
    fn a_packet_of_many_pieces_is_read_in_order() -> Result {
        as_domain(|own| {
            let chunk = filled(own)?;
            let references = chunk.references().ok_or(EINVAL)?;
            let mapped = MappedPages::new(own, &references, Access::Read)?;
            let mut pool = PagePool::new(64)?;

            for length in [100, 3649, 9014, 65_535] {
                let skb = copied(&mapped, &mut pool, length, 4096, 0)?;
                let mut into = GrantedChunk::new(own)?;
                let references = into.references().ok_or(EINVAL)?;
                let seen = MappedPages::new(own, &references, Access::Read)?;
                let lengths = || (0..length).step_by(PAGE).map(|at| PAGE.min(length - at));

                // Nothing here may sleep.
                let mut reader = Reader::new(&skb);

                for (page, part) in lengths().enumerate() {
                    into.fill(page, &mut reader, fragment(part)?)?;
                }
                // There is not one byte more.
                assert!(into.fill(0, &mut reader, fragment(1)?).is_err());
                drop(reader);

                let mut bytes = KVec::from_elem(0, PAGE, GFP_KERNEL)?;

                for (page, part) in lengths().enumerate() {
                    let bytes = bytes.get_mut(..part).ok_or(EINVAL)?;

                    seen.bytes(page, PageOffset::ZERO, fragment(part)?)
                        .ok_or(EINVAL)?
                        .read(bytes)?;
                    assert!(bytes
                        .iter()
                        .zip(page * PAGE..)
                        .all(|(&byte, at)| byte == octet(at)));
                }
            }
            Ok(())
        })
    }

    fn fragment(length: usize) -> Result<FragmentLength> {
        FragmentLength::new(u16::try_from(length)?).ok_or(EINVAL)
    }

    #[test]
    fn a_buffer_takes_what_it_lacks_and_no_more() -> Result {
        as_domain(|own| {
            let chunk = GrantedChunk::new(own)?;
            let references = chunk.references().ok_or(EINVAL)?;
            let mapped = MappedPages::new(own, &references, Access::Read)?;
            let mut pool = PagePool::new(32)?;
            let bytes = |length| {
                FragmentLength::new(length)
                    .and_then(|length| mapped.bytes(0, PageOffset::ZERO, length))
                    .ok_or(EINVAL)
            };

            for length in [100, 4000, 5000] {
                let length = PacketLength::new(length).map_err(|_| EINVAL)?;
                let new = |pool: &mut PagePool| {
                    ReceiveBuffer::compact_for_test(pool, length).ok_or(ENOMEM)
                };
                let mut buffer = new(&mut pool)?;
                let rest = u16::try_from(length.get() - 50)?.min(4096);

                buffer.append(bytes(50)?)?;
                assert_eq!(buffer.missing(), length.get() - 50);
                buffer.append(bytes(rest)?)?;
                assert_eq!(buffer.complete().is_some(), length.get() < 5000);

                let mut buffer = new(&mut pool)?;

                buffer.append(bytes(99)?)?;
                assert!(buffer.complete().is_none());

                let mut buffer = new(&mut pool)?;

                buffer.append(bytes(u16::try_from(length.get())?.min(4096))?)?;
                let beyond = buffer.append(bytes(4096)?);

                assert!(beyond.is_err());
            }
            Ok(())
        })
    }

    /// A packet of the pattern's first bytes: some given inline, the others in pieces of `step`.
    fn copied(
        mapped: &MappedPages,
        pool: &mut PagePool,
        length: usize,
        step: usize,
        prefix: usize,
    ) -> Result<Skb> {
        let packet_length = PacketLength::new(u32::try_from(length)?).map_err(|_| EINVAL)?;
        let mut buffer = ReceiveBuffer::compact_for_test(pool, packet_length).ok_or(ENOMEM)?;
        let inline = InlineLength::new(u16::try_from(prefix)?).ok_or(EINVAL)?;

        buffer.fill_prefix(inline, |bytes| {
            for (byte, at) in bytes.iter_mut().zip(0..) {
                *byte = octet(at);
            }
        })?;
        let mut at = prefix;

        while at < length {
            let (page, offset) = (at / PAGE, at % PAGE);
            let part = step.min(PAGE - offset).min(length - at);
            let offset = PageOffset::new(u16::try_from(offset)?).ok_or(EINVAL)?;
            let part_length = FragmentLength::new(u16::try_from(part)?).ok_or(EINVAL)?;
            let bytes = mapped.bytes(page, offset, part_length);

            buffer.append(bytes.ok_or(EINVAL)?)?;
            at += part;
        }
        buffer.complete().ok_or(EIO)
    }

    fn is_pattern(skb: &Skb, length: usize) -> Result<bool> {
        let mut bytes = KVec::from_elem(0, length, GFP_KERNEL)?;

        skb.copy_bits(Bytes::ZERO, &mut bytes)?;
        Ok(bytes.iter().zip(0..).all(|(&byte, at)| byte == octet(at)))
    }
}
