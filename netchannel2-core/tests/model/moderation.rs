// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The moderator against a list of what was published, under a clock that the test moves.

use std::cell::Cell;

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
    ring::Notify,
    units::RingIndex,
};
use proptest::prelude::*;

const MICROSECOND: u64 = 1000;

struct ByHand(Cell<u64>);

impl ByHand {
    fn pass(&self, nanoseconds: u64) {
        self.0.set(self.0.get() + nanoseconds);
    }
}

impl Clock for ByHand {
    fn now(&self) -> Instant {
        Instant::new(self.0.get())
    }
}

fn rule(usecs: u32, frames: u32, adaptive: Switch) -> Rule {
    Rule {
        usecs: Usecs::new(usecs).unwrap(),
        frames: Frames::new(frames).unwrap(),
        adaptive,
    }
}

fn packets(packets: u32) -> Work {
    Work {
        packets,
        bytes: u64::from(packets) * 1000,
        completions: 0,
    }
}

fn moderated(packets: Rule, completions: Rule) -> Moderator {
    let mut moderator = Moderator::new();
    let settings = Settings {
        packets,
        completions,
    };
    assert_eq!(moderator.configure(settings, Limits::NONE), settings);
    moderator
}

const SINCE: RingIndex = RingIndex::START;

#[test]
fn a_burst_one_short_is_delivered_by_the_timer() {
    let clock = ByHand(Cell::new(5));
    let mut moderator = moderated(rule(100, 64, Switch::Off), Rule::IMMEDIATE);
    let due = Instant::new(5 + 100 * MICROSECOND);
    let action = moderator.published(packets(1), Notify::Needed, SINCE, &clock);
    assert_eq!(action, Action::At(due));
    for _ in 0..62 {
        clock.pass(MICROSECOND);
        let action = moderator.published(packets(1), Notify::NotNeeded, SINCE, &clock);
        assert_eq!(action, Action::Nothing);
    }
    assert_eq!(moderator.settle(&clock), Action::At(due));
    clock.pass(38 * MICROSECOND - 1);
    assert_eq!(moderator.settle(&clock), Action::At(due));
    clock.pass(1);
    assert_eq!(moderator.settle(&clock), Action::Raise(Cause::Time));
    moderator.raised(Cause::Time, &clock);
    assert_eq!(moderator.settle(&clock), Action::Nothing);
    assert_eq!(moderator.counters().time_reached, 1);
    assert_eq!(moderator.batches().iter().nth(6), Some((32, 1)));
}

#[test]
fn the_last_frame_raises_it() {
    let clock = ByHand(Cell::new(0));
    let mut moderator = moderated(rule(100, 64, Switch::Off), Rule::IMMEDIATE);
    assert!(matches!(
        moderator.published(packets(60), Notify::Needed, SINCE, &clock),
        Action::At(_)
    ));
    let action = moderator.published(packets(3), Notify::NotNeeded, SINCE, &clock);
    assert_eq!(action, Action::Nothing);
    let action = moderator.published(packets(1), Notify::NotNeeded, SINCE, &clock);
    assert_eq!(action, Action::Raise(Cause::Frames));
    moderator.raised(Cause::Frames, &clock);
    // Nobody asked again.
    let action = moderator.published(packets(200), Notify::NotNeeded, SINCE, &clock);
    assert_eq!(action, Action::Nothing);
}

#[test]
fn a_peer_that_asks_again_has_seen_the_rest() {
    let clock = ByHand(Cell::new(0));
    let mut moderator = moderated(rule(100, 64, Switch::Off), Rule::IMMEDIATE);
    let _ = moderator.published(packets(63), Notify::Needed, SINCE, &clock);
    clock.pass(50 * MICROSECOND);
    let later = RingIndex::new(640);
    let action = moderator.published(packets(1), Notify::Needed, later, &clock);
    assert_eq!(action, Action::At(Instant::new(150 * MICROSECOND)));
    assert_eq!(moderator.owed_since(), Some(later));
    assert_eq!(moderator.counters().overtaken, 1);
}

#[test]
fn immediate_until_configured_and_other_messages_always() {
    let clock = ByHand(Cell::new(0));
    let mut moderator = Moderator::new();
    let action = moderator.published(packets(1), Notify::Needed, SINCE, &clock);
    assert_eq!(action, Action::Raise(Cause::Immediate));
    moderator.raised(Cause::Immediate, &clock);
    let mut moderator = moderated(
        rule(100, 64, Switch::Off),
        rule(100, 64, Switch::Off), //
    );
    let action = moderator.published(Work::default(), Notify::Needed, SINCE, &clock);
    assert_eq!(action, Action::Raise(Cause::Immediate));
}

#[test]
fn limits_hold_for_levels_too() {
    let clock = ByHand(Cell::new(0));
    let mut moderator = Moderator::new();
    let limits = Limits {
        usecs: Usecs::ZERO,
        frames: Frames::new(4).unwrap(),
    };
    let wish = Settings {
        packets: rule(50, 64, Switch::Off),
        completions: rule(0, 64, Switch::On),
    };
    let in_force = moderator.configure(wish, limits);
    assert_eq!(in_force.packets, rule(0, 4, Switch::Off));
    assert_eq!(in_force.completions, rule(0, 4, Switch::On));
    let completions = |completions| Work {
        completions,
        ..Work::default()
    };
    let action = moderator.published(completions(3), Notify::Needed, SINCE, &clock);
    assert_eq!(action, Action::AtBatchEnd);
    let action = moderator.published(completions(1), Notify::NotNeeded, SINCE, &clock);
    assert_eq!(action, Action::Raise(Cause::Frames));
}

/// What was published since the peer's index was reached.
#[derive(Default)]
struct Listed {
    frames: Vec<(u64, Work)>,
}

impl Listed {
    /// Returns why an event is due now, by the documentation of the module and nothing else.
    fn due(&self, settings: &Settings, now: u64, batch_over: bool) -> Option<Cause> {
        let kinds = [
            (settings.packets, (|work| work.packets) as fn(&Work) -> u32),
            (settings.completions, |work| work.completions),
        ];
        let (mut cause, mut in_batch) = (None, false);
        let mut wait = |next: Cause| {
            cause = match (cause, next) {
                (Some(Cause::Immediate), _) | (_, Cause::Immediate) => Some(Cause::Immediate),
                (Some(Cause::Frames), _) | (_, Cause::Frames) => Some(Cause::Frames),
                (_, next) => Some(next),
            }
        };
        for (rule, count) in kinds {
            let total: u32 = self.frames.iter().map(|(_, work)| count(work)).sum();
            let first = self.frames.iter().find(|(_, work)| count(work) > 0);
            let Some((first, _)) = first else {
                continue;
            };
            if rule.frames == Frames::ONE {
                wait(Cause::Immediate);
            } else if total >= u32::from(rule.frames.get()) {
                wait(Cause::Frames);
            } else if rule.usecs == Usecs::ZERO {
                in_batch = true;
                if batch_over {
                    wait(Cause::BatchEnd);
                }
            } else if now >= first + u64::from(rule.usecs.get()) * MICROSECOND {
                wait(Cause::Time);
            }
        }
        if self.frames.iter().all(|(_, work)| *work == Work::default()) {
            cause = Some(Cause::Immediate);
        }
        // The end of a batch is taken for sooner than any time.
        cause.filter(|cause| *cause != Cause::Time || batch_over || !in_batch)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Publish(u32, u32, Notify),
    Pass(u64),
    BatchEnd,
}

fn step() -> impl Strategy<Value = Step> {
    let notify = prop_oneof![Just(Notify::Needed), Just(Notify::NotNeeded)];
    prop_oneof![
        5 => (0..5_u32, 0..5_u32, notify).prop_map(|(p, c, n)| Step::Publish(p, c, n)),
        2 => (1..40_000_u64).prop_map(Step::Pass),
        1 => Just(Step::BatchEnd),
    ]
}

fn any_rule() -> impl Strategy<Value = Rule> {
    (
        prop_oneof![Just(0), 1..60_u32],
        prop_oneof![Just(1), 2..20_u32],
    )
        .prop_map(|(usecs, frames)| rule(usecs, frames, Switch::Off))
}

proptest! {
    #![proptest_config(crate::cases(2000))]

    #[test]
    fn events_come_when_the_list_says(
        packets in any_rule(),
        completions in any_rule(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let settings = Settings { packets, completions };
        let clock = ByHand(Cell::new(0));
        let mut moderator = moderated(packets, completions);
        let mut owed: Option<Listed> = None;
        // What the driver has promised to do for the event that is owed.
        let (mut timer, mut at_batch_end): (Option<Instant>, bool) = (None, false);
        for step in steps {
            let (action, batch_over) = match step {
                Step::Publish(packets, completions, notify) => {
                    let work = Work { packets, bytes: 0, completions };
                    if notify == Notify::Needed {
                        owed = Some(Listed::default());
                        (timer, at_batch_end) = (None, false);
                    }
                    if let Some(owed) = &mut owed {
                        owed.frames.push((clock.0.get(), work));
                    }
                    (moderator.published(work, notify, SINCE, &clock), false)
                }
                Step::Pass(nanoseconds) => {
                    // The timer fires as soon as it has to.
                    let end = clock.0.get() + nanoseconds;
                    match timer {
                        Some(at) if at <= Instant::new(end) => {
                            clock.pass(at.since(clock.now()).nanoseconds());
                            timer = None;
                            (moderator.settle(&clock), at_batch_end)
                        }
                        _ => {
                            clock.pass(nanoseconds);
                            (Action::Nothing, false)
                        }
                    }
                }
                Step::BatchEnd => {
                    // Called for other events too.
                    (moderator.settle(&clock), true)
                }
            };
            let expected = owed
                .as_ref()
                .and_then(|owed| owed.due(&settings, clock.0.get(), batch_over));
            match action {
                Action::Raise(cause) => {
                    // Where there are two reasons, either may be told.
                    let both = |a, b| [a, b].contains(&cause) && [Some(a), Some(b)].contains(&expected);
                    match (cause, expected) {
                        _ if both(Cause::BatchEnd, Cause::Time) => {}
                        _ if both(Cause::Immediate, Cause::Frames) => {}
                        (cause, expected) => prop_assert_eq!(Some(cause), expected),
                    }
                    moderator.raised(cause, &clock);
                    owed = None;
                    (timer, at_batch_end) = (None, false);
                }
                Action::At(time) => {
                    prop_assert_eq!(expected, None);
                    timer = Some(time);
                }
                Action::AtBatchEnd => {
                    prop_assert_eq!(expected, None);
                    at_batch_end = true;
                }
                Action::Nothing => prop_assert_eq!(expected, None),
            }
            // Something is promised as long as something is owed.
            prop_assert_eq!(moderator.owed_since().is_some(), owed.is_some());
            prop_assert!(owed.is_none() || timer.is_some() || at_batch_end);
        }
        prop_assert_eq!(
            moderator.counters().raised(),
            moderator.batches().iter().map(|(_, count)| count).sum::<u64>()
        );
    }

    #[test]
    fn adaptive_events_wait_no_longer_than_the_highest_level(
        steps in prop::collection::vec((0..6_u32, 0..6_u32, any::<bool>(), 0..300_u64), 1..3000),
    ) {
        let most = Span::new(128 * MICROSECOND);
        let clock = ByHand(Cell::new(0));
        let mut moderator =
            moderated(rule(0, 1, Switch::On), rule(0, 1, Switch::On));
        let mut timer: Option<Instant> = None;
        let mut since = None;
        for (packets, completions, asks, pause) in steps {
            clock.pass(pause * MICROSECOND / 4);
            if let Some(at) = timer.filter(|at| *at <= clock.now()) {
                prop_assert!(clock.now().since(at) <= Span::new(75 * MICROSECOND));
                timer = None;
                if let Action::Raise(cause) = moderator.settle(&clock) {
                    moderator.raised(cause, &clock);
                    since = None;
                }
            }
            let work = Work { packets, bytes: 1000, completions };
            let notify = if asks { Notify::Needed } else { Notify::NotNeeded };
            if asks {
                since = Some(clock.now());
            }
            match moderator.published(work, notify, SINCE, &clock) {
                Action::Raise(cause) => {
                    moderator.raised(cause, &clock);
                    since = None;
                }
                Action::At(at) => {
                    prop_assert!(at.since(clock.now()) <= most);
                    timer = Some(at);
                }
                Action::AtBatchEnd => {
                    let action = moderator.settle(&clock);
                    prop_assert!(matches!(action, Action::Raise(_)));
                    moderator.raised(Cause::BatchEnd, &clock);
                    since = None;
                }
                Action::Nothing => {}
            }
            if since.is_some() {
                prop_assert!(timer.is_some());
            }
        }
    }
}
