// SPDX-License-Identifier: GPL-2.0

//! A packet whose copy does not end, for tests: no peer can bring that about at will.

use super::{
    super::lender::Lender,
    Quarantine, //
};
use crate::{
    grant::GrantVersion,
    net::Skb, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::Mutex, //
};
use netchannel2_core::{
    knobs::Switch,
    units::{
        DomId,
        PacketId,
        PacketLength, //
    },
};

/// A packet that is lent to a peer, and what becomes of it when the connection ends.
pub struct LentPacket {
    lender: Lender,
    id: PacketId,
}

impl LentPacket {
    /// Lends a packet to `peer`; `None` if that is not done by ranges.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENOSPC` if the grant table is short of references.
    pub fn new(peer: DomId, mut skb: Skb, length: PacketLength) -> Result<Option<Self>> {
        let mut lender = Lender::new(peer, Switch::On)?;

        if lender.version() != GrantVersion::Range {
            return Ok(None);
        }
        let id = PacketId::new(0).ok_or(EINVAL)?;
        let lent = lender.lend(&mut skb, length).map_err(|_| ENOSPC)?;

        lender.enter(id, lent, skb);
        Ok(Some(Self { lender, id }))
    }

    /// Returns how many grants the peer has.
    pub fn grants(&self) -> u32 {
        self.lender.held()
    }

    /// Takes note that the peer is done with the packet.
    ///
    /// # Errors
    ///
    /// `EBUSY` if Xen copies it.
    pub fn finish(&mut self) -> Result {
        self.lender.finish(self.id).map_err(|_| EBUSY)
    }

    /// Has Xen seem to copy the packet without end.
    ///
    /// # Errors
    ///
    /// None that a packet of [`Self::new`] has.
    pub fn pretend_copying(&mut self) -> Result {
        self.lender.pretend_copying(true)
    }

    /// Ends the connection, and returns how many grants the peer still uses.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn end(self) -> Result<(u32, KeptPackets)> {
        let quarantine = KBox::pin_init(
            new_mutex!(Quarantine::new(), "LentPacket::quarantine"),
            GFP_KERNEL,
        )?;
        let kept = self.lender.end(&quarantine);

        Ok((kept, KeptPackets(quarantine)))
    }
}

/// What a peer uses longer than it may.
pub struct KeptPackets(Pin<KBox<Mutex<Quarantine>>>);

impl KeptPackets {
    /// Looks whether the peer has let go, and returns how many grants it uses and has used ever.
    pub fn look(&self) -> (u64, u64) {
        let mut quarantine = self.0.lock();

        quarantine.look();
        quarantine.counts()
    }

    /// Ends the copy that [`LentPacket::pretend_copying`] began.
    ///
    /// # Errors
    ///
    /// None that packets of [`LentPacket`] have.
    pub fn end_copying(&self) -> Result {
        let mut quarantine = self.0.lock();

        quarantine
            .ranges
            .iter_mut()
            .filter_map(|kept| kept.0.as_mut())
            .try_for_each(|lender| lender.pretend_copying(false))
    }
}
