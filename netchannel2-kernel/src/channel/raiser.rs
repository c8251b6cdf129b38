// SPDX-License-Identifier: GPL-2.0

//! Raising the events towards the peer, when `netchannel2_core::moderation` says so.
//!
//! What is owed is settled at the end of a poll. A batch that did not begin in one has NAPI polled
//! next, in the same round of softirqs; so does the timer of an event that waits for time to pass.

use crate::{
    event::EventChannel,
    net::{
        Napi,
        Poll, //
    },
    ring::Ring,
    timer::{
        MonotonicClock,
        Timer,
        TimerHandler, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};
use netchannel2_core::{
    error::Violation,
    moderation::{
        Action,
        Cause,
        Clock,
        Instant,
        Limits,
        Moderator,
        Settings,
        Work, //
    },
    queue::Sender,
    stats::SendCounters,
    wire::{
        Purpose,
        SetModeration, //
    },
};

/// The events of one connection.
pub(super) struct Raiser<P: Poll> {
    moderator: Moderator,
    events: Arc<EventChannel<Napi<P>>>,
    napi: Arc<Napi<P>>,
    clock: MonotonicClock,
    timer: Pin<KBox<Timer<Napi<P>>>>,
    /// When the timer expires, unless it has.
    armed: Option<Instant>,
    place: Place,
    /// What was published.
    published: Published,
    /// What the peer asked for, and what it takes to be in force.
    wish: Option<(SetModeration, Settings)>,
}

/// Whether a poll is going on, at whose end what is owed is settled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    InPoll,
    Outside,
}

/// Sums of all publications.
#[derive(Clone, Copy, Default)]
struct Published {
    packets: u64,
    bytes: u64,
    completions: u64,
}

impl<P: Poll> Raiser<P> {
    pub(super) fn new(events: Arc<EventChannel<Napi<P>>>, napi: Arc<Napi<P>>) -> Result<Self> {
        Ok(Self {
            moderator: Moderator::new(),
            events,
            clock: MonotonicClock::new(),
            timer: KBox::pin_init(Timer::new(napi.clone()), GFP_KERNEL)?,
            napi,
            armed: None,
            place: Place::Outside,
            published: Published::default(),
            wish: None,
        })
    }

    /// Shows the peer all that was sent, and raises the event or sees to it that it is.
    #[inline]
    pub(super) fn publish(&mut self, sender: &mut Sender<Ring>) -> Result<(), Violation> {
        let since = sender.published();
        let notify = sender.publish()?;
        let work = self.published.advance(sender.counters());

        match self.moderator.published(work, notify, since, &self.clock) {
            Action::Nothing => Ok(()),
            action => self.act(action, sender),
        }
    }

    /// Shows the peer all that was sent, and makes it look: it may be asleep without having asked
    /// for an event.
    pub(super) fn greet(&mut self, sender: &mut Sender<Ring>) -> Result<(), Violation> {
        let _ = sender.publish()?;

        self.published.advance(sender.counters());
        self.tell(Cause::Immediate);
        Ok(())
    }

    /// Begins a poll, which ends with [`Self::settle`].
    pub(super) fn begin_poll(&mut self) {
        self.place = Place::InPoll;
    }

    /// Raises the event that is owed, if it is due.
    pub(super) fn settle(&mut self, sender: &mut Sender<Ring>) -> Result<(), Violation> {
        self.place = Place::Outside;
        if let Some(armed) = self.armed {
            // It has expired, and this poll may be what came of it.
            if armed <= self.clock.now() {
                self.armed = None;
            }
        }

        match self.moderator.settle(&self.clock) {
            Action::Nothing => Ok(()),
            action => self.act(action, sender),
        }
    }

    /// Raises the event that is owed, due or not.
    pub(super) fn flush(&mut self, sender: &mut Sender<Ring>) -> Result<(), Violation> {
        let action = self.moderator.flush();

        self.act(action, sender)
    }

    /// Raises an event, which tells of all that is owed too.
    pub(super) fn tell(&mut self, cause: Cause) {
        self.events.notify();
        self.moderator.raised(cause, &self.clock);
    }

    /// Does as the peer wishes, within `limits`.
    pub(super) fn on_wish(
        &mut self,
        sender: &mut Sender<Ring>,
        wish: SetModeration,
        limits: Limits,
    ) -> Result<(), Violation> {
        self.wish = Some((wish, wish.settings));
        self.limit(sender, limits)
    }

    /// Keeps the peer's wish within `limits`, and tells it what that comes to if it does not know.
    pub(super) fn limit(
        &mut self,
        sender: &mut Sender<Ring>,
        limits: Limits,
    ) -> Result<(), Violation> {
        let Some((wish, believed)) = &mut self.wish else {
            return Ok(());
        };
        let in_force = self.moderator.configure(wish.settings, limits);

        if in_force != *believed {
            *believed = in_force;
            sender.set_moderation(SetModeration {
                purpose: Purpose::InForce,
                settings: in_force,
                ..*wish
            });
        }
        // Not as long as before.
        self.flush(sender)
    }

    pub(super) fn moderator(&self) -> &Moderator {
        &self.moderator
    }

    fn act(&mut self, action: Action, sender: &mut Sender<Ring>) -> Result<(), Violation> {
        match action {
            Action::Nothing => {}
            Action::Raise(cause) => return self.raise(cause, sender),
            Action::AtBatchEnd if self.place == Place::InPoll => {}
            Action::AtBatchEnd => self.napi.schedule(),
            Action::At(time) => self.arm(time),
        }
        Ok(())
    }

    fn raise(&mut self, cause: Cause, sender: &mut Sender<Ring>) -> Result<(), Violation> {
        // An event that has not waited has not been overtaken.
        if cause != Cause::Immediate {
            if let Some(since) = self.moderator.owed_since() {
                if sender.is_consumed_beyond(since)? {
                    self.moderator.dropped();
                    return Ok(());
                }
            }
        }
        self.tell(cause);
        Ok(())
    }

    /// Starts the timer, unless it expires sooner anyway, whereupon it is started again.
    fn arm(&mut self, time: Instant) {
        if self.armed.is_some_and(|armed| armed <= time) {
            return;
        }
        self.armed = Some(time);
        self.timer.start(time.since(self.clock.now()));
    }
}

impl Published {
    /// Returns what was published since the last call.
    #[inline]
    fn advance(&mut self, counters: &SendCounters) -> Work {
        let before = core::mem::replace(
            self,
            Self {
                packets: counters.packets(),
                bytes: counters.bytes(),
                completions: counters.finishes,
            },
        );
        let count =
            |now: u64, before: u64| u32::try_from(now.wrapping_sub(before)).unwrap_or(u32::MAX);

        Work {
            packets: count(self.packets, before.packets),
            bytes: self.bytes.wrapping_sub(before.bytes),
            completions: count(self.completions, before.completions),
        }
    }
}

impl<P: Poll> TimerHandler for Napi<P> {
    fn expired(&self) {
        self.schedule();
    }
}
