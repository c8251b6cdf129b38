// SPDX-License-Identifier: GPL-2.0

//! How a connection begins and ends, as far as it is the same at both ends.
//!
//! What is to be done is decided by `netchannel2_core::handshake::state`.

use super::{
    Interface,
    Parameters, //
};
use crate::{
    channel::{
        Breaches,
        Chance,
        Channel,
        Connection,
        Ending,
        Link,
        Role, //
    },
    debug::{
        ModuleFolder,
        ShownFile, //
    },
    event::EventChannel,
    net::{
        Napi,
        Offloads,
        Registration, //
    },
    ring::QueueMemory,
    ticker::Ticker,
};
use kernel::{
    fmt::{
        self,
        Arguments, //
    },
    prelude::*,
    sync::Arc, //
};
use netchannel2_core::{
    error::{
        AccessError,
        HandshakeError, //
    },
    handshake::state::Phase,
    knobs::Switch,
    wire::Features, //
};

/// How many connections of a device the log has a line for: a peer may connect as often as it likes.
const LOGGED: u32 = 64;

/// What looks at a channel beside its queue: a file in debugfs, and the ticker.
///
/// Dropping it waits for both, so that no lock may be held that they take.
pub struct Watchers<V: Interface> {
    _file: Option<ShownFile>,
    _ticker: Pin<KBox<Ticker<Channel<V>>>>,
}

/// What a device holds from probe to unbinding.
///
/// It is made and dropped without the lock of its [`Lifecycle`]: registration takes the network's
/// own.
pub struct Started<V: Interface> {
    /// The registration of the net device.
    pub registration: Option<Registration<V>>,
    /// What looks at the channel.
    pub watchers: Option<Watchers<V>>,
}

impl<V: Interface> Default for Started<V> {
    fn default() -> Self {
        Self {
            registration: None,
            watchers: None,
        }
    }
}

impl<V: Interface> Started<V> {
    /// Registers the net device, and has its channel ticked and shown in `folder`.
    ///
    /// # Errors
    ///
    /// Those of registration; `ENOMEM`.
    pub fn new(vif: &Arc<V>, folder: &'static ModuleFolder) -> Result<Self> {
        let registration = Registration::new(vif.netdev().clone(), vif.clone())?;
        let ticker = Ticker::start(vif.channel().clone())?;
        // Missed by nobody but people who look for it.
        let file = folder.add(vif.device().name(), vif.channel().clone()).ok();

        Ok(Self {
            registration: Some(registration),
            watchers: Some(Watchers {
                _file: file,
                _ticker: ticker,
            }),
        })
    }
}

/// How far a device is, and what it holds meanwhile.
pub struct Lifecycle<V: Interface> {
    phase: Option<Phase>,
    link: Option<Link<V>>,
    started: Started<V>,
    breaches: Breaches,
    /// How many connections there were.
    connections: u32,
    /// The device is being given to the next driver.
    handing_on: bool,
}

impl<V: Interface> Default for Lifecycle<V> {
    fn default() -> Self {
        Self {
            phase: None,
            link: None,
            started: Started::default(),
            breaches: Breaches::default(),
            connections: 0,
            handing_on: false,
        }
    }
}

impl<V: Interface> Lifecycle<V> {
    /// Begins, with what the device holds until [`Self::unbind`].
    pub fn start(&mut self, started: Started<V>) {
        self.started = started;
    }

    /// Returns how far the device is; `None` before it has begun, and when it is unbound or given to
    /// the next driver.
    pub fn phase(&self) -> Option<Phase> {
        self.phase.filter(|_| !self.handing_on)
    }

    /// Whether the queue runs.
    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// Whether the device is being given to the next driver.
    pub fn is_handing_on(&self) -> bool {
        self.handing_on
    }

    /// Gives the device to the next driver: it does nothing more of its own.
    pub fn hand_on(&mut self) {
        self.handing_on = true;
    }

    /// Says how far the device is, in xenstore too.
    pub fn enter(&mut self, vif: &V, phase: Phase) {
        self.phase = Some(phase);
        // The kernel has reported an error in xenstore; a directory that is gone is none.
        let _ = vif.device().switch_state(phase.state());
    }

    /// Takes over a connection that has come about, or says the one line of why it has not.
    pub fn connected(&mut self, vif: &V, result: Result<Link<V>, Refusal>) {
        let link = match result {
            Ok(link) => link,
            Err(refusal) => return self.fail(vif, fmt!("{refusal}")),
        };

        self.link = Some(link);
        self.enter(vif, Phase::Connected);
        self.connections = self.connections.saturating_add(1);
        if self.connections > LOGGED {
            return;
        }
        if let Some(version) = vif.channel().grant_version() {
            dev_info!(vif.device(), "connected, lending {version}\n");
        }
        if self.connections == LOGGED {
            dev_info!(
                vif.device(),
                "has connected {LOGGED} times: not logged any more\n"
            );
        }
    }

    /// Says what the channel lacks and has not said before, and ends a connection that has failed.
    ///
    /// Called after [`Channel::tend`].
    pub fn look(&mut self, vif: &V) {
        while let Some(shortage) = vif.channel().take_shortage() {
            dev_warn!(vif.device(), "{shortage}\n");
        }
        if let Some(fault) = vif.channel().take_fault() {
            if self.link.is_some() {
                self.fail(vif, format_args!("{fault}"));
            }
        }
    }

    /// Says the one line of what was wrong, and closes.
    pub fn fail(&mut self, vif: &V, what: Arguments<'_>) {
        if self.breaches.check().is_ok() {
            dev_err!(vif.device(), "closing the channel: {what}\n");
        }
        if let Some(link) = self.link.take() {
            // A breach however it ends.
            let _ = link.disconnect();
        }
        self.note(vif, Ending::Breach);
        self.enter(vif, Phase::Failed);
    }

    /// Lets go of the peer's pages, but for the rings, before the peer is told that the connection
    /// ends.
    pub fn let_go(&mut self) {
        if let Some(link) = &mut self.link {
            link.let_go();
        }
    }

    /// Ends the connection, if there is one.
    pub fn disconnect(&mut self, vif: &V) {
        if let Some(link) = self.link.take() {
            let ending = link.disconnect();

            self.note(vif, ending);
        }
    }

    /// Ends all but the connection, and returns what is to be dropped without the lock.
    pub fn unbind(&mut self) -> Started<V> {
        self.phase = None;
        core::mem::take(&mut self.started)
    }

    /// Says whether the peer may have another connection.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if it has broken the protocol too often.
    pub fn may_connect(&self) -> Result<(), Refusal> {
        self.breaches.check().map_err(Refusal::of(Breaches::NAME))
    }

    /// Counts a breach, and says when it was the last one that is allowed.
    fn note(&mut self, vif: &V, ending: Ending) {
        if self.breaches.count(ending) == Chance::JustLost {
            dev_err!(
                vif.device(),
                "{}: no further connection until the device is attached anew\n",
                Breaches::NAME
            );
        }
    }
}

/// Why a connection does not come about.
pub enum Refusal {
    /// What the peer has written into xenstore breaks a rule.
    Handshake(HandshakeError),
    /// A step failed.
    Setup(&'static str, Error),
}

impl Refusal {
    /// Makes the refusal of an error in a step.
    pub fn of(step: &'static str) -> impl FnOnce(Error) -> Self {
        move |error| Self::Setup(step, error)
    }

    /// Makes the refusal of an error in a step that reads what the peer has written.
    pub fn of_reading(step: &'static str) -> impl FnOnce(AccessError<Error>) -> Self {
        move |error| match error {
            AccessError::Handshake(error) => Self::Handshake(error),
            AccessError::Store(error) => Self::Setup(step, error),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake(error) => write!(f, "{error}"),
            Self::Setup(step, error) => write!(f, "cannot set up the queue: {step}: {error:?}"),
        }
    }
}

/// Starts the queue over what both ends have set up.
///
/// # Errors
///
/// A [`Refusal`] that names the step.
pub fn connect<V: Interface>(
    vif: &Arc<V>,
    role: Role,
    memory: QueueMemory,
    events: EventChannel<Napi<V>>,
    features: Features,
    grant_ranges: Switch,
    parameters: &Parameters,
) -> Result<Link<V>, Refusal> {
    let no_memory = |_| Refusal::of("memory")(ENOMEM);
    let memory = Arc::new(memory, GFP_KERNEL).map_err(no_memory)?;
    let events = Arc::new(events, GFP_KERNEL).map_err(no_memory)?;

    vif.netdev().set_offloads(Offloads::with(features));
    vif.channel()
        .connect(
            Connection {
                role,
                peer: vif.device().otherend_id(),
                memory,
                events,
                features,
                thresholds: parameters.thresholds,
                grant_ranges,
                pool: parameters.pool,
            },
            vif.clone(),
        )
        .map_err(Refusal::of("starting the queue"))
}
