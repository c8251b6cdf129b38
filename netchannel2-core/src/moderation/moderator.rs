// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Deciding for each publication when its event comes.

use super::{
    adaptive::{
        self,
        Adaptive,
        Level, //
    },
    clock::{
        Clock,
        Instant,
        Span, //
    },
    settings::{
        Frames,
        Limits,
        Rule,
        Settings, //
    },
    Histogram,
};
use crate::{
    ring::Notify,
    stats::EventCounters,
    units::RingIndex, //
};

/// After how many times a level's wait without an event the next one comes at once: so few frames
/// come that waiting would gather none.
const SPARSE: u64 = 4;

/// What a publication shows the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// How many packets.
    pub packets: u32,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many packets are given back.
    pub completions: u32,
}

/// Why an event is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It may not wait.
    Immediate,
    /// It tells of as many frames as it may wait for.
    Frames,
    /// It has waited as long as it may.
    Time,
    /// The batch is over.
    BatchEnd,
    /// It tells of ring space, or this side has to wait for the peer.
    Room,
}

/// What to do about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an event that is owed and forgotten lets the peer sleep for good"]
pub enum Action {
    /// Nothing, or nothing new.
    Nothing,
    /// Raise it, and call [`Moderator::raised`]; or drop it where the peer has moved on behind
    /// this index, and call [`Moderator::dropped`].
    Raise(Cause),
    /// Call [`Moderator::settle`] at the end of the batch.
    AtBatchEnd,
    /// Call [`Moderator::settle`] at this time, or soon after.
    At(Instant),
}

/// When an event is due; the end of a batch comes before any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    BatchEnd,
    At(Instant),
}

/// An event that the peer has asked for and not got.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owed {
    /// How far the ring was published before the peer's event index was reached.
    since: RingIndex,
    pub(super) due: Option<Due>,
    pub(super) packets: u32,
    pub(super) completions: u32,
}

/// How one kind of message is moderated.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mode {
    Fixed(Level),
    Adaptive(Adaptive),
}

/// The side that raises the events of one queue.
///
/// It is told of each publication, and says what is to be done about its event. Nothing is owed
/// for long: as long as something is, either [`Action::AtBatchEnd`] or [`Action::At`] was returned
/// for it and [`Self::settle`] not called yet since it was due.
#[derive(Clone, Copy, Debug)]
pub struct Moderator {
    pub(super) packets: Mode,
    pub(super) completions: Mode,
    pub(super) limits: Limits,
    pub(super) owed: Option<Owed>,
    /// What was published since the last event.
    untold: Work,
    /// When that was, as far as anybody wants to know.
    last: Option<Instant>,
    counters: EventCounters,
    batches: Histogram,
}

impl Moderator {
    /// Raises every event at once until [`Self::configure`].
    pub const fn new() -> Self {
        Self {
            packets: Mode::Fixed(IMMEDIATE),
            completions: Mode::Fixed(IMMEDIATE),
            limits: Limits::NONE,
            owed: None,
            untold: Work {
                packets: 0,
                bytes: 0,
                completions: 0,
            },
            last: None,
            counters: EventCounters::NONE,
            batches: Histogram::NONE,
        }
    }

    /// Does from now on as the peer wishes, within `limits`; returns what that comes to.
    ///
    /// An event that is owed becomes due; the caller calls [`Self::flush`].
    pub fn configure(&mut self, wish: Settings, limits: Limits) -> Settings {
        self.packets
            .set(wish.packets.within(limits), &adaptive::PACKETS);
        self.completions
            .set(wish.completions.within(limits), &adaptive::COMPLETIONS);
        self.limits = limits;
        wish.within(limits)
    }

    /// Decides about the event of a publication.
    ///
    /// `since` is how far the ring was published before it, and `notify` says whether it has
    /// reached the peer's event index.
    #[inline]
    pub fn published(
        &mut self,
        work: Work,
        notify: Notify,
        since: RingIndex,
        clock: &impl Clock,
    ) -> Action {
        self.untold.packets = self.untold.packets.saturating_add(work.packets);
        self.untold.bytes = self.untold.bytes.saturating_add(work.bytes);
        self.untold.completions = self.untold.completions.saturating_add(work.completions);
        if notify == Notify::NotNeeded && self.owed.is_none() {
            return Action::Nothing;
        }
        self.weigh(work, notify, since, clock)
    }

    // Not inlined: while the peer is awake nothing is weighed.
    #[inline(never)]
    fn weigh(
        &mut self,
        work: Work,
        notify: Notify,
        since: RingIndex,
        clock: &impl Clock,
    ) -> Action {
        if notify == Notify::Needed {
            // The peer has asked anew, so that it has seen all that an older event was about.
            if self.owed.is_some() {
                self.counters.count_overtaken();
            }
            self.owed = Some(Owed {
                since,
                due: None,
                packets: 0,
                completions: 0,
            });
            if work.packets == 0 && work.completions == 0 {
                return Action::Raise(Cause::Immediate);
            }
        }
        let (of_packets, of_completions) = (self.level_of_packets(), self.level_of_completions());
        let Some(owed) = &mut self.owed else {
            return Action::Nothing;
        };
        let before = owed.due;
        let parts = [
            (&mut owed.packets, work.packets, of_packets, &self.packets),
            (
                &mut owed.completions,
                work.completions,
                of_completions,
                &self.completions,
            ),
        ];
        for (count, more, level, mode) in parts {
            if more == 0 {
                continue;
            }
            let is_first = *count == 0;
            *count = count.saturating_add(more);
            if level.frames == Frames::ONE {
                return Action::Raise(Cause::Immediate);
            }
            if *count >= u32::from(level.frames.get()) {
                return Action::Raise(Cause::Frames);
            }
            if !is_first {
                continue;
            }
            let due = match Span::from(level.usecs) {
                Span::ZERO => Due::BatchEnd,
                wait => {
                    let now = clock.now();
                    if mode.is_adaptive() && is_sparse(self.last, now, wait) {
                        return Action::Raise(Cause::Immediate);
                    }
                    Due::At(now.after(wait))
                }
            };
            owed.due = Some(owed.due.map_or(due, |other| other.min(due)));
        }
        match owed.due {
            due if due == before => Action::Nothing,
            Some(Due::At(time)) => Action::At(time),
            _ => Action::AtBatchEnd,
        }
    }

    /// Decides about an event that is owed, at the end of a batch or when its time may have come.
    pub fn settle(&mut self, clock: &impl Clock) -> Action {
        match self.owed.map(|owed| owed.due) {
            None => Action::Nothing,
            Some(Some(Due::At(time))) if clock.now() < time => Action::At(time),
            Some(Some(Due::At(_))) => Action::Raise(Cause::Time),
            Some(_) => Action::Raise(Cause::BatchEnd),
        }
    }

    /// Decides that an event that is owed waits no longer.
    pub fn flush(&mut self) -> Action {
        match self.owed {
            Some(_) => Action::Raise(Cause::Room),
            None => Action::Nothing,
        }
    }

    /// Returns how far the ring was published before the event became owed.
    ///
    /// A peer that has consumed more than that was awake since, and asks again before it sleeps.
    pub fn owed_since(&self) -> Option<RingIndex> {
        self.owed.map(|owed| owed.since)
    }

    /// Takes note that the event was raised, or another one, which tells the peer as much.
    pub fn raised(&mut self, cause: Cause, clock: &impl Clock) {
        let owed = self.owed.take();
        let frames = owed.map_or(0, |owed| owed.packets.saturating_add(owed.completions));
        self.batches.count(frames);
        self.counters.count(cause);
        let Work {
            packets,
            bytes,
            completions,
        } = core::mem::take(&mut self.untold);
        if packets > 0 {
            self.packets.told(packets, bytes, clock);
        }
        if completions > 0 {
            self.completions.told(completions, 0, clock);
        }
        if self.packets.waits() || self.completions.waits() {
            self.last = Some(clock.now());
        }
    }

    /// Takes note that the event was not raised, as the peer has moved on.
    pub fn dropped(&mut self) {
        if self.owed.take().is_some() {
            self.counters.count_overtaken();
        }
    }

    /// Returns what was counted.
    pub fn counters(&self) -> &EventCounters {
        &self.counters
    }

    /// Returns how many frames events told of.
    pub fn batches(&self) -> &Histogram {
        &self.batches
    }

    fn level_of_packets(&self) -> Level {
        self.packets.level(self.limits)
    }

    fn level_of_completions(&self) -> Level {
        self.completions.level(self.limits)
    }
}

impl Default for Moderator {
    fn default() -> Self {
        Self::new()
    }
}

const IMMEDIATE: Level = Level {
    usecs: Rule::IMMEDIATE.usecs,
    frames: Rule::IMMEDIATE.frames,
};

impl Mode {
    fn set(&mut self, rule: Rule, levels: &'static adaptive::Levels) {
        if !rule.adaptive.is_on() {
            *self = Self::Fixed(Level {
                usecs: rule.usecs,
                frames: rule.frames,
            });
        } else if !self.is_adaptive() {
            *self = Self::Adaptive(Adaptive::new(levels));
        }
    }

    #[inline]
    pub(super) fn level(&self, limits: Limits) -> Level {
        match self {
            // Within the limits since it was set.
            Self::Fixed(level) => *level,
            Self::Adaptive(adaptive) => {
                let Level { usecs, frames } = adaptive.level();
                Level {
                    usecs: usecs.min(limits.usecs),
                    frames: frames.min(limits.frames),
                }
            }
        }
    }

    const fn is_adaptive(&self) -> bool {
        matches!(self, Self::Adaptive(_))
    }

    /// Says whether it matters when the last event was.
    fn waits(&self) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::Adaptive(adaptive) => Span::from(adaptive.level().usecs) > Span::ZERO,
        }
    }

    fn told(&mut self, frames: u32, bytes: u64, clock: &impl Clock) {
        if let Self::Adaptive(adaptive) = self {
            adaptive.told(u64::from(frames), bytes, clock);
        }
    }
}

/// Says whether events are so far apart that this one would gather nothing by waiting.
fn is_sparse(last: Option<Instant>, now: Instant, wait: Span) -> bool {
    last.is_none_or(|last| now.since(last) > wait.times(SPARSE))
}
