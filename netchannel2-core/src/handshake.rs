// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How the two sides find each other: xenstore keys, negotiation and the device's states.
//!
//! The backend writes an [`Offer`], the frontend reads it, picks what both can do, sets up the
//! memory and writes an [`Answer`], which the backend holds against its offer.

mod answer;
mod endpoint;
pub mod keys;
mod offer;
pub mod state;
mod store;

pub use self::{
    answer::{
        Answer,
        Negotiated,
        MAX_QUEUES, //
    },
    endpoint::{
        QueueEndpoint,
        RingRefs, //
    },
    keys::KeyName,
    offer::Offer,
    store::Store, //
};
