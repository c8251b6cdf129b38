// SPDX-License-Identifier: GPL-2.0

//! Connecting and disconnecting, as the states of both ends ask for.
//!
//! What is to be done is decided by `netchannel2_core::handshake::state`; all of it runs under the
//! lock of [`Life`], in xenwatch, in the module's work queue, or in the thread that unbinds.

use crate::{
    classic,
    parameters,
    vif::{
        self,
        Vif, //
    },
    FOLDER, //
};
use kernel::{
    prelude::*,
    str::{
        BStr,
        CString, //
    },
    sync::Arc,
    time::{
        delay::fsleep,
        Delta, //
    },
};
use netchannel2_core::handshake::{
    keys,
    state::{
        backend,
        BackendAction,
        Phase,
        XenbusState, //
    },
    Answer,
    Offer, //
};
use netchannel2_kernel::{
    channel::{
        Link,
        Role,
        FEATURES, //
    },
    event::EventChannel,
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

/// Where the hotplug script says how it has gone.
const HOTPLUG_STATUS: &CStr = c"hotplug-status";

/// How far a vif is, and what it holds meanwhile.
#[derive(Default)]
pub(crate) struct Life {
    cycle: Lifecycle<Vif>,
    /// The log has been told that the frontend has answered and the hotplug script has not run yet.
    said_waiting: bool,
    /// The log has been told that the offer could not be published.
    said_unpublished: bool,
}

/// Whether something is to be said that is said once for each device: its guest has it happen as often
/// as it likes.
fn is_first(said: &mut bool) -> bool {
    !core::mem::replace(said, true)
}

/// What this backend can do.
fn offer() -> Offer {
    Offer {
        features: FEATURES,
        ..Offer::full()
    }
}

/// Registers the net device and publishes the offer.
///
/// # Errors
///
/// Those of registration and of xenstore.
pub(crate) fn start(vif: &Arc<Vif>) -> Result {
    let started = Started::new(vif, &FOLDER)?;
    let mut life = vif.life.lock();

    life.cycle.start(started);
    publish(vif, &mut life)?;
    drop(life);
    // For an interface that takes another's place, after the module was loaded anew.
    let _ = announce(vif);
    Ok(())
}

/// Sends the event that hotplug scripts go by, with what `xen-netback` tells in it.
fn announce(vif: &Vif) -> Result {
    let name = vif::name(&vif.device)?;
    let name = CString::try_from_fmt(fmt!("vif={}", BStr::from_bytes(name.to_bytes())))?;
    let Some(script) = vif.device.store().read(c"script")? else {
        return vif.device.announce_online(&[&name]);
    };
    let script = BStr::from_bytes(script.as_bytes());
    let script = CString::try_from_fmt(fmt!("script={script}"))?;

    vif.device.announce_online(&[&script, &name])
}

/// Does what the frontend's state asks for.
pub(crate) fn frontend_changed(vif: &Arc<Vif>, state: XenbusState) -> Afterwards {
    let mut life = vif.life.lock();
    let Some(phase) = life.cycle.phase() else {
        return Afterwards::Stay;
    };
    let action = backend(phase, state, vif.device.online());

    match action {
        BackendAction::Nothing => {}
        BackendAction::Reopen => {
            life.cycle.disconnect(vif);
            if let Err(error) = publish(vif, &mut life) {
                if is_first(&mut life.said_unpublished) {
                    dev_err!(vif.device, "cannot publish the offer: {error:?}\n");
                }
            }
        }
        BackendAction::Connect => return answered(vif, &mut life),
        BackendAction::Disconnect | BackendAction::Close => {
            life.cycle.disconnect(vif);
            life.cycle.enter(vif, action.leads_to(phase));
        }
        BackendAction::Unregister => {
            life.cycle.disconnect(vif);
            life.cycle.enter(vif, action.leads_to(phase));
            return Afterwards::Unregister;
        }
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

/// Takes everything down before the device is unbound.
pub(crate) fn unbind(vif: &Arc<Vif>) {
    let mut life = vif.life.lock();
    let was_connected = life.cycle.is_connected();

    life.cycle.let_go();
    let started = life.cycle.unbind();
    let handing_on = life.cycle.is_handing_on();
    drop(life);
    // Not under the lock, as they wait for their users, and take the network's own.
    drop(started.watchers);
    drop(started.registration);

    let mut store = vif.device.store();
    // A directory that the toolstack has removed already has no offer to remove.
    let _ = Offer::remove_from(&mut store);
    let _ = classic::withdraw(&store);
    if !handing_on {
        let _ = vif.device.switch_state(XenbusState::Closing);
        if was_connected {
            await_frontend(vif);
        }
    }
    // The frontend has let go of this side's pages, or is not going to.
    vif.life.lock().cycle.disconnect(vif);
    if !handing_on {
        let _ = vif.device.switch_state(XenbusState::Closed);
    }
}

/// Gives a frontend that was connected a second to let go, before the backend is gone.
fn await_frontend(vif: &Vif) {
    for _ in 0..100 {
        match vif.device.read_state(&vif.otherend) {
            XenbusState::Initialised | XenbusState::Connected => {
                fsleep(Delta::from_millis(10));
            }
            _ => return,
        }
    }
}

fn publish(vif: &Vif, life: &mut Life) -> Result {
    let device = &vif.device;

    in_transaction(|transaction| {
        let mut store = device.store().within(transaction);

        offer().write_to(&mut store)?;
        classic::invite(&store)
    })?;
    life.cycle.enter(vif, Phase::InitWait);
    Ok(())
}

/// Connects to a frontend that has answered, or hands a classic one on.
fn answered(vif: &Arc<Vif>, life: &mut Life) -> Afterwards {
    if !is_hotplugged(vif) {
        // The frontend goes on when its vif is where it belongs. One that is handed on is made anew,
        // which the script must not meet while it is at work on the old one.
        if is_first(&mut life.said_waiting) {
            dev_info!(
                vif.device,
                "the guest has answered: waiting until {HOTPLUG_STATUS:?} is connected\n"
            );
        }
        return Afterwards::Await(HOTPLUG_STATUS);
    }

    match Directory::new(&vif.otherend).read(keys::VERSION.as_c_str()) {
        Ok(None) => match life.cycle.may_connect() {
            Ok(()) => {
                dev_info!(
                    vif.device,
                    "the guest has no Netchannel 2: giving the vif to xen-netback\n"
                );
                life.cycle.hand_on();
                return Afterwards::HandOn(classic::MODULE);
            }
            // Another driver's connection is one too.
            Err(refusal) => life.cycle.connected(vif, Err(refusal)),
        },
        Ok(Some(_)) => {
            let result = connect(vif, life);

            life.cycle.connected(vif, result);
        }
        Err(error) => life.cycle.fail(
            vif,
            fmt!("cannot read {}: {error:?}", keys::VERSION.as_str()),
        ),
    }
    Afterwards::Stay
}

fn connect(vif: &Arc<Vif>, life: &Life) -> Result<Link<Vif>, Refusal> {
    life.cycle.may_connect()?;
    let answer = Answer::read_from(&Directory::new(&vif.otherend), &offer())
        .map_err(Refusal::of_reading("reading the answer"))?;
    let [endpoint] = &answer.queues;
    let memory = QueueMemory::map(&vif.device, endpoint, answer.negotiated.order)
        .map_err(Refusal::of("mapping ring-refs"))?;
    let events = EventChannel::bind_remote(&vif.device, endpoint.port, vif.channel.napi().clone())
        .map_err(Refusal::of("binding event-channel"))?;
    let parameters = parameters::common().map_err(Refusal::of("parameters"))?;
    let grant_ranges = parameters::grant_ranges().map_err(Refusal::of("parameters"))?;

    netchannel2_kernel::vif::connect(
        vif,
        Role::Backend,
        memory,
        events,
        answer.negotiated.features,
        grant_ranges,
        &parameters,
    )
}

/// Whether the hotplug script has run.
fn is_hotplugged(vif: &Vif) -> bool {
    matches!(
        vif.device.store().read(HOTPLUG_STATUS),
        Ok(Some(status)) if status.as_bytes() == b"connected"
    )
}
