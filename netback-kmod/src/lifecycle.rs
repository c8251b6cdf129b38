// SPDX-License-Identifier: GPL-2.0

//! Connecting and disconnecting, as the states of both ends ask for.
//!
//! What is to be done is decided by `netchannel2_core::handshake::state`; all of it runs under the
//! lock of [`Life`], in xenwatch, in the module's work queue, or in the thread that unbinds.

use crate::{
    classic,
    parameters,
    vif::Vif,
    FOLDER,
    QUEUE, //
};
use kernel::{
    fmt::Arguments,
    prelude::*,
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
    event::EventChannel,
    net::{
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

/// How often, every 100 ms, it is looked whether the hotplug script has run: for a minute.
const HOTPLUG_LOOKS: u32 = 600;

/// How far a vif is, and what it holds meanwhile.
#[derive(Default)]
pub(crate) struct Life {
    phase: Option<Phase>,
    link: Option<Link<Vif>>,
    registration: Option<Registration<Vif>>,
    file: Option<ShownFile<Channel<Vif>>>,
    ticker: Option<Pin<KBox<Ticker<Channel<Vif>>>>>,
    /// The frontend has answered and the hotplug script has not run yet.
    awaiting_hotplug: bool,
    breaches: Breaches,
    /// The device is being given to the next driver.
    handing_on: bool,
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
    let registration = Registration::new(vif.netdev.clone(), vif.clone())?;
    let ticker = Ticker::start(vif.channel.clone())?;
    let mut life = vif.life.lock();

    life.registration = Some(registration);
    // Missed by nobody but people who look for it.
    life.file = FOLDER.add(vif.device.name(), vif.channel.clone()).ok();
    life.ticker = Some(ticker);
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

    if life.handing_on {
        return Afterwards::Stay;
    }
    let action = backend(phase, state, vif.device.online());

    if action != BackendAction::Connect {
        life.awaiting_hotplug = false;
    }

    match action {
        BackendAction::Nothing => {}
        BackendAction::Reopen => {
            disconnect(vif, &mut life);
            if let Err(error) = publish(vif, &mut life) {
                dev_err!(vif.device, "cannot publish the offer: {error:?}\n");
            }
        }
        BackendAction::Connect => return answered(vif, &mut life),
        BackendAction::Disconnect | BackendAction::Close => {
            disconnect(vif, &mut life);
            enter(vif, &mut life, action.leads_to(phase));
        }
        BackendAction::Unregister => {
            disconnect(vif, &mut life);
            enter(vif, &mut life, action.leads_to(phase));
            return Afterwards::Unregister;
        }
    }
    Afterwards::Stay
}

/// Ends a failed connection, and goes on with one that waits for the hotplug script.
pub(crate) fn attend(vif: &Arc<Vif>) {
    for _ in 0..HOTPLUG_LOOKS {
        let mut life = vif.life.lock();

        if life.phase.is_none() || life.handing_on {
            return;
        }
        report_shortages(vif);
        if let Some(fault) = vif.channel.take_fault() {
            if life.link.is_some() {
                fail(vif, &mut life, format_args!("{fault}"));
            }
        }
        if !life.awaiting_hotplug {
            return;
        }
        if is_hotplugged(vif) {
            complete(vif, &mut life);
            return;
        }
        drop(life);
        fsleep(Delta::from_millis(100));
    }
    dev_err!(
        vif.device,
        "hotplug-status is not connected: the hotplug script has not run\n"
    );
}

/// Takes everything down before the device is unbound.
pub(crate) fn unbind(vif: &Arc<Vif>) {
    let mut life = vif.life.lock();
    let was_connected = life.link.is_some();

    if let Some(link) = &mut life.link {
        link.let_go();
    }
    life.phase = None;
    let registration = life.registration.take();
    let file = life.file.take();
    let ticker = life.ticker.take();
    let handing_on = life.handing_on;
    drop(life);
    // Not under the lock, as it waits for readers.
    drop(file);

    drop(ticker);
    // Not under the lock: this takes the network's own.
    drop(registration);

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
    disconnect(vif, &mut vif.life.lock());
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
    enter(vif, life, Phase::InitWait);
    Ok(())
}

/// Connects to a frontend that has answered, or hands a classic one on.
fn answered(vif: &Arc<Vif>, life: &mut Life) -> Afterwards {
    match Directory::new(&vif.otherend).read(keys::VERSION.as_c_str()) {
        Ok(None) => {
            dev_info!(
                vif.device,
                "the guest has no Netchannel 2: giving the vif to xen-netback\n"
            );
            life.handing_on = true;
            return Afterwards::HandOn(classic::MODULE);
        }
        Ok(Some(_)) if is_hotplugged(vif) => complete(vif, life),
        Ok(Some(_)) => {
            // The frontend goes on when its vif is where it belongs.
            life.awaiting_hotplug = true;
            QUEUE.enqueue::<Arc<Vif>, 0>(vif.clone());
        }
        Err(error) => fail(
            vif,
            life,
            fmt!("cannot read {}: {error:?}", keys::VERSION.as_str()),
        ),
    }
    Afterwards::Stay
}

fn complete(vif: &Arc<Vif>, life: &mut Life) {
    let frontend = Directory::new(&vif.otherend);

    life.awaiting_hotplug = false;
    match connect(vif, life, &frontend) {
        Ok(link) => {
            life.link = Some(link);
            enter(vif, life, Phase::Connected);
            if let Some(version) = vif.channel.grant_version() {
                dev_info!(vif.device, "connected, lending {version}\n");
            }
        }
        Err(Refusal::Answer(error)) => fail(vif, life, format_args!("{error}")),
        Err(Refusal::Setup(what, error)) => {
            fail(
                vif,
                life,
                fmt!("cannot set up the queue: {what}: {error:?}"),
            );
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

fn connect(vif: &Arc<Vif>, life: &Life, frontend: &Directory<'_>) -> Result<Link<Vif>, Refusal> {
    let step = |what| move |error| Refusal::Setup(what, error);

    life.breaches.check().map_err(step(Breaches::NAME))?;
    let answer = Answer::read_from(frontend, &offer()).map_err(|error| match error {
        AccessError::Handshake(error) => Refusal::Answer(error),
        AccessError::Store(error) => Refusal::Setup("reading the answer", error),
    })?;
    let [endpoint] = &answer.queues;
    let order = answer.negotiated.order;
    let memory =
        QueueMemory::map(&vif.device, endpoint, order).map_err(step("mapping ring-refs"))?;
    let memory = Arc::new(memory, GFP_KERNEL).map_err(|_| step("memory")(ENOMEM))?;
    let events = EventChannel::bind_remote(&vif.device, endpoint.port, vif.channel.napi().clone())
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
    life.awaiting_hotplug = false;
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

/// Whether the hotplug script has run.
fn is_hotplugged(vif: &Vif) -> bool {
    matches!(
        vif.device.store().read(c"hotplug-status"),
        Ok(Some(status)) if status.as_bytes() == b"connected"
    )
}
