// SPDX-License-Identifier: GPL-2.0

//! What both drivers do with a network interface, whichever end of it they are.
//!
//! | module | subject |
//! |---|---|
//! | [`interface`] | the object behind the net device: the stack's calls go to its channel |
//! | [`lifecycle`] | what a device holds from probe to unbinding, and how a connection begins and ends |
//! | [`parameters`] | the module parameters that both have |

#![forbid(unsafe_code)]

mod interface;
mod lifecycle;
mod parameters;

pub use self::{
    interface::Interface,
    lifecycle::{
        connect,
        Lifecycle,
        Refusal,
        Started,
        Watchers, //
    },
    parameters::{
        Parameters,
        Refused,
        Values, //
    },
};
