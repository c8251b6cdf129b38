// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a side can do: the backend publishes it, the frontend compares it with its own.

use super::{
    answer::{
        Negotiated,
        MAX_QUEUES, //
    },
    keys,
    store::{
        find,
        require,
        require_hex,
        Bounds, //
    },
    KeyName,
    Store, //
};
use crate::{
    error::{
        AccessError,
        HandshakeError, //
    },
    units::{
        QueueCount,
        RingOrder,
        Version, //
    },
    wire::Features,
};

/// What a side can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The lowest version that it speaks.
    pub min_version: Version,
    /// The highest version that it speaks.
    pub max_version: Version,
    /// The most queues that it takes.
    pub max_queues: QueueCount,
    /// The largest rings that it takes.
    pub max_order: RingOrder,
    /// The features that it has.
    pub features: Features,
}

impl Offer {
    /// All that this implementation can do.
    pub const fn full() -> Self {
        Self {
            min_version: Version::ONE,
            max_version: Version::ONE,
            max_queues: QueueCount::ONE,
            max_order: RingOrder::MAX,
            features: Features::all(),
        }
    }

    const KEYS: [KeyName; 5] = [
        keys::FEATURE,
        keys::MIN_VERSION,
        keys::MAX_QUEUES,
        keys::MAX_RING_ORDER,
        keys::FEATURES,
    ];

    /// Writes the offer into the backend's directory.
    ///
    /// # Errors
    ///
    /// Returns an error if xenstore fails.
    pub fn write_to<S: Store>(&self, store: &mut S) -> Result<(), S::Error> {
        store.write(&keys::MIN_VERSION, format_args!("{}", self.min_version))?;
        store.write(&keys::MAX_QUEUES, format_args!("{}", self.max_queues))?;
        store.write(&keys::MAX_RING_ORDER, format_args!("{}", self.max_order))?;
        store.write(&keys::FEATURES, format_args!("{:#x}", self.features.bits()))?;
        // Last, as its presence says that the others are there.
        store.write(&keys::FEATURE, format_args!("{}", self.max_version))
    }

    /// Reads the offer from the backend's directory, or [`None`] if the backend makes none.
    ///
    /// Features without a meaning here are ignored, and so is what exceeds this implementation.
    ///
    /// # Errors
    ///
    /// Returns an [`AccessError`] if xenstore fails or the offer breaks a rule.
    pub fn read_from<S: Store>(store: &S) -> Result<Option<Self>, AccessError<S::Error>> {
        let Some(max_version) = find(store, &keys::FEATURE, Bounds::ANY)? else {
            return Ok(None);
        };
        let min_version = require(store, &keys::MIN_VERSION, Bounds::ANY)?;
        let at_least = |min| Bounds { min, max: u32::MAX };
        let max_queues = require(store, &keys::MAX_QUEUES, at_least(1))?;
        let smallest = u32::from(RingOrder::MIN.get());
        let max_order = require(store, &keys::MAX_RING_ORDER, at_least(smallest))?;
        let features = require_hex(store, &keys::FEATURES)?;
        Ok(Some(Self {
            min_version: Version::new(min_version),
            max_version: Version::new(max_version),
            max_queues: u16::try_from(max_queues)
                .ok()
                .and_then(QueueCount::new)
                .unwrap_or(MAX_QUEUES),
            max_order: u8::try_from(max_order)
                .ok()
                .and_then(RingOrder::new)
                .unwrap_or(RingOrder::MAX),
            features: Features::from_bits_truncate(features),
        }))
    }

    /// Removes an offer from the backend's directory.
    ///
    /// # Errors
    ///
    /// Returns an error if xenstore fails.
    pub fn remove_from<S: Store>(store: &mut S) -> Result<(), S::Error> {
        Self::KEYS.iter().try_for_each(|key| store.remove(key))
    }

    /// Picks what both this offer and the side that answers can do.
    ///
    /// # Errors
    ///
    /// Returns [`HandshakeError::NoCommonVersion`] if they speak no version in common.
    pub fn answer(&self, own: &Self) -> Result<Negotiated, HandshakeError> {
        let version = self.max_version.min(own.max_version);
        if version < self.min_version || version < own.min_version {
            return Err(HandshakeError::NoCommonVersion {
                min: self.min_version.get(),
                max: self.max_version.get(),
            });
        }
        Ok(Negotiated {
            version,
            features: self.features & own.features,
            queues: self.max_queues.min(own.max_queues).min(MAX_QUEUES),
            order: self.max_order.min(own.max_order),
        })
    }
}
