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
    prelude::*,
    str::CString,
    sync::Arc,
    time::{
        delay::fsleep,
        Delta, //
    },
};
use netchannel2_core::{
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
    knobs::Switch, //
};
use netchannel2_kernel::{
    channel::{
        Link,
        Role,
        FEATURES, //
    },
    event,
    net::Carrier,
    ring::QueueMemory,
    vif::{
        Lifecycle,
        Refusal,
        Started, //
    },
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
    cycle: Lifecycle<Vif>,
    /// The backend's directory in xenstore.
    otherend: Option<CString>,
    /// The backend has been in another state since it was answered: an offer is a new one then.
    has_moved: bool,
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
    let started = Started::new(vif, &FOLDER)?;
    let mut life = vif.life.lock();

    life.cycle.start(started);
    life.otherend = Some(otherend);
    life.cycle.enter(vif, Phase::Initialising);
    Ok(())
}

/// Does what the backend's new state asks for.
pub(crate) fn backend_changed(vif: &Arc<Vif>, state: XenbusState) -> Afterwards {
    let mut life = vif.life.lock();
    let Some(phase) = life.cycle.phase() else {
        return Afterwards::Stay;
    };

    life.has_moved |= state != XenbusState::InitWait;
    match frontend(phase, state) {
        FrontendAction::Nothing => {}
        // The same offer once more: watches fire twice, and the backend has not read the answer.
        FrontendAction::Reconnect if !life.has_moved => {}
        FrontendAction::Connect => return offered(vif, &mut life),
        FrontendAction::Reopen | FrontendAction::Reconnect => {
            life.cycle.disconnect(vif);
            life.cycle.enter(vif, Phase::Initialising);
            return offered(vif, &mut life);
        }
        FrontendAction::CarrierOn => {
            drop(life);
            // Not under the lock: this takes the network's own.
            vif.netdev.notify_peers();
            return Afterwards::Stay;
        }
        // The backend's pages go first. The rings stay until it has let go of them, which it does when
        // it sees this, unless it has already.
        FrontendAction::Disconnect => {
            let_go(vif, &mut life);
            life.cycle.enter(vif, Phase::Closed);
        }
    }
    if matches!(state, XenbusState::Closed | XenbusState::Unknown) {
        life.cycle.disconnect(vif);
    }
    Afterwards::Stay
}

/// Ends a failed connection.
pub(crate) fn attend(vif: &Arc<Vif>) {
    let mut life = vif.life.lock();

    if life.cycle.phase().is_some() {
        life.cycle.look(vif);
    }
}

/// Starts anew after the domain was restored, when what was shared is gone.
pub(crate) fn resume(vif: &Arc<Vif>, otherend: CString) {
    let mut life = vif.life.lock();

    life.cycle.disconnect(vif);
    life.otherend = Some(otherend);
    life.cycle.enter(vif, Phase::Initialising);
}

/// Takes everything down before the device is unbound.
pub(crate) fn unbind(vif: &Arc<Vif>) {
    let mut life = vif.life.lock();

    let started = life.cycle.unbind();
    let otherend = life.otherend.take();
    let handing_on = life.cycle.is_handing_on();
    drop(life);
    // Not under the lock, as they wait for their users.
    drop(started.watchers);

    if !handing_on {
        // The backend lets go of the rings before they are taken from it, as this side does of the
        // backend's pages.
        let_go(vif, &mut vif.life.lock());
        let _ = vif.device.switch_state(XenbusState::Closing);
        await_backend(vif, otherend.as_deref(), |state| {
            !matches!(state, XenbusState::Connected | XenbusState::InitWait)
        });
    }
    vif.life.lock().cycle.disconnect(vif);
    // Not under the lock: this takes the network's own.
    drop(started.registration);
    // Or a backend would take the next driver, which does not write them, for this one.
    let _ = Answer::remove_from(&mut vif.device.store());
    if !handing_on {
        // The backend follows: it is closed when this returns, ready for the next driver.
        let _ = vif.device.switch_state(XenbusState::Closed);
        await_backend(vif, otherend.as_deref(), |state| {
            state != XenbusState::Closing
        });
    }
}

fn let_go(vif: &Vif, life: &mut Life) {
    vif.netdev.set_carrier(Carrier::Off);
    life.cycle.let_go();
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
    let Some(result) = connect(vif, life).transpose() else {
        dev_info!(
            vif.device,
            "the host has no Netchannel 2: giving the vif to xen-netfront\n"
        );
        life.cycle.hand_on();
        return Afterwards::HandOn(classic::MODULE);
    };

    if result.is_ok() {
        life.has_moved = false;
    }
    life.cycle.connected(vif, result);
    Afterwards::Stay
}

/// Connects to the backend; `None` if it makes no offer.
fn connect(vif: &Arc<Vif>, life: &Life) -> Result<Option<Link<Vif>>, Refusal> {
    life.cycle.may_connect()?;
    let otherend = life.otherend.as_deref().ok_or(ENODEV);
    let otherend = otherend.map_err(Refusal::of("backend"))?;
    let offer = Offer::read_from(&Directory::new(otherend))
        .map_err(Refusal::of_reading("reading the offer"))?;
    let Some(offer) = offer else {
        return Ok(None);
    };
    let negotiated = offer.answer(&abilities()).map_err(Refusal::Handshake)?;
    let device = &vif.device;
    let memory =
        QueueMemory::grant(device, negotiated.order).map_err(Refusal::of("granting rings"))?;
    let port = event::Port::for_peer(device.otherend_id())
        .map_err(Refusal::of("allocating event-channel"))?;
    let endpoint = memory.endpoint(port.number()).ok_or(EINVAL);
    let endpoint = endpoint.map_err(Refusal::of("endpoint"))?;
    let events = event::EventChannel::bind_local(device.name(), port, vif.channel.napi().clone())
        .map_err(Refusal::of("binding event-channel"))?;
    let answer = Answer {
        negotiated,
        queues: [endpoint],
    };

    in_transaction(|transaction| answer.write_to(&mut device.store().within(transaction)))
        .map_err(Refusal::of("writing the answer"))?;
    let parameters = parameters::common().map_err(Refusal::of("parameters"))?;

    netchannel2_kernel::vif::connect(
        vif,
        Role::Frontend,
        memory,
        events,
        negotiated.features,
        // Ranges need the grant table mapped, which is not there any more after a restore.
        Switch::Off,
        &parameters,
    )
    .map(Some)
}
