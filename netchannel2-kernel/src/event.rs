// SPDX-License-Identifier: GPL-2.0

//! Event channels between this domain and a peer, with late EOI.
//!
//! Late EOI keeps an event channel masked from the moment its interrupt was taken until its work is
//! done, so a peer cannot storm this domain with events (XSA-332, XSA-391).
//!
//! C header: [`include/xen/events.h`](srctree/include/xen/events.h)

use crate::{
    bindings,
    context_of,
    xenbus::Device, //
};
use core::ffi::c_void;
use kernel::{
    error::to_result,
    ffi::{
        c_int,
        c_uint, //
    },
    prelude::*,
    str::CString,
    sync::{
        atomic::{
            Atomic,
            Full, //
        },
        rcu,
        Arc, //
    }, //
};
use netchannel2_core::units::{
    DomId,
    EventPort, //
};

/// What takes the events of an [`EventChannel`].
pub trait EventHandler: Send + Sync + 'static {
    /// Called in interrupt context for every event.
    ///
    /// The channel stays masked until [`EventChannel::end_of_interrupt`].
    fn event(&self);
}

/// Whether an event found something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventWork {
    /// There was work.
    Found,
    /// There was none: the kernel delays the next event of a peer that keeps sending such.
    Spurious,
}

/// Whether there was an interrupt to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// There was, and it has ended.
    Ended,
    /// There was none.
    None,
}

/// A bound event channel.
///
/// # Invariants
///
/// `irq` is bound to the channel with [`Self::handle_irq`] and the address of `self.shared`'s
/// contents as its context, until `self` is dropped.
pub struct EventChannel<H: EventHandler> {
    irq: c_uint,
    shared: Arc<Shared<H>>,
    /// The interrupt's name, as /proc/interrupts shows it.
    _name: CString,
}

struct Shared<H: EventHandler> {
    handler: Arc<H>,
    /// 1 from an interrupt until its EOI.
    unfinished: Atomic<u32>,
}

impl<H: EventHandler> EventChannel<H> {
    /// Binds a port of this domain, which the peer has bound or may bind to, as interrupt `name`.
    ///
    /// A name has no slash, as it becomes a folder in /proc/irq.
    ///
    /// # Errors
    ///
    /// Those of `bind_evtchn_to_irqhandler_lateeoi()`; `ENOMEM`.
    pub fn bind_local(name: &CStr, port: Port, handler: Arc<H>) -> Result<Self> {
        let (name, shared) = (CString::try_from(name)?, Shared::new(handler)?);
        // The kernel closes it with the binding.
        let (port, peer) = port.into_parts();
        // SAFETY: The handler's context is kept alive by `Self::shared` until
        // `unbind_from_irqhandler()` has returned, and the name by `Self::_name`.
        let irq = unsafe {
            bindings::bind_evtchn_to_irqhandler_lateeoi(
                port.get(),
                Some(Self::handle_irq),
                0,
                name.as_char_ptr(),
                context_of(&*shared),
            )
        };

        Self::from_irq(irq, shared, name).inspect_err(|_| close_unbound(port, peer))
    }

    /// Binds to the peer's `port` as the backend of `device`.
    ///
    /// # Errors
    ///
    /// Those of `bind_interdomain_evtchn_to_irqhandler_lateeoi()`; `EINVAL` for a port that the
    /// peer did not open for this domain. If the kernel has no memory for an interrupt it leaves the
    /// port open that it has bound, and tells nobody its number.
    pub fn bind_remote(device: &Device, port: EventPort, handler: Arc<H>) -> Result<Self> {
        let (name, shared) = (CString::try_from(device.name())?, Shared::new(handler)?);
        // SAFETY: As in `bind_local`; `device` is a valid xenbus device.
        let irq = unsafe {
            bindings::bind_interdomain_evtchn_to_irqhandler_lateeoi(
                device.as_raw(),
                port.get(),
                Some(Self::handle_irq),
                0,
                name.as_char_ptr(),
                context_of(&*shared),
            )
        };

        Self::from_irq(irq, shared, name)
    }

    /// Sends an event to the peer.
    pub fn notify(&self) {
        // SAFETY: By the type invariant the irq is bound to an event channel.
        unsafe { bindings::notify_remote_via_irq(self.irq as c_int) }
    }

    /// Lets the next event through, if one was taken since the last call.
    pub fn end_of_interrupt(&self, work: EventWork) -> Interrupt {
        if self.shared.unfinished.xchg(0, Full) == 0 {
            return Interrupt::None;
        }

        let flags = match work {
            EventWork::Found => 0,
            EventWork::Spurious => bindings::XEN_EOI_FLAG_SPURIOUS,
        };
        // SAFETY: By the type invariant the irq is bound with late EOI; `unfinished` was 1, so
        // exactly one EOI is owed.
        unsafe { bindings::xen_irq_lateeoi(self.irq, flags) }
        Interrupt::Ended
    }

    fn from_irq(irq: c_int, shared: Arc<Shared<H>>, name: CString) -> Result<Self> {
        if irq < 0 {
            return Err(Error::from_errno(irq));
        }
        // INVARIANT: The caller bound `irq` with the address of `shared`.
        Ok(Self {
            irq: irq.unsigned_abs(),
            shared,
            _name: name,
        })
    }

    extern "C" fn handle_irq(_irq: c_int, context: *mut c_void) -> bindings::irqreturn_t {
        // SAFETY: The context is the address of a `Shared<H>` that outlives the binding.
        let shared = unsafe { &*context.cast::<Shared<H>>() };

        shared.unfinished.xchg(1, Full);
        shared.handler.event();
        bindings::irqreturn_IRQ_HANDLED
    }
}

impl<H: EventHandler> Shared<H> {
    fn new(handler: Arc<H>) -> Result<Arc<Self>> {
        Ok(Arc::new(
            Self {
                handler,
                unfinished: Atomic::new(0),
            },
            GFP_KERNEL,
        )?)
    }
}

impl<H: EventHandler> Drop for EventChannel<H> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant irq and context are what was bound. The call waits for
        // running handlers and closes the channel.
        unsafe { bindings::unbind_from_irqhandler(self.irq, context_of(&*self.shared)) }
    }
}

/// An event channel port of this domain that is bound to no interrupt; closed when dropped.
///
/// # Invariants
///
/// The port is open, for the peer to bind to.
pub struct Port(EventPort, DomId);

impl Port {
    /// Opens a port that `peer` may bind to.
    ///
    /// # Errors
    ///
    /// That of `EVTCHNOP_alloc_unbound`; `EINVAL` for a port beyond the protocol's range.
    pub fn for_peer(peer: DomId) -> Result<Self> {
        let mut port = 0;
        // SAFETY: `port` is valid for a write.
        let err = unsafe { bindings::nc2_evtchn_alloc_unbound(peer.get(), &mut port) };

        to_result(err)?;
        // INVARIANT: The port was just opened.
        EventPort::new(port)
            .map(|port| Self(port, peer))
            .ok_or_else(|| {
                // SAFETY: The port was opened above and is bound to no interrupt.
                unsafe { bindings::nc2_evtchn_close(port) };
                EINVAL
            })
    }

    /// Returns the number, which the peer binds to.
    pub fn number(&self) -> EventPort {
        self.0
    }

    fn into_parts(self) -> (EventPort, DomId) {
        let parts = (self.0, self.1);

        core::mem::forget(self);
        parts
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the port is open, and it is bound to no interrupt.
        unsafe { bindings::nc2_evtchn_close(self.0.get()) }
    }
}

/// Closes a port that could not be bound to an interrupt, if it is open.
///
/// `bind_evtchn_to_irqhandler_lateeoi()` has closed it if it got as far as to give it an interrupt
/// (`__unbind_from_irq()`), and has not if it got none; the error is the same. Xen knows, and the
/// kernel knows whether somebody else has opened the port since and bound an interrupt to it.
fn close_unbound(port: EventPort, peer: DomId) {
    let mut status: bindings::evtchn_status = pin_init::zeroed();

    status.dom = bindings::DOMID_SELF as u16;
    status.port = port.get();
    // SAFETY: `status` is valid for the hypercall, which reads the domain and the port.
    let found = unsafe { bindings::nc2_evtchn_status(&mut status) };

    if found != 0 || status.status != bindings::EVTCHNSTAT_unbound || has_interrupt(port) {
        return;
    }
    // SAFETY: That is the part of an unbound port, which Xen has filled in.
    if unsafe { status.u.unbound.dom } == peer.get() {
        // SAFETY: The port is open and bound to no interrupt.
        unsafe { bindings::nc2_evtchn_close(port.get()) }
    }
}

/// Whether an interrupt is bound to a port of this domain.
fn has_interrupt(port: EventPort) -> bool {
    // The kernel looks into what it frees by RCU.
    let _guard = rcu::read_lock();
    // SAFETY: Any number will do: the kernel knows which ones have an interrupt, and says -1 of others.
    let irq = unsafe { bindings::irq_from_evtchn(port.get()) };

    c_int::try_from(irq).is_ok_and(|irq| irq > 0)
}

/// Opens a port for this very domain and has it closed as after a binding that failed: first as if it
/// were for another domain, then twice rightly. Says whether it is open after each of both.
///
/// # Errors
///
/// Those of `EVTCHNOP_alloc_unbound`.
#[cfg(CONFIG_KUNIT = "y")]
pub fn close_for_test(own: DomId) -> Result<[bool; 2]> {
    let (port, peer) = Port::for_peer(own)?.into_parts();

    // Another's port is left alone.
    close_unbound(port, DomId::new(peer.get().wrapping_add(1)));
    let before = is_open(port);
    close_unbound(port, peer);
    close_unbound(port, peer);
    Ok([before, is_open(port)])
}

/// Has a port for this very domain closed as after a binding that failed. Says whether it is open
/// after that.
#[cfg(CONFIG_KUNIT = "y")]
pub fn stays_open_for_test(own: DomId, port: EventPort) -> bool {
    close_unbound(port, own);
    is_open(port)
}

#[cfg(CONFIG_KUNIT = "y")]
fn is_open(port: EventPort) -> bool {
    let mut status: bindings::evtchn_status = pin_init::zeroed();

    status.dom = bindings::DOMID_SELF as u16;
    status.port = port.get();
    // SAFETY: `status` is valid for the hypercall.
    unsafe { bindings::nc2_evtchn_status(&mut status) == 0 && status.status != 0 }
}

/// Binds to `port` of this very domain and raises `count` events there.
///
/// # Errors
///
/// Those of `EVTCHNOP_bind_interdomain`.
#[cfg(CONFIG_KUNIT = "y")]
pub fn raise_for_test(own: DomId, port: EventPort, count: usize) -> Result {
    let mut local = 0;
    // SAFETY: `local` is valid for a write.
    to_result(unsafe { bindings::nc2_evtchn_bind_interdomain(own.get(), port.get(), &mut local) })?;
    for _ in 0..count {
        // SAFETY: The port is bound.
        unsafe { bindings::nc2_evtchn_notify(local) };
    }
    // SAFETY: The port was bound above and to no interrupt.
    unsafe { bindings::nc2_evtchn_close(local) };
    Ok(())
}
