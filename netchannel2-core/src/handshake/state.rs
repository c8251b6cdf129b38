// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The states of a device, and what each side does about the other's.
//!
//! Both tables are total: a peer may write any state at any time.

/// A state in xenstore (`enum xenbus_state` of Xen's `io/xenbus.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum XenbusState {
    /// The directory is gone, or holds no state.
    Unknown,
    /// Newly created.
    Initialising,
    /// The backend has made its offer.
    InitWait,
    /// The frontend has answered.
    Initialised,
    /// Running.
    Connected,
    /// Shutting down.
    Closing,
    /// Shut down.
    Closed,
    /// Being reconfigured; not used by network devices.
    Reconfiguring,
    /// Reconfigured; not used by network devices.
    Reconfigured,
}

impl XenbusState {
    /// All states.
    pub const ALL: [Self; 9] = [
        Self::Unknown,
        Self::Initialising,
        Self::InitWait,
        Self::Initialised,
        Self::Connected,
        Self::Closing,
        Self::Closed,
        Self::Reconfiguring,
        Self::Reconfigured,
    ];

    /// Takes a number from xenstore; one without a meaning is [`Self::Unknown`].
    pub const fn from_wire(state: u32) -> Self {
        match state {
            1 => Self::Initialising,
            2 => Self::InitWait,
            3 => Self::Initialised,
            4 => Self::Connected,
            5 => Self::Closing,
            6 => Self::Closed,
            7 => Self::Reconfiguring,
            8 => Self::Reconfigured,
            _ => Self::Unknown,
        }
    }

    /// Returns the number in xenstore.
    pub const fn to_wire(self) -> u32 {
        match self {
            Self::Unknown => 0,
            Self::Initialising => 1,
            Self::InitWait => 2,
            Self::Initialised => 3,
            Self::Connected => 4,
            Self::Closing => 5,
            Self::Closed => 6,
            Self::Reconfiguring => 7,
            Self::Reconfigured => 8,
        }
    }
}

/// How far this side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The device was found; nothing is published.
    Initialising,
    /// A backend's offer is published.
    InitWait,
    /// The queues run.
    Connected,
    /// A backend whose frontend is closing; the queues are gone.
    Closing,
    /// The queues are gone.
    Closed,
    /// The peer broke a rule; the queues are gone, and it has to start anew.
    Failed,
}

impl Phase {
    /// All phases.
    pub const ALL: [Self; 6] = [
        Self::Initialising,
        Self::InitWait,
        Self::Connected,
        Self::Closing,
        Self::Closed,
        Self::Failed,
    ];

    /// Returns the state that the phase has in xenstore.
    pub const fn state(self) -> XenbusState {
        match self {
            Self::Initialising => XenbusState::Initialising,
            Self::InitWait => XenbusState::InitWait,
            Self::Connected => XenbusState::Connected,
            Self::Closing => XenbusState::Closing,
            Self::Closed | Self::Failed => XenbusState::Closed,
        }
    }

    /// Says whether there are queues.
    pub const fn is_connected(self) -> bool {
        matches!(self, Self::Connected)
    }
}

/// Says whether a device stays when its frontend is gone (the backend's `online` key).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Online {
    /// It does, for the next frontend.
    Online,
    /// It does not: the toolstack is removing it.
    Offline,
}

/// What a backend does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendAction {
    /// Nothing.
    Nothing,
    /// Disconnects if connected, publishes its offer and is [`Phase::InitWait`].
    Reopen,
    /// Reads the answer, sets up the queues and is [`Phase::Connected`].
    Connect,
    /// Disconnects if connected and is [`Phase::Closing`].
    Disconnect,
    /// Disconnects if connected and is [`Phase::Closed`].
    Close,
    /// Disconnects if connected, is [`Phase::Closed`] and removes the device.
    Unregister,
}

impl BackendAction {
    /// Returns the phase that the action leads to from `own`, if it succeeds.
    pub const fn leads_to(self, own: Phase) -> Phase {
        match self {
            Self::Nothing => own,
            Self::Reopen => Phase::InitWait,
            Self::Connect => Phase::Connected,
            Self::Disconnect => Phase::Closing,
            Self::Close | Self::Unregister => Phase::Closed,
        }
    }
}

/// Decides what a backend does when its frontend is in the state `peer`.
pub const fn backend(own: Phase, peer: XenbusState, online: Online) -> BackendAction {
    match peer {
        XenbusState::Initialising => match own {
            Phase::InitWait => BackendAction::Nothing,
            Phase::Initialising
            | Phase::Connected
            | Phase::Closing
            | Phase::Closed
            | Phase::Failed => BackendAction::Reopen,
        },
        XenbusState::Initialised | XenbusState::Connected => match own {
            Phase::InitWait => BackendAction::Connect,
            Phase::Initialising
            | Phase::Connected
            | Phase::Closing
            | Phase::Closed
            | Phase::Failed => BackendAction::Nothing,
        },
        XenbusState::Closing => match own {
            Phase::Initialising | Phase::InitWait | Phase::Connected => BackendAction::Disconnect,
            Phase::Closing | Phase::Closed | Phase::Failed => BackendAction::Nothing,
        },
        XenbusState::Closed => match (own, online) {
            (_, Online::Offline) => BackendAction::Unregister,
            // An offer stays: a frontend that is closed reopens when it sees one.
            (Phase::Initialising | Phase::InitWait | Phase::Closed, Online::Online) => {
                BackendAction::Nothing
            }
            (Phase::Connected | Phase::Closing | Phase::Failed, Online::Online) => {
                BackendAction::Close
            }
        },
        XenbusState::Unknown => BackendAction::Unregister,
        XenbusState::InitWait | XenbusState::Reconfiguring | XenbusState::Reconfigured => {
            BackendAction::Nothing
        }
    }
}

/// What a frontend does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrontendAction {
    /// Nothing.
    Nothing,
    /// Reads the offer, sets up the queues, answers and is [`Phase::Connected`].
    Connect,
    /// Does the same from [`Phase::Closed`], by way of [`Phase::Initialising`].
    Reopen,
    /// Takes down its queues, whose backend has gone and come back, and does the same.
    Reconnect,
    /// Tells the stack that the backend has connected too.
    CarrierOn,
    /// Disconnects if connected and is [`Phase::Closed`].
    Disconnect,
}

impl FrontendAction {
    /// Returns the phase that the action leads to from `own`, if it succeeds.
    pub const fn leads_to(self, own: Phase) -> Phase {
        match self {
            Self::Nothing | Self::CarrierOn => own,
            Self::Connect | Self::Reopen | Self::Reconnect => Phase::Connected,
            Self::Disconnect => Phase::Closed,
        }
    }
}

/// Decides what a frontend does when its backend is in the state `peer`.
pub const fn frontend(own: Phase, peer: XenbusState) -> FrontendAction {
    match peer {
        XenbusState::InitWait => match own {
            Phase::Initialising => FrontendAction::Connect,
            Phase::Closing | Phase::Closed => FrontendAction::Reopen,
            Phase::Connected => FrontendAction::Reconnect,
            Phase::InitWait | Phase::Failed => FrontendAction::Nothing,
        },
        XenbusState::Connected => match own {
            Phase::Connected => FrontendAction::CarrierOn,
            Phase::Initialising
            | Phase::InitWait
            | Phase::Closing
            | Phase::Closed
            | Phase::Failed => FrontendAction::Nothing,
        },
        XenbusState::Closing | XenbusState::Closed | XenbusState::Unknown => match own {
            Phase::Closed => FrontendAction::Nothing,
            Phase::Initialising
            | Phase::InitWait
            | Phase::Connected
            | Phase::Closing
            | Phase::Failed => FrontendAction::Disconnect,
        },
        XenbusState::Initialising
        | XenbusState::Initialised
        | XenbusState::Reconfiguring
        | XenbusState::Reconfigured => FrontendAction::Nothing,
    }
}
