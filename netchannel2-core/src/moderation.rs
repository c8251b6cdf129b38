// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Interrupt moderation: when an event that the peer has asked for is raised.
//!
//! A ring's index is published at once, always, so that a peer that polls sees everything at once.
//! Only the event may wait. The side that raises it decides by what the other side has asked for:
//! [`Settings`], one [`Rule`] for packets and one for completions (FINISHes), as `ethtool -C`
//! knows them. With *t* microseconds and *n* frames,
//!
//! | rule | the event comes |
//! |---|---|
//! | n = 1 | at once |
//! | n > 1, t = 0 | with the n-th frame, or at the end of the batch that the first one belongs to |
//! | n > 1, t > 0 | with the n-th frame, or t after the first one |
//!
//! whichever is first; frames count from the publication that reached the peer's event index. The
//! end of a batch is when this side has done all that it was called for, such as one round of NAPI
//! polls: waiting for it costs no timer, and it is taken for sooner than any time. Packets and completions share one event channel, so that
//! an event for one tells of both.
//!
//! An event that is owed is dropped when the peer has gone on by itself meanwhile: it has consumed
//! more than when it asked, and has to ask again before it sleeps. What a sender that has stopped
//! waits for, and what says that there is space, is never delayed.
//!
//! [`adaptive`] chooses t and n from what it measures, as Linux' `net_dim` does.

pub mod adaptive;
mod clock;
mod histogram;
mod knobs;
mod moderator;
mod report;
mod settings;

pub use self::{
    clock::{
        Clock,
        Instant,
        Span, //
    },
    histogram::Histogram,
    knobs::{
        Knob,
        KnobError,
        Knobs, //
    },
    moderator::{
        Action,
        Cause,
        Moderator,
        Work, //
    },
    report::Report,
    settings::{
        Frames,
        Limits,
        OutOfRange,
        Rule,
        Settings,
        Usecs, //
    },
};
