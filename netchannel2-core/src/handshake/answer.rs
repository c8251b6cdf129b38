// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the frontend picked, and where its queues are.

use super::{
    endpoint::QueueEndpoint,
    keys,
    store::{
        require,
        require_hex,
        Bounds, //
    },
    KeyName,
    Offer,
    Store, //
};
use crate::{
    error::{
        AccessError,
        HandshakeError, //
    },
    units::{
        QueueCount,
        QueueIndex,
        RingOrder,
        Version, //
    },
    wire::Features,
};

/// The most queues that this implementation runs for a device.
pub const MAX_QUEUES: QueueCount = QueueCount::ONE;

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The version of the protocol.
    pub version: Version,
    /// The features that both have.
    pub features: Features,
    /// How many queues there are.
    pub queues: QueueCount,
    /// How large each ring is.
    pub order: RingOrder,
}

/// The frontend's answer to an [`Offer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the frontend picked.
    pub negotiated: Negotiated,
    /// Where its queues are; there are [`MAX_QUEUES`] of them.
    pub queues: [QueueEndpoint; MAX_QUEUES.get() as usize],
}

impl Answer {
    const KEYS: [KeyName; 4] = [
        keys::VERSION,
        keys::FEATURES,
        keys::NUM_QUEUES,
        keys::RING_ORDER,
    ];

    /// Writes the answer into the frontend's directory.
    ///
    /// # Errors
    ///
    /// Returns an error if xenstore fails.
    pub fn write_to<S: Store>(&self, store: &mut S) -> Result<(), S::Error> {
        let Negotiated {
            version,
            features,
            queues,
            order,
        } = self.negotiated;
        store.write(&keys::VERSION, format_args!("{version}"))?;
        store.write(&keys::FEATURES, format_args!("{:#x}", features.bits()))?;
        store.write(&keys::NUM_QUEUES, format_args!("{queues}"))?;
        store.write(&keys::RING_ORDER, format_args!("{order}"))?;
        for (queue, endpoint) in queues.indices().zip(&self.queues) {
            endpoint.write_to(store, queue)?;
        }
        Ok(())
    }

    /// Reads the answer to `offer` from the frontend's directory.
    ///
    /// # Errors
    ///
    /// Returns an [`AccessError`] if xenstore fails, or if the answer breaks a rule or takes more
    /// than was offered.
    pub fn read_from<S: Store>(store: &S, offer: &Offer) -> Result<Self, AccessError<S::Error>> {
        let version = require(
            store,
            &keys::VERSION,
            Bounds {
                min: offer.min_version.get(),
                max: offer.max_version.get(),
            },
        )?;
        let features = read_features(store, offer.features)?;
        require(
            store,
            &keys::NUM_QUEUES,
            Bounds {
                min: 1,
                max: u32::from(offer.max_queues.min(MAX_QUEUES).get()),
            },
        )?;
        let order = require(
            store,
            &keys::RING_ORDER,
            Bounds {
                min: u32::from(RingOrder::MIN.get()),
                max: u32::from(offer.max_order.get()),
            },
        )?;
        // In bounds as read.
        let order = u8::try_from(order)
            .ok()
            .and_then(RingOrder::new)
            .unwrap_or(RingOrder::MIN);
        Ok(Self {
            negotiated: Negotiated {
                version: Version::new(version),
                features,
                queues: MAX_QUEUES,
                order,
            },
            queues: [QueueEndpoint::read_from(store, QueueIndex::new(0), order)?],
        })
    }

    /// Removes an answer from the frontend's directory.
    ///
    /// # Errors
    ///
    /// Returns an error if xenstore fails.
    pub fn remove_from<S: Store>(store: &mut S) -> Result<(), S::Error> {
        Self::KEYS.iter().try_for_each(|key| store.remove(key))?;
        MAX_QUEUES
            .indices()
            .try_for_each(|queue| QueueEndpoint::remove_from(store, queue))
    }
}

fn read_features<S: Store>(
    store: &S,
    offered: Features,
) -> Result<Features, AccessError<S::Error>> {
    let bits = require_hex(store, &keys::FEATURES)?;
    let unexpected = bits & !offered.bits();
    if unexpected != 0 {
        return Err(HandshakeError::Features {
            key: keys::FEATURES,
            unexpected,
        }
        .into());
    }
    Ok(Features::from_bits_truncate(bits))
}
