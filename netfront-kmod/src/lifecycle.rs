// SPDX-License-Identifier: GPL-2.0

//! Connecting and disconnecting, as the states of both ends ask for.
//!
//! What is to be done is decided by `netchannel2_core::handshake::state`; all of it runs under the
//! lock of [`Life`], in xenwatch, in the module's work queue, or in the thread that unbinds.

use crate::{
    classic,
    parameters,
    vif::Vif,
    FOLDER, //
};
use kernel::{
    fmt::Arguments,
    prelude::*,
    str::CString,
    sync::Arc,
    time::{
        delay::fsleep,
        Delta, //
    },
};
use netchannel2_core::{
    error::{
        AccessError,
        HandshakeError, //
    },
    handshake::{
        state::{
            frontend,
            FrontendAction,
            Phase,
            XenbusState, //
        },
        Answer,
        Offer, //
    },
};
use netchannel2_kernel::{
    channel::{
        Breaches,
        Chance,
        Channel,
        Connection,
        Ending,
        Link,
        Role,
        FEATURES, //
    },
    debug::ShownFile,
    event,
    net::{
        Carrier,
        Offloads,
        Registration, //
    },
    ring::QueueMemory,
    ticker::Ticker,
    xenbus::{
        in_transaction,
        Afterwards,
        Directory, //
    },
};

/// How often, every 10 ms, unbinding looks whether the backend has followed: for 5 seconds.
const PATIENCE: u32 = 500;

/// How far a vif is, and what it holds meanwhile.
#[derive(Default)]
pub(crate) struct Life {
    phase: Option<Phase>,
    /// The backend's directory in xenstore.
    otherend: Option<CString>,
    link: Option<Link<Vif>>,
    registration: Option<Registration<Vif>>,
    file: Option<ShownFile<Channel<Vif>>>,
    ticker: Option<Pin<KBox<Ticker<Channel<Vif>>>>>,
    breaches: Breaches,
    /// The backend has been in another state since it was answered: an offer is a new one then.
    has_moved: bool,
    /// The device is being given to the next driver.
    handing_on: bool,
}

/// What this frontend can do.
fn abilities() -> Offer {
    Offer {
        features: FEATURES,
        ..Offer::full()
    }
}

/// Registers the net device and asks the backend for an offer.
///
/// # Errors
///
/// Those of registration.
pub(crate) fn start(vif: &Arc<Vif>, otherend: CString) -> Result {
    let registration = Registration::new(vif.netdev.clone(), vif.clone())?;
    let ticker = Ticker::start(vif.channel.clone())?;
    let mut life = vif.life.lock();

    life.registration = Some(registration);
    // Missed by nobody but people who look for it.
    life.file = FOLDER.add(vif.device.name(), vif.channel.clone()).ok();
    life.ticker = Some(ticker);
    life.otherend = Some(otherend);
    enter(vif, &mut life, Phase::Initialising);
    Ok(())
}

/// Does what the backend's new state asks for.
pub(crate) fn backend_changed(vif: &Arc<Vif>, state: XenbusState) -> Afterwards {
    let mut life = vif.life.lock();
    let Some(phase) = life.phase else {
        return Afterwards::Stay;
    };

    if life.handing_on {
        return Afterwards::Stay;
    }

    life.has_moved |= state != XenbusState::InitWait;
    match frontend(phase, state) {
        FrontendAction::Nothing => {}
        // The same offer once more: watches fire twice, and the backend has not read the answer.
        FrontendAction::Reconnect if !life.has_moved => {}
        FrontendAction::Connect => return offered(vif, &mut life),
        FrontendAction::Reopen | FrontendAction::Reconnect => {
            disconnect(vif, &mut life);
            enter(vif, &mut life, Phase::Initialising);
            return offered(vif, &mut life);
        }
        FrontendAction::CarrierOn => {
            drop(life);
            // Not under the lock: this takes the network's own.
            vif.netdev.notify_peers();
            return Afterwards::Stay;
        }
        // The rings stay until the backend has let go of them, which it does when it sees this.
        FrontendAction::Disconnect if state == XenbusState::Closing => {
            let_go(vif, &mut life);
            enter(vif, &mut life, Phase::Closed);
        }
        FrontendAction::Disconnect => enter(vif, &mut life, Phase::Closed),
    }
    if matches!(state, XenbusState::Closed | XenbusState::Unknown) {
        disconnect(vif, &mut life);
    }
    Afterwards::Stay
}

/// Ends a failed connection.
pub(crate) fn attend(vif: &Arc<Vif>) {
    let mut life = vif.life.lock();

    if life.phase.is_none() {
        return;
    }
    report_shortages(vif);
    if let Some(fault) = vif.channel.take_fault() {
        if life.link.is_some() {
            fail(vif, &mut life, format_args!("{fault}"));
        }
    }
}

/// Starts anew after the domain was restored, when what was shared is gone.
pub(crate) fn resume(vif: &Arc<Vif>, otherend: CString) {
    let mut life = vif.life.lock();

    disconnect(vif, &mut life);
    life.otherend = Some(otherend);
    enter(vif, &mut life, Phase::Initialising);
}

/// Takes everything down before the device is unbound.
pub(crate) fn unbind(vif: &Arc<Vif>) {
    let mut life = vif.life.lock();

    life.phase = None;
    let registration = life.registration.take();
    let (file, ticker) = (life.file.take(), life.ticker.take());
    let otherend = life.otherend.take();
    let handing_on = life.handing_on;
    drop(life);
    // Not under the lock, as they wait for their users.
    drop((file, ticker));

    if !handing_on {
        // The backend lets go of the rings before they are taken from it, as this side does of the
        // backend's pages.
        let_go(vif, &mut vif.life.lock());
        let _ = vif.device.switch_state(XenbusState::Closing);
        await_backend(vif, otherend.as_deref(), |state| {
            !matches!(state, XenbusState::Connected | XenbusState::InitWait)
        });
    }
    disconnect(vif, &mut vif.life.lock());
    // Not under the lock: this takes the network's own.
    drop(registration);
    if !handing_on {
        // The backend follows: it is closed when this returns, ready for the next driver.
        let _ = Answer::remove_from(&mut vif.device.store());
        let _ = vif.device.switch_state(XenbusState::Closed);
        await_backend(vif, otherend.as_deref(), |state| {
            state != XenbusState::Closing
        });
    }
}

fn let_go(vif: &Vif, life: &mut Life) {
    vif.netdev.set_carrier(Carrier::Off);
    if let Some(link) = &mut life.link {
        link.let_go();
    }
}

fn await_backend(vif: &Vif, otherend: Option<&CStr>, is_there: fn(XenbusState) -> bool) {
    let Some(otherend) = otherend else {
        return;
    };

    for _ in 0..PATIENCE {
        if is_there(vif.device.read_state(otherend)) {
            return;
        }
        fsleep(Delta::from_millis(10));
    }
}

/// Connects to a backend that is ready, or gives the device away if it is not one of ours.
fn offered(vif: &Arc<Vif>, life: &mut Life) -> Afterwards {
    match connect(vif, life) {
        Ok(link) => {
            life.link = Some(link);
            life.has_moved = false;
            enter(vif, life, Phase::Connected);
            if let Some(version) = vif.channel.grant_version() {
                dev_info!(vif.device, "connected, lending {version}\n");
            }
        }
        Err(Refusal::NoOffer) => {
            dev_info!(
                vif.device,
                "the host has no Netchannel 2: giving the vif to xen-netfront\n"
            );
            life.handing_on = true;
            return Afterwards::HandOn(classic::MODULE);
        }
        Err(Refusal::Offer(error)) => fail(vif, life, format_args!("{error}")),
        Err(Refusal::Setup(what, error)) => {
            fail(
                vif,
                life,
                fmt!("cannot set up the queue: {what}: {error:?}"),
            );
        }
    }
    Afterwards::Stay
}

/// Why a connection does not come about.
enum Refusal {
    /// The backend makes no offer.
    NoOffer,
    /// The backend's offer breaks a rule.
    Offer(HandshakeError),
    /// A step failed.
    Setup(&'static str, Error),
}

fn connect(vif: &Arc<Vif>, life: &Life) -> Result<Link<Vif>, Refusal> {
    let step = |what| move |error| Refusal::Setup(what, error);

    life.breaches.check().map_err(step(Breaches::NAME))?;
    let otherend = life.otherend.as_deref().ok_or(step("backend")(ENODEV))?;
    let negotiated = Offer::read_from(&Directory::new(otherend))
        .map_err(|error| match error {
            AccessError::Handshake(error) => Refusal::Offer(error),
            AccessError::Store(error) => Refusal::Setup("reading the offer", error),
        })?
        .ok_or(Refusal::NoOffer)?
        .answer(&abilities())
        .map_err(Refusal::Offer)?;
    let device = &vif.device;
    let memory = QueueMemory::grant(device, negotiated.order).map_err(step("granting rings"))?;
    let memory = Arc::new(memory, GFP_KERNEL).map_err(|_| step("memory")(ENOMEM))?;
    let port =
        event::Port::for_peer(device.otherend_id()).map_err(step("allocating event-channel"))?;
    let endpoint = memory
        .endpoint(port.number())
        .ok_or(step("endpoint")(EINVAL))?;
    let events = event::EventChannel::bind_local(device.name(), port, vif.channel.napi().clone())
        .map_err(step("binding event-channel"))?;
    let events = Arc::new(events, GFP_KERNEL).map_err(|_| step("memory")(ENOMEM))?;
    let answer = Answer {
        negotiated,
        queues: [endpoint],
    };

    in_transaction(|transaction| answer.write_to(&mut device.store().within(transaction)))
        .map_err(step("writing the answer"))?;
    vif.netdev.set_offloads(Offloads::with(negotiated.features));
    vif.channel
        .connect(
            Connection {
                role: Role::Frontend,
                peer: device.otherend_id(),
                memory,
                events,
                features: negotiated.features,
                thresholds: parameters::thresholds().map_err(step("parameters"))?,
                grant_ranges: parameters::grant_ranges().map_err(step("parameters"))?,
                pool: parameters::pool().map_err(step("parameters"))?,
            },
            vif.clone(),
        )
        .map_err(step("starting the queue"))
}

/// Says what the channel lacks, and has not said before.
fn report_shortages(vif: &Vif) {
    while let Some(shortage) = vif.channel.take_shortage() {
        dev_warn!(vif.device, "{shortage}\n");
    }
}

/// Says the one line of what was wrong, and closes.
fn fail(vif: &Vif, life: &mut Life, what: Arguments<'_>) {
    if life.breaches.check().is_ok() {
        dev_err!(vif.device, "closing the channel: {what}\n");
    }
    if let Some(link) = life.link.take() {
        // A breach however it ends.
        let _ = link.disconnect();
    }
    note(vif, life, Ending::Breach);
    enter(vif, life, Phase::Failed);
}

fn disconnect(vif: &Vif, life: &mut Life) {
    if let Some(link) = life.link.take() {
        let ending = link.disconnect();

        note(vif, life, ending);
    }
}

/// Counts a breach, and says when it was the last one that is allowed.
fn note(vif: &Vif, life: &mut Life, ending: Ending) {
    if life.breaches.count(ending) == Chance::JustLost {
        dev_err!(
            vif.device,
            "{}: no further connection until the device is attached anew\n",
            Breaches::NAME
        );
    }
}

fn enter(vif: &Vif, life: &mut Life, phase: Phase) {
    life.phase = Some(phase);
    // The kernel has reported an error in xenstore; a directory that is gone is none.
    let _ = vif.device.switch_state(phase.state());
}
