// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Events that wait, by what the moderator decides.

use std::cell::Cell;

use loom::{
    sync::{
        Arc,
        Notify as Channel, //
    },
    thread, //
};
use netchannel2_core::{
    knobs::Switch,
    moderation::{
        Action,
        Cause,
        Clock,
        Frames,
        Instant,
        Limits,
        Moderator,
        Rule,
        Settings,
        Span,
        Usecs,
        Work, //
    },
    ring::{
        Consumer,
        Producer, //
    },
    wire::Features,
};

use crate::memory::{
    receive_all,
    send,
    Ring, //
};

/// Time that passes when the timer is waited for.
struct Time(Cell<Instant>);

impl Clock for Time {
    fn now(&self) -> Instant {
        self.0.get()
    }
}

/// The producing side with its moderator, as a driver runs them.
struct Moderated {
    producer: Producer<Ring>,
    moderator: Moderator,
    time: Time,
    channel: Arc<Channel>,
}

impl Moderated {
    fn new(ring: Ring, channel: Arc<Channel>, frames: u32, usecs: u32) -> Self {
        let packets = Rule {
            usecs: Usecs::new(usecs).unwrap(),
            frames: Frames::new(frames).unwrap(),
            adaptive: Switch::Off,
        };
        let mut moderator = Moderator::new();
        let settings = Settings {
            packets,
            ..Settings::IMMEDIATE
        };
        moderator.configure(settings, Limits::NONE);
        Self {
            producer: Producer::new(ring),
            moderator,
            time: Time(Cell::new(Instant::new(0))),
            channel,
        }
    }

    fn send(&mut self, number: u8) {
        assert!(send(&mut self.producer, 64, number));
        let since = self.producer.published();
        let notify = self.producer.publish();
        let work = Work {
            packets: 1,
            bytes: 32,
            completions: 0,
        };
        let action = self.moderator.published(work, notify, since, &self.time);
        self.act(action);
    }

    /// The timer, which fires for what is owed and for nothing else.
    fn fire(&mut self) {
        let action = self.moderator.settle(&self.time);
        if let Action::At(time) = action {
            assert!(time > self.time.now());
            self.time.0.set(time.after(Span::new(1)));
            let action = self.moderator.settle(&self.time);
            assert!(matches!(action, Action::Raise(Cause::Time)));
            self.act(action);
        } else {
            self.act(action);
        }
        assert_eq!(self.moderator.owed_since(), None);
    }

    fn act(&mut self, action: Action) {
        let Action::Raise(cause) = action else {
            return;
        };
        if let (true, Some(since)) = (cause != Cause::Immediate, self.moderator.owed_since()) {
            if self.producer.is_consumed_beyond(since).unwrap() {
                self.moderator.dropped();
                return;
            }
        }
        self.channel.notify();
        self.moderator.raised(cause, &self.time);
    }
}

/// Runs a producer that moderates beside a consumer that sleeps, and may be woken for nothing.
fn moderated(frames: u32, usecs: u32, between: bool) {
    const MESSAGES: u8 = 2;
    let mut builder = loom::model::Builder::new();
    // With the timer between the messages there are too many steps for all of their orders.
    builder.preemption_bound = if between { Some(3) } else { None };
    builder.check(move || {
        let ring = Ring::new(8);
        let channel = Arc::new(Channel::new());
        let mut consumer = Consumer::new(ring.clone(), Features::empty());
        let producing = thread::spawn({
            let channel = channel.clone();
            move || {
                let mut side = Moderated::new(ring, channel, frames, usecs);
                for number in 0..MESSAGES {
                    side.send(number);
                    if between {
                        side.fire();
                    }
                }
                side.fire();
            }
        });
        // Another reason to look, such as a packet of its own that it has to send.
        channel.notify();
        receive_all(&mut consumer, &channel, MESSAGES);
        producing.join().unwrap();
    });
}

/// The event is the timer's, after the last message.
#[test]
fn a_moderated_consumer_is_woken_by_the_timer() {
    moderated(3, 100, false);
}

/// Each event is the timer's, whatever the consumer has seen by then.
#[test]
fn a_moderated_consumer_is_woken_between() {
    moderated(3, 100, true);
    moderated(3, 0, true);
}

/// The event comes with the second message, unless the consumer has moved on by then.
#[test]
fn a_moderated_consumer_is_woken_by_frames() {
    moderated(2, 100, false);
}
