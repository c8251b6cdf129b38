// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Packets, by the way that each takes.

use super::{
    SendError,
    Sender, //
};
use crate::{
    grant::Fragment,
    pool::PoolSlot,
    queue::inline::InlineWriter,
    ring::SharedRing,
    units::{
        Bytes,
        PacketId,
        PacketLength,
        RingIndex,
        RingOffset, //
    },
    wire::{
        PacketMeta,
        PacketView,
        Way, //
    },
};

impl<R: SharedRing> Sender<R> {
    /// Sends a packet in its message; it needs no credit, and no FINISH comes for it.
    ///
    /// `fill` writes the bytes; what it leaves out is zero.
    ///
    /// # Errors
    ///
    /// Returns the [`SendError`] that kept the packet from being sent.
    pub fn send_inline(
        &mut self,
        meta: PacketMeta,
        length: PacketLength,
        fill: impl FnOnce(&mut InlineWriter<'_, R>),
    ) -> Result<(), SendError> {
        self.send_inline_by(meta, length, |writer| {
            fill(writer);
            Ok(())
        })
    }

    /// Does as [`Self::send_inline`] for bytes that need not go through memory of this side's own.
    ///
    /// `copy` puts all of them into the ring: it gets where they go there and how many they are.
    ///
    /// # Errors
    ///
    /// Returns the [`SendError`] that kept the packet from being sent, which may be that of `copy`.
    #[inline]
    pub fn send_inline_from(
        &mut self,
        meta: PacketMeta,
        length: PacketLength,
        copy: impl FnOnce(&R, RingOffset, Bytes) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        self.send_inline_by(meta, length, |writer| writer.fill(copy))
    }

    #[inline]
    fn send_inline_by(
        &mut self,
        meta: PacketMeta,
        length: PacketLength,
        fill: impl FnOnce(&mut InlineWriter<'_, R>) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let meta = meta.reduced_to(self.negotiated);
        let packet = PacketView::inline(length, meta).ok_or(SendError::TooBig)?;
        self.check_credit(Way::Inline, length)?;
        self.send_packet(&packet, fill)?;
        self.counters.packet(Way::Inline, length);
        Ok(())
    }

    /// Sends a packet whose first bytes are `prefix` and whose others the peer copies.
    ///
    /// The pages stay granted until [`Self::on_finish`] is called for the id.
    ///
    /// # Errors
    ///
    /// Returns the [`SendError`] that kept the packet from being sent.
    pub fn send_granted(
        &mut self,
        meta: PacketMeta,
        length: PacketLength,
        prefix: &[u8],
        fragments: &[Fragment],
    ) -> Result<PacketId, SendError> {
        let id = self.outstanding.peek().ok_or(SendError::NoCredit)?;
        let meta = meta.reduced_to(self.negotiated);
        let packet =
            PacketView::granted(id, length, prefix, fragments, meta).ok_or(SendError::TooBig)?;
        self.check_credit(Way::Granted, length)?;
        self.send_packet(&packet, |writer| {
            // As long as was said.
            let _ = writer.write(prefix);
            Ok(())
        })?;
        // INVARIANT: The packet is produced, and both know of it.
        let id = self.outstanding.allocate(length).unwrap_or(id);
        if let Some(credit) = &mut self.credit {
            // Checked above.
            let _ = credit.take(length);
        }
        self.counters.packet(Way::Granted, length);
        Ok(id)
    }

    /// Sends a packet whose bytes lie in slots of this side's pool.
    ///
    /// It needs no credit, and no FINISH comes for it: the slots are this side's again when the
    /// peer has consumed the ring up to the index that is returned, see [`Self::progress`].
    ///
    /// # Errors
    ///
    /// Returns the [`SendError`] that kept the packet from being sent.
    pub fn send_staged(
        &mut self,
        meta: PacketMeta,
        length: PacketLength,
        slots: &[Fragment<PoolSlot>],
    ) -> Result<RingIndex, SendError> {
        let meta = meta.reduced_to(self.negotiated);
        let packet = PacketView::staged(length, slots, meta);
        self.check_credit(Way::Staged, length)?;
        self.send_packet(&packet, |_| Ok(()))?;
        self.counters.packet(Way::Staged, length);
        Ok(self.producer.produced())
    }

    pub(super) fn check_credit(&mut self, way: Way, length: PacketLength) -> Result<(), SendError> {
        let credit = self.credit.as_ref().ok_or(SendError::NotReady)?;
        if way == Way::Granted && credit.check(length).is_err() {
            self.counters.found_no_credit();
            return Err(SendError::NoCredit);
        }
        Ok(())
    }

    fn send_packet(
        &mut self,
        packet: &PacketView<'_>,
        fill: impl FnOnce(&mut InlineWriter<'_, R>) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        packet
            .check(self.negotiated)
            .map_err(SendError::Malformed)?;
        let size = packet.size().ok_or(SendError::TooBig)?;
        let length = packet.emit(&mut self.head).map_err(|_| SendError::TooBig)?;
        let slot = self.producer.begin(size, self.reserve)?;
        let head = self.head.get(..length).unwrap_or_default();
        let mut writer = InlineWriter::new(slot, head).with_room_for(packet.inline_length());
        // An error leaves no trace in the ring.
        fill(&mut writer)?;
        writer.commit();
        Ok(())
    }
}
