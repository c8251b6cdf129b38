// SPDX-License-Identifier: GPL-2.0

//! Connecting and disconnecting, as the states of both ends ask for.
//!
//! What is to be done is decided by `netchannel2_core::handshake::state`; all of it runs under the
//! lock of [`Life`], in xenwatch, in the module's work queue, or in the thread that unbinds.

use crate::{
    classic,
    parameters,
    vif::Vif, //
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
    error::AccessError,
    handshake::{
        keys,
        state::{
            backend,
            BackendAction,
            Phase,
            XenbusState, //
        },
        Answer,
        Offer, //
    },
};
use netchannel2_kernel::{
    channel::{
        Connection,
        Link,
        Role, //
    },
    event::EventChannel,
    net::{
        Offloads,
        Registration, //
    },
    ring::QueueMemory,
    xenbus::{
        in_transaction,
        Afterwards,
        Directory,
        Watch, //
    },
};

/// Pages that frontends of one device may keep in use after their connections have ended: as many
/// as one connection lends. With more, no further connection is made.
const MAX_KEPT_PAGES: u32 = 256;

/// How far a vif is, and what it holds meanwhile.
#[derive(Default)]
pub(crate) struct Life {
    phase: Option<Phase>,
    link: Option<Link<Vif>>,
    registration: Option<Registration<Vif>>,
    hotplug: Option<Pin<KBox<Watch<Vif>>>>,
    /// The frontend has answered and the hotplug script has not run yet.
    awaiting_hotplug: bool,
    /// Pages that frontends did not let go of.
    kept_pages: u32,
    /// The device is being given to the next driver.
    handing_over: bool,
}

/// What this backend can do.
fn offer() -> Offer {
    Offer {
        features: Offloads::PROTOCOL,
        ..Offer::full()
    }
}

/// Registers the net device and publishes the offer.
///
/// # Errors
///
/// Those of registration and of xenstore.
pub(crate) fn start(vif: &Arc<Vif>) -> Result {
    let registration = Registration::new(vif.netdev.clone(), vif.clone())?;
    let hotplug = Watch::new(
        CString::try_from_fmt(fmt!("{}/hotplug-status", vif.device.nodename()))?,
        vif.clone(),
    )?;
    let mut life = vif.life.lock();

    life.registration = Some(registration);
    life.hotplug = Some(hotplug);
    publish(vif, &mut life)?;
    drop(life);
    // For an interface that takes another's place, after the module was loaded anew.
    let _ = vif.device.announce_online();
    Ok(())
}

/// Does what the frontend's new state asks for.
pub(crate) fn frontend_changed(vif: &Arc<Vif>, state: XenbusState) -> Afterwards {
    let mut life = vif.life.lock();
    let Some(phase) = life.phase else {
        return Afterwards::Stay;
    };

    if life.handing_over {
        return Afterwards::Stay;
    }
    let action = backend(phase, state, vif.device.online());

    match action {
        BackendAction::Nothing => {}
        BackendAction::Reopen => {
            disconnect(&mut life);
            if let Err(error) = publish(vif, &mut life) {
                dev_err!(vif.device, "cannot publish the offer: {error:?}\n");
            }
        }
        BackendAction::Connect => answered(vif, &mut life),
        BackendAction::Disconnect | BackendAction::Close => {
            disconnect(&mut life);
            enter(vif, &mut life, action.leads_to(phase));
        }
        BackendAction::Unregister => {
            disconnect(&mut life);
            enter(vif, &mut life, action.leads_to(phase));
            return Afterwards::Unregister;
        }
    }
    Afterwards::Stay
}

/// Ends a failed connection, and goes on with one that waited for the hotplug script.
pub(crate) fn attend(vif: &Arc<Vif>) {
    let mut life = vif.life.lock();

    if life.phase.is_none() || life.handing_over {
        return;
    }
    if let Some(fault) = vif.channel.take_fault() {
        if life.link.is_some() {
            fail(vif, &mut life, format_args!("{fault}"));
        }
    }
    if life.awaiting_hotplug && is_hotplugged(vif) {
        answered(vif, &mut life);
    }
}

/// Takes everything down before the device is unbound.
pub(crate) fn unbind(vif: &Arc<Vif>) {
    let mut life = vif.life.lock();
    let was_connected = life.link.is_some();

    disconnect(&mut life);
    life.phase = None;
    let registration = life.registration.take();
    let hotplug = life.hotplug.take();
    let handing_over = life.handing_over;
    drop(life);

    // Not under the lock: this waits for xenwatch, which may wait for the lock.
    drop(hotplug);
    drop(registration);

    let mut store = vif.device.store();
    // A directory that the toolstack has removed already has no offer to remove.
    let _ = Offer::remove_from(&mut store);
    let _ = classic::withdraw(&store);
    if !handing_over {
        let _ = vif.device.switch_state(XenbusState::Closing);
        if was_connected {
            await_frontend(vif);
        }
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
    enter(vif, life, Phase::InitWait);
    Ok(())
}

/// Connects, once the hotplug script has put the interface where it belongs.
fn answered(vif: &Arc<Vif>, life: &mut Life) {
    let frontend = Directory::new(&vif.otherend);

    match frontend.read(keys::VERSION.as_c_str()) {
        Ok(None) => {
            dev_info!(vif.device, "the guest has no Netchannel 2: giving the vif to xen-netback\n");
            life.handing_over = true;
            classic::hand_over(vif);
            return;
        }
        Ok(Some(_)) => {}
        Err(error) => {
            fail(vif, life, fmt!("cannot read {}: {error:?}", keys::VERSION.as_str()));
            return;
        }
    }

    life.awaiting_hotplug = !is_hotplugged(vif);
    if life.awaiting_hotplug {
        return;
    }
    match connect(vif, life, &frontend) {
        Ok(link) => {
            life.link = Some(link);
            enter(vif, life, Phase::Connected);
            dev_info!(vif.device, "connected\n");
        }
        Err(Refusal::Answer(error)) => fail(vif, life, format_args!("{error}")),
        Err(Refusal::Setup(what, error)) => {
            fail(vif, life, fmt!("cannot set up the queue: {what}: {error:?}"));
        }
    }
}

/// Why a connection does not come about.
enum Refusal {
    /// The frontend's answer breaks a rule.
    Answer(netchannel2_core::error::HandshakeError),
    /// A step failed.
    Setup(&'static str, Error),
}

fn connect(
    vif: &Arc<Vif>,
    life: &Life,
    frontend: &Directory<'_>,
) -> Result<Link<Vif>, Refusal> {
    let step = |what| move |error| Refusal::Setup(what, error);

    if life.kept_pages > MAX_KEPT_PAGES {
        return Err(Refusal::Setup("pages of earlier connections are in use", EBUSY));
    }
    let answer = Answer::read_from(frontend, &offer()).map_err(|error| match error {
        AccessError::Handshake(error) => Refusal::Answer(error),
        AccessError::Store(error) => Refusal::Setup("reading the answer", error),
    })?;
    let [endpoint] = &answer.queues;
    let order = answer.negotiated.order;
    let memory =
        QueueMemory::map(&vif.device, endpoint, order).map_err(step("mapping ring-refs"))?;
    let memory = Arc::new(memory, GFP_KERNEL).map_err(|_| step("memory")(ENOMEM))?;
    let events =
        EventChannel::bind_remote(&vif.device, endpoint.port, vif.channel.napi().clone())
            .map_err(step("binding event-channel"))?;
    let events = Arc::new(events, GFP_KERNEL).map_err(|_| step("memory")(ENOMEM))?;

    vif.netdev
        .set_offloads(Offloads::with(answer.negotiated.features));
    vif.channel
        .connect(
            Connection {
                role: Role::Backend,
                peer: vif.device.otherend_id(),
                memory,
                events,
                features: answer.negotiated.features,
                thresholds: parameters::thresholds(),
            },
            vif.clone(),
        )
        .map_err(step("starting the queue"))
}

/// Says the one line of what was wrong, and closes.
fn fail(vif: &Vif, life: &mut Life, what: Arguments<'_>) {
    dev_err!(vif.device, "closing the channel: {what}\n");
    disconnect(life);
    enter(vif, life, Phase::Failed);
}

fn disconnect(life: &mut Life) {
    life.awaiting_hotplug = false;
    if let Some(link) = life.link.take() {
        life.kept_pages = life.kept_pages.saturating_add(link.disconnect());
    }
}

fn enter(vif: &Vif, life: &mut Life, phase: Phase) {
    life.phase = Some(phase);
    // The kernel has reported an error in xenstore; a directory that is gone is none.
    let _ = vif.device.switch_state(phase.state());
}

/// Whether the hotplug script has run.
fn is_hotplugged(vif: &Vif) -> bool {
    matches!(
        vif.device.store().read(c"hotplug-status"),
        Ok(Some(status)) if status.as_bytes() == b"connected"
    )
}
