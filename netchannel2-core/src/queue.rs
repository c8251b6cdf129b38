// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The two halves of a queue, the same on both sides of it.
//!
//! A [`Sender`] owns the producing end of the ring away from its side, a [`Receiver`] the
//! consuming end of the other ring. They share nothing, so that each may have a lock of its own;
//! what one learns for the other passes through their owner:
//!
//! | the receiver yields | the owner calls on the sender |
//! |---|---|
//! | [`Event::Ready`] | [`Sender::on_set_max_packets`] |
//! | [`Event::Finish`] | [`Sender::on_finish`] for each entry |
//! | [`Event::SetModeration`] | [`Sender::set_moderation`], if there is something to answer |
//! | [`Event::Packet`] with an id | later [`Receiver::finished`], then [`Sender::queue_finish`] |

mod finishes;
mod inline;
mod moderation;
mod receiver;
mod sender;

pub use self::{
    finishes::{
        FinishError,
        Flush, //
    },
    inline::{
        InlineOverrun,
        InlineWriter, //
    },
    receiver::{
        Event,
        Receiver, //
    },
    sender::{
        Queued,
        SendError,
        Sender, //
    },
};
