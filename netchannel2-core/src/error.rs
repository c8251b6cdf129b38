// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a peer can do wrong.
//!
//! Each rule of the protocol has its variant, which names the field and the value that broke it.
//! A violation ends the channel; it is logged once and never trusted again.

mod handshake;
mod violation;

pub use self::{
    handshake::{
        AccessError,
        Excerpt,
        HandshakeError, //
    },
    violation::{
        ModerationField,
        Violation, //
    },
};
