// SPDX-License-Identifier: GPL-2.0

//! The way of a packet: chosen by the core, with its bytes put where the peer finds them.

use super::{
    super::{
        lender::NotLent,
        Fault, //
    },
    SendSide, //
};
use crate::net::{
    Poll,
    Skb, //
};
use netchannel2_core::{
    error::Violation,
    queue::SendError,
    segment::{
        choose,
        Way,
        Ways, //
    },
    units::{
        InlineLength,
        PacketLength, //
    },
    wire::{
        PacketMeta,
        MAX_FRAGMENTS, //
    },
};

/// A packet that was not sent, and why.
pub(super) struct Unsent(pub(super) Skb, pub(super) Refusal);

/// Whether the packet is in memory that the peer reads.
enum Copied {
    Yes,
    /// There was no room for it; another way may have some.
    No,
}

/// Why a packet was not sent.
pub(super) enum Refusal {
    /// There is no room; it may be sent later.
    Wait,
    /// It cannot be sent.
    Drop,
    /// The peer broke the protocol.
    Fault(Fault),
}

impl<P: Poll> SendSide<P> {
    pub(super) fn send(&mut self, skb: Skb) -> Result<(), Unsent> {
        let Ok(length) = PacketLength::new(skb.length().get()) else {
            return Err(Unsent(skb, Refusal::Drop));
        };
        let Ok(meta) = skb.meta() else {
            return Err(Unsent(skb, Refusal::Drop));
        };

        let available = match self.staging.is_usable() {
            true => Ways::WITHOUT_POOL.union(Ways::STAGED),
            false => Ways::WITHOUT_POOL,
        };
        let copied = match choose(length, &self.thresholds, available) {
            Way::Inline => self.send_inline(&skb, length, meta),
            Way::Staged => self.send_staged(&skb, length, meta),
            _ => return self.send_granted(skb, length, meta),
        };

        match copied {
            Ok(Copied::Yes) => {
                skb.stamp_sent();
                skb.consume();
                Ok(())
            }
            Ok(Copied::No) => self.send_granted(skb, length, meta),
            Err(refusal) => Err(Unsent(skb, refusal)),
        }
    }

    fn send_staged(
        &mut self,
        skb: &Skb,
        length: PacketLength,
        meta: PacketMeta,
    ) -> Result<Copied, Refusal> {
        let (consumed, produced) = self.sender.progress()?;

        self.staging.reap(consumed, produced);
        let Some(slots) = self.staging.stage(skb, length) else {
            return Ok(Copied::No);
        };

        match self.sender.send_staged(meta, length, slots) {
            Ok(end) => {
                self.staging.commit(end);
                Ok(Copied::Yes)
            }
            Err(error) => {
                self.staging.cancel();
                Err(error.into())
            }
        }
    }

    fn send_inline(
        &mut self,
        skb: &Skb,
        length: PacketLength,
        meta: PacketMeta,
    ) -> Result<Copied, Refusal> {
        self.sender
            .send_inline_from(meta, length, |ring, at, length| {
                ring.write_packet(at, skb, length)
                    .map_err(|_| SendError::Unreadable)
            })?;
        Ok(Copied::Yes)
    }

    fn send_granted(
        &mut self,
        mut skb: Skb,
        length: PacketLength,
        meta: PacketMeta,
    ) -> Result<(), Unsent> {
        // Whatever shape the packet has.
        let room = self.sender.can_send(
            Way::Granted,
            length,
            InlineLength::ZERO,
            MAX_FRAGMENTS.into(),
        );

        if let Err(error) = room {
            return Err(Unsent(skb, error.into()));
        }
        // Lending takes it from its socket. The queue is stopped where there is no room for that.
        skb.stamp_sent();

        let lent = match self.lender.lend(&mut skb, length) {
            Ok(lent) => lent,
            Err(NotLent::NoRoom) => return Err(Unsent(skb, Refusal::Wait)),
            Err(NotLent::NoMemory) => return Err(Unsent(skb, Refusal::Drop)),
        };
        let fragments = self.lender.fragments();

        match self.sender.send_granted(meta, length, &[], fragments) {
            Ok(id) => {
                self.lender.enter(id, lent, skb);
                Ok(())
            }
            Err(error) => {
                self.lender.take_back(lent);
                Err(Unsent(skb, error.into()))
            }
        }
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self::Fault(violation.into())
    }
}

impl From<SendError> for Refusal {
    fn from(error: SendError) -> Self {
        match error {
            SendError::RingFull | SendError::NoCredit | SendError::NotReady => Self::Wait,
            SendError::TooBig | SendError::Unreadable | SendError::Malformed(_) => Self::Drop,
            SendError::Violation(violation) => Self::Fault(violation.into()),
        }
    }
}
