// SPDX-License-Identifier: GPL-2.0

//! What comes of a poll.

use super::Chores;

/// What [`Channel::poll`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polled {
    /// Packets towards the stack, for NAPI.
    pub done: u32,
    /// Whether the connection has to be ended, see [`Channel::take_fault`].
    pub health: Health,
    /// Whether [`Channel::tend`] is to be called.
    pub chores: Chores,
}

/// Whether a connection can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Good,
    /// The peer broke the protocol.
    Failed,
}
