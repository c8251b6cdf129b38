// SPDX-License-Identifier: GPL-2.0

//! What this device wants of the events towards it, and what its peer may want.
//!
//! The settings are the device's: each connection starts with them.

use super::{
    transmit::SendSide,
    Channel,
    Fault, //
};
use crate::{
    debug::Show,
    net::{
        Coalesce,
        NotModerating,
        Poll, //
    },
};
use kernel::{
    fmt,
    prelude::*, //
};
use netchannel2_core::{
    moderation::{
        Cause,
        Limits,
        Report,
        Rule,
        Settings, //
    },
    stats::EventCounters,
    wire::{
        Purpose,
        SetModeration,
        WishNumber, //
    },
};

/// Whether the other end does as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// There is no connection.
    NotConnected,
    /// The other end moderates its events.
    Moderating,
    /// It raises every event at once, always.
    Immediate,
}

/// The settings of a device.
pub(super) struct Moderation {
    settings: Settings,
    limits: Limits,
    number: WishNumber,
    /// What the peer does instead, if it does not do all that it was asked for.
    in_force: Option<Settings>,
    reach: Reach,
}

impl Moderation {
    pub(super) fn new(settings: Settings, limits: Limits) -> Self {
        Self {
            settings,
            limits,
            number: WishNumber::default(),
            in_force: None,
            reach: Reach::NotConnected,
        }
    }

    /// Starts or ends a connection, and returns what the peer is to be told then.
    pub(super) fn reach(&mut self, reach: Reach) -> SetModeration {
        self.reach = reach;
        self.wish()
    }

    /// Makes a new wish of the settings.
    fn wish(&mut self) -> SetModeration {
        self.number = self.number.next();
        self.in_force = None;
        SetModeration {
            purpose: Purpose::Wish,
            number: self.number,
            settings: self.settings,
        }
    }

    fn in_force(&self) -> Settings {
        match self.reach {
            Reach::Immediate => Settings::IMMEDIATE,
            Reach::NotConnected | Reach::Moderating => self.in_force.unwrap_or(self.settings),
        }
    }

    fn answered(&mut self, answer: SetModeration) {
        if answer.number == self.number {
            self.in_force = Some(answer.settings);
        }
    }
}

impl<P: Poll> Coalesce for Channel<P> {
    fn coalesce(&self) -> Settings {
        self.moderation.lock().in_force()
    }

    fn coalesce_wanted(&self) -> Settings {
        self.moderation.lock().settings
    }

    fn set_coalesce(&self, settings: Settings) -> Result<(), NotModerating> {
        let mut guard = self.send.lock();
        let wish = {
            let mut moderation = self.moderation.lock();

            if moderation.reach == Reach::Immediate {
                return Err(NotModerating);
            }
            moderation.settings = settings;
            moderation.wish()
        };

        if let Some(side) = &mut *guard {
            if let Err(fault) = side.say(wish) {
                self.fail(fault);
            }
        }
        Ok(())
    }

    fn moderation_limits(&self) -> Limits {
        self.moderation.lock().limits
    }

    fn set_moderation_limits(&self, limits: Limits) {
        let mut guard = self.send.lock();

        self.moderation.lock().limits = limits;
        if let Some(side) = &mut *guard {
            if let Err(fault) = side.limit(limits) {
                self.fail(fault);
            }
        }
    }
}

impl<P: Poll> Channel<P> {
    /// Takes note of what the peer says about events.
    pub(super) fn on_moderation(&self, said: SetModeration) -> Result<(), Fault> {
        let mut guard = self.send.lock();
        let limits = {
            let mut moderation = self.moderation.lock();

            if said.purpose == Purpose::InForce {
                moderation.answered(said);
                return Ok(());
            }
            moderation.limits
        };

        match &mut *guard {
            Some(side) => side.on_wish(said, limits),
            None => Ok(()),
        }
    }

    /// Tells the peer that there is space, which nothing delays.
    pub(super) fn tell_of_space(&self) {
        if let Some(side) = &mut *self.send.lock() {
            side.tell(Cause::Room);
        }
    }

    /// Raises what is owed at the end of a poll.
    pub(super) fn settle_events(&self) {
        let settled = match &mut *self.send.lock() {
            Some(side) => side.settle_events(),
            None => Ok(()),
        };

        if let Err(fault) = settled {
            self.fail(fault);
        }
    }
}

/// How events are moderated, towards this end and from it.
impl<P: Poll> Show for Channel<P> {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wanted, in_force) = {
            let moderation = self.moderation.lock();

            (moderation.settings, moderation.in_force())
        };
        // Copied, so that nothing waits for the formatting.
        let moderator = self
            .send
            .lock()
            .as_ref()
            .map(|side| *side.raiser.moderator());

        writeln!(f, "[towards this end, raised by the other one]")?;
        show_rule(f, "rx, wanted", &wanted.packets)?;
        show_rule(f, "rx, in force", &in_force.packets)?;
        show_rule(f, "tx, wanted", &wanted.completions)?;
        show_rule(f, "tx, in force", &in_force.completions)?;
        writeln!(f, "[towards the other end, raised here]")?;
        match &moderator {
            Some(moderator) => write!(f, "{}", Report(moderator)),
            None => writeln!(f, "not connected"),
        }
    }
}

fn show_rule(f: &mut fmt::Formatter<'_>, name: &str, rule: &Rule) -> fmt::Result {
    let (usecs, frames) = (rule.usecs.get(), rule.frames.get());
    let adaptive = if rule.adaptive.is_on() {
        ", adaptive"
    } else {
        ""
    };

    writeln!(f, "{name}: {usecs} us, {frames} frames{adaptive}")
}

impl<P: Poll> SendSide<P> {
    /// Sends what is to be said about events.
    pub(super) fn say(&mut self, message: SetModeration) -> Result<(), Fault> {
        self.sender.set_moderation(message);
        self.publish()?;
        Ok(self.await_room_for_what_is_owed()?)
    }

    pub(super) fn limit(&mut self, limits: Limits) -> Result<(), Fault> {
        self.raiser.limit(&mut self.sender, limits)?;
        self.publish()?;
        Ok(self.await_room_for_what_is_owed()?)
    }

    /// Does as the peer wishes; what it is told in turn is published at the end of the poll.
    fn on_wish(&mut self, wish: SetModeration, limits: Limits) -> Result<(), Fault> {
        Ok(self.raiser.on_wish(&mut self.sender, wish, limits)?)
    }

    pub(super) fn event_counters(&self) -> &EventCounters {
        self.raiser.moderator().counters()
    }

    fn tell(&mut self, cause: Cause) {
        self.raiser.tell(cause);
    }

    fn settle_events(&mut self) -> Result<(), Fault> {
        Ok(self.raiser.settle(&mut self.sender)?)
    }
}
