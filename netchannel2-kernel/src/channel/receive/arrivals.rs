// SPDX-License-Identifier: GPL-2.0

//! Packets that arrive: their bytes are taken from where their way has them.

use super::{
    super::Fault,
    ReceiveSide, //
};
use crate::{
    bindings,
    grant::CopyStatus,
    net::{
        NapiContext,
        NetDevice,
        Poll,
        ReceiveBuffer,
        Skb,
        SkbList, //
    },
};
use netchannel2_core::{
    ring::InlineBytes,
    units::{
        Bytes,
        PacketId, //
    },
    wire::{
        FinishStatus,
        Packet,
        PacketMeta, //
    },
};

const ETHERNET_HEADER: Bytes = Bytes::new(bindings::ETH_HLEN);

/// Whether the net device is up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Up {
    Yes,
    No,
}

/// A packet on its way to the stack.
pub(super) enum Arrival {
    /// It is here already.
    Complete(Skb, PacketMeta),
    /// Its bytes come with the next hypercall.
    Granted(PacketId, PacketMeta),
}

impl<P: Poll> ReceiveSide<P> {
    pub(super) fn take_inline(
        &mut self,
        napi: &NapiContext<'_>,
        mut inline: InlineBytes,
    ) -> Option<Skb> {
        let packet = self.receiver.packet();
        let mut buffer = ReceiveBuffer::compact(napi, &mut self.pool, packet.length)?;

        // As many bytes as the message has, which are all of the packet.
        buffer
            .fill_prefix(packet.inline_length, |bytes| {
                let _ = self.receiver.copy_inline(&mut inline, bytes);
            })
            .ok()?;
        buffer.complete()
    }

    pub(super) fn take_staged(
        &mut self,
        napi: &NapiContext<'_>,
        mut inline: InlineBytes,
    ) -> Option<Skb> {
        let packet = self.receiver.packet();
        let mut buffer = ReceiveBuffer::compact(napi, &mut self.pool, packet.length)?;

        // As many bytes as the message has; the core has checked that they are part of the packet.
        buffer
            .fill_prefix(packet.inline_length, |bytes| {
                let _ = self.receiver.copy_inline(&mut inline, bytes);
            })
            .ok()?;
        self.borrowing
            .copy(packet.staged.as_slice(), &mut buffer)
            .ok()?;
        buffer.complete()
    }

    /// Passes on a packet that is here already, or counts one that there was no memory for.
    pub(super) fn complete(&mut self, device: &NetDevice, skb: Option<Skb>, arrived: &mut SkbList) {
        let Some(skb) = skb else {
            device.count_receive_dropped();
            self.receiver.passed_on(FinishStatus::NoMemory);
            return;
        };
        let meta = &self.receiver.packet().meta;

        if self.batch.is_empty() {
            let status = pass_on(prepared(skb, meta, device), device, self.is_up, arrived);

            self.receiver.passed_on(status);
            return;
        }
        // Behind what waits for its copy, to keep the order.
        let meta = *meta;

        if let Err(arrival) = self.batch.add_ready(Arrival::Complete(skb, meta)) {
            self.copy(device, arrived);
            // There is room in an empty batch.
            let _ = self.batch.add_ready(arrival);
        }
    }

    pub(super) fn take_granted(
        &mut self,
        device: &NetDevice,
        id: PacketId,
        mut inline: InlineBytes,
        arrived: &mut SkbList,
    ) -> Result<(), Fault> {
        let packet = self.receiver.packet();
        let Packet {
            inline_length,
            meta,
            ..
        } = *packet;
        let Some(mut buffer) = ReceiveBuffer::new(&mut self.pool, packet.length) else {
            device.count_receive_dropped();
            return self.finish(id, FinishStatus::NoMemory);
        };

        // As many bytes as the message has; the core has checked that they are part of the packet.
        let prefix = buffer.fill_prefix(inline_length, |bytes| {
            let _ = self.receiver.copy_inline(&mut inline, bytes);
        });
        if prefix.is_err() {
            device.count_receive_dropped();
            return self.finish(id, FinishStatus::BadPacket);
        }
        if !self
            .batch
            .has_room(self.receiver.packet().fragments.as_slice(), &buffer)
        {
            self.copy(device, arrived);
        }

        let fragments = self.receiver.packet().fragments.as_slice();

        match self
            .batch
            .add(buffer, fragments, Arrival::Granted(id, meta))
        {
            Ok(()) => Ok(()),
            Err(_) => {
                device.count_receive_dropped();
                self.finish(id, FinishStatus::BadPacket)
            }
        }
    }

    /// Copies what waits and passes on all that has arrived.
    pub(super) fn copy(&mut self, device: &NetDevice, arrived: &mut SkbList) {
        let (receiver, finished, is_up) = (&mut self.receiver, &mut self.finished, self.is_up);
        let operations = self.batch.execute(|buffer, arrival, status| {
            let (id, skb, meta) = match arrival {
                Arrival::Complete(skb, meta) => (None, Ok(skb), meta),
                Arrival::Granted(id, meta) => (Some(id), built(buffer, status), meta),
            };
            let skb = skb.and_then(|skb| prepared(skb, &meta, device));
            let status = pass_on(skb, device, is_up, arrived);

            match id {
                Some(id) => {
                    // The id was entered when the packet came, and there is a place for each.
                    let _ = receiver.finished(id, status);
                    let _ = finished.push_within_capacity((id, status));
                }
                None => receiver.passed_on(status),
            }
        });

        if operations > 0 {
            self.counters.copy_hypercalls += 1;
            self.counters.copy_operations += u64::from(operations);
        }
    }

    fn finish(&mut self, id: PacketId, status: FinishStatus) -> Result<(), Fault> {
        self.receiver.finished(id, status)?;
        self.finished
            .push_within_capacity((id, status))
            .map_err(|_| Fault::Overcommitted(id))
    }
}

/// Makes an sk_buff of a buffer whose copies have been tried.
fn built(buffer: Option<ReceiveBuffer>, status: CopyStatus) -> Result<Skb, FinishStatus> {
    if status != CopyStatus::Complete {
        return Err(FinishStatus::CopyFailed);
    }
    buffer
        .map(ReceiveBuffer::into_skb)
        .ok_or(FinishStatus::NoMemory)
}

/// Hands a packet to those that go to the stack, or counts what became of it.
#[inline]
fn pass_on(
    skb: Result<Skb, FinishStatus>,
    device: &NetDevice,
    is_up: Up,
    arrived: &mut SkbList,
) -> FinishStatus {
    match (skb, is_up) {
        (Ok(skb), Up::Yes) => {
            // With the header, which the stack has looked at and stepped over.
            device.count_received(skb.length().saturating_add(ETHERNET_HEADER));
            arrived.push(skb);
            FinishStatus::Ok
        }
        // Nobody listens: dropped without a word, as by a card that is down.
        (Ok(_), Up::No) => FinishStatus::Ok,
        (Err(status), _) => {
            device.count_receive_dropped();
            status
        }
    }
}

/// Makes a packet ready for the stack.
#[inline]
fn prepared(mut skb: Skb, meta: &PacketMeta, device: &NetDevice) -> Result<Skb, FinishStatus> {
    skb.receive_on(device, meta)
        .map_err(|_| FinishStatus::BadPacket)?;
    Ok(skb)
}
